"""The short answer says what the numbers support, and no more."""

import re

import numpy as np
import pandas as pd
import pytest

from benchmarks.report import Content, short_answer
from benchmarks.report.analysis import analyse
from tests.benchmarks.report.synthetic import older


def test_the_short_answer_follows_the_numbers(run: Content, clean: Content) -> None:
    answer = short_answer(clean)
    assert 3 <= len(answer) <= 5
    assert re.match(
        r"By KL, normalizing_flow has the best mean rank \(1\.0\d \[1\.00, 1\.\d\d\] of 4 models", answer[0]
    )
    assert "every other model’s is distinguishably worse" in answer[0]
    assert not any("lack" in sentence for sentence in answer)
    assert any("4 of 48 cells lack some number" in sentence for sentence in short_answer(run))


def test_the_answer_claims_no_winner_between_equals(clean: Content) -> None:
    scores = clean.scores.copy()
    twin = scores[scores["model"] == "normalizing_flow"].assign(model="ot_map")
    noise = np.random.default_rng(0).normal(0, 1e-4, len(twin))
    scores = pd.concat([scores[scores["model"] != "ot_map"], twin.assign(value=twin["value"] + noise)])
    equals = Content(scores, clean.costs, clean.targets, clean.models, clean.pictures)
    assert "cannot be told from it" in short_answer(equals)[0]
    ranks = analyse(equals).rankings["kl"]
    assert {"normalizing_flow", "ot_map"} == set(ranks.level)
    assert ranks.mean["normalizing_flow"].value == pytest.approx(1.5, abs=0.35)
    assert ranks.stays < 0.95


def test_the_answer_says_which_part_of_the_inference_is_larger(clean: Content) -> None:
    """In the synthetic run approximation is 70 % of the VAE's inference gap and 35 % of the autoencoder's."""
    (sentence,) = [part for part in short_answer(clean) if "inference gap" in part]
    vae, autoencoder = sentence.split(" Of ")
    for words, share, larger in ((vae, 70, True), (autoencoder, 35, False)):
        found = re.search(
            r"the approximation gap \(a Gaussian posterior\) is (\d+) % on the median target \(\d+ to \d+ %\), "
            r"distinguishably larger than the amortisation gap .* on (\d) of 7 targets and smaller on (\d)",
            words,
        )
        assert found is not None
        part, above, below = map(int, found.groups())
        assert part == pytest.approx(share, abs=4)
        assert (above, below)[larger] == 0
        assert (below, above)[larger] >= 5
    assert not any("approximation" in part for part in short_answer(older(clean)))
