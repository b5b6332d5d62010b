# ruff: noqa: ARG001, ARG005 (what is checked is which arguments a metric takes)
from __future__ import annotations

import pytest
import torch

from metrics import Score
from metrics.custom import custom_score, model_metric, sample_metric

X = torch.zeros(3, 1)
NOISE = torch.Generator()


def scored(answer: object) -> Score:
    return custom_score(lambda *_: answer, X, X, NOISE)


def test_a_metric_is_its_function_and_says_what_it_is():
    @sample_metric(unit="data units", better="higher")
    def spread(samples, held_out, generator, power: float = 1.0):
        """How far samples spread.

        And more that no table shows.
        """
        return float(samples.std() ** power), 0.5

    samples = torch.tensor([[0.0], [2.0]])
    assert spread(samples, X, NOISE, power=2.0) == (pytest.approx(2.0), 0.5)
    assert spread.given == "samples"
    assert (spread.about.description, spread.about.unit, spread.about.better) == (
        "How far samples spread.",
        "data units",
        "higher",
    )
    assert model_metric()(lambda model, held_out, generator: (0.0, 0.0)).given == "model"


@pytest.mark.parametrize("answer", [(1.5, 0.25), [1.5, 0.25], torch.tensor([1.5, 0.25]), Score(1.5, 0.25)])
def test_two_numbers_are_a_score(answer):
    assert scored(answer) == Score(1.5, 0.25)


def test_a_word_is_kept_and_what_is_not_finite_is_untrusted():
    word = Score.absent("n/a", "the model has no density")
    assert scored(word) == word
    assert scored((float("nan"), 0.0)).status == "untrusted"
    assert scored(Score(float("inf"), 0.0)).status == "untrusted"


@pytest.mark.parametrize("answer", [1.5, None, (1.0, 2.0, 3.0), ("a", "b"), torch.zeros(2, 2), Score(None, None)])
def test_anything_else_is_failed_and_says_so(answer):
    found = scored(answer)
    assert (found.status, found.value) == ("failed", None)
    assert "returns (value, error), two numbers" in found.reason


def test_an_exception_and_a_negative_error_are_failed():
    def breaks(*_):
        raise KeyError("no luck")

    assert custom_score(breaks, X, X, NOISE) == Score.absent("failed", "KeyError: 'no luck'")
    assert "not negative" in scored((1.0, -1.0)).reason


def test_what_cannot_be_a_metric_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match="held_out, generator"):
        sample_metric()(lambda samples, held_out: (0.0, 0.0))
    with pytest.raises(TypeError, match="defaults for whatever else"):
        sample_metric()(lambda samples, held_out, generator, bins: (0.0, 0.0))
    with pytest.raises(ValueError, match="better is one of lower, higher, neither"):
        sample_metric(better="larger")(lambda samples, held_out, generator: (0.0, 0.0))
