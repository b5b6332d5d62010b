import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, rankdata

from benchmarks.report.ranks import Ranking, middle, paired_draws, ranking
from benchmarks.report.statistics import median

Rows = dict[str, dict[str, pd.DataFrame]]


def generator(number: int = 0) -> np.random.Generator:
    return np.random.default_rng(number)


def cells(values: np.ndarray, errors: float = 0.0) -> Rows:
    """values: (targets, replicates, models); NaN: the model has no complete number on the target."""
    return {
        f"t{i}": {
            name: pd.DataFrame({"value": of[:, j], "error": errors})
            for j, name in enumerate("abcdef"[: of.shape[1]])
            if np.isfinite(of[:, j]).all()
        }
        for i, of in enumerate(values)
    }


def scores(rows: list[list[float]]) -> Rows:
    """Two replicates with these values: certain."""
    return cells(np.repeat(np.array(rows)[:, None, :], 2, axis=1))


def rank(of: Rows, better: str = "lower", name: str = "x") -> Ranking:
    return ranking(of, list("abc"), better, (name,))


def test_ranks_of_a_clear_order() -> None:
    ranks = rank(scores([[1.0, 2.0, 3.0]] * 8))
    assert {model: this.value for model, this in ranks.mean.items()} == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert [(this.low, this.high) for this in ranks.mean.values()] == [(1, 1), (2, 2), (3, 3)]
    assert ranks.level == ("a",)
    assert ranks.stays == 1.0
    assert rank(scores([[1.0, 2.0, 3.0]] * 8), "higher").first == "c"


def test_ranks_impute_nothing() -> None:
    nan = math.nan
    ranks = rank(scores([[1.0, 2.0, nan], [nan, 1.0, nan], [2.0, 1.0, nan]]))
    assert ranks.targets == ("t0", "t2")
    assert ranks.excluded == ("t1",)
    assert ranks.absent == ("c",)
    assert set(ranks.mean) == {"a", "b"}


def test_a_model_with_few_numbers_takes_no_targets_from_the_others() -> None:
    nan = math.nan
    rows = [[1.0, 2.0, 3.0]] * 4 + [[1.0, 2.0, nan]] * 2 + [[nan, nan, nan]]
    assert rank(scores(rows)).targets == ("t0", "t1", "t2", "t3")  # it lacks a third of those that another has
    ranks = rank(scores([*rows, [1.0, 2.0, nan]]))
    assert ranks.absent == ("c",)
    assert ranks.excluded == ("t6",)
    assert set(ranks.mean) == {"a", "b"}


def test_few_targets_say_nothing_about_others() -> None:
    ranks = rank(scores([[1.0, 2.0, 3.0]] * 3))
    assert math.isnan(ranks.stays)
    assert all(math.isnan(this.low) for this in ranks.mean.values())
    assert ranks.level == ("a", "b", "c")


def test_a_coin_toss_is_not_a_winner() -> None:
    ranks = rank(scores([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]] * 4))
    assert set(ranks.level) == {"a", "b"}
    assert ranks.stays == pytest.approx(0.5, abs=0.05)


def test_nothing_to_rank() -> None:
    ranks = rank(scores([[math.nan] * 3] * 2))
    assert ranks.first is None
    assert ranks.excluded == ("t0", "t1")
    assert rank({}).first is None


def test_exact_ties_share_their_ranks() -> None:
    ranks = rank(scores([[1.0, 1.0, 2.0]] * 8))
    assert [this.value for this in ranks.mean.values()] == [1.5, 1.5, 3.0]
    assert ranks.stays == 0.5
    assert ranks.level == ("a", "b")


def test_an_expected_rank_is_one_plus_the_chances_of_the_others() -> None:
    """One replicate with known errors: P(b better than a) = Φ((a − b) / √(e² + e²)), in closed form."""
    values, error = np.array([0.0, 0.5, 0.8]), 0.4
    ranks = rank(cells(np.tile(values, (9, 1, 1)), error))
    chance = norm.cdf((values[:, None] - values) / (error * math.sqrt(2)))
    expected = 1 + chance.sum(axis=1) - 0.5
    for this, truth in zip("abc", expected, strict=True):
        # The standard error of a mean of 9 · 2,000 draws of a rank, which varies by less than 0.8.
        assert ranks.mean[this].value == pytest.approx(truth, abs=4 * 0.8 / math.sqrt(9 * 2_000))


@pytest.mark.parametrize(("count", "error"), [(1, 0.5), (3, 0.0), (3, 0.2), (3, 1.0), (8, 0.0), (8, 0.3)])
def test_each_models_draws_are_as_wide_as_its_interval(count: int, error: float) -> None:
    ratios = []
    for i in range(40):
        values, errors = generator(i).normal(0, 0.3, (count, 2)), np.full((count, 2), error)
        low, high = np.quantile(paired_draws(values, errors, generator(100 + i)), (0.025, 0.975), axis=0)
        known = [median(values[:, j], errors[:, j], generator(200 + i)) for j in range(2)]
        ratios += [(high[j] - low[j]) / (known[j].high - known[j].low) for j in range(2)]
    # Resampled medians of eight are lumpy where normal errors would smooth them: up to 10 % is theirs.
    assert np.mean(ratios) == pytest.approx(1, abs=0.1 if count > 3 else 4 * np.std(ratios) / math.sqrt(len(ratios)))


def test_what_models_share_cancels() -> None:
    """A replicate's common luck moves all models alike, so a small steady difference is a certain one."""
    luck = generator(3).normal(0, 5, (3, 1))
    draws = paired_draws(
        luck + np.array([0.0, 0.5]) + generator(4).normal(0, 0.01, (3, 2)), np.zeros((3, 2)), generator()
    )
    assert np.mean(draws[:, 0] < draws[:, 1]) > 0.98
    assert draws[:, 0].std() > 2


def test_what_has_no_interval_cannot_be_ranked_apart() -> None:
    ranks = rank(cells(np.tile([0.0, 1.0, 2.0], (8, 1, 1)), math.nan))
    assert [this.value for this in ranks.mean.values()] == pytest.approx([2, 2, 2], abs=0.05)
    assert set(ranks.level) == {"a", "b", "c"}


def simulate(
    number: int, gaps: list[float], *, targets: int, own: float, luck: float, noise: float, error: float, repeats: int
) -> list[Ranking]:
    """Rankings of three replicates. A model's true score on a target is its gap plus own · N(0, 1); a replicate adds
    luck that all models share, noise of its own and an error of measurement of known size."""
    draw, models = generator(number), len(gaps)
    found = []
    for i in range(repeats):
        truth = np.array(gaps) + own * draw.standard_normal((targets, 1, models))
        shared = luck * draw.standard_normal((targets, 3, 1))
        seen = truth + shared + math.hypot(noise, error) * draw.standard_normal((targets, 3, models))
        found.append(ranking(cells(seen, error), list("abcdef"[:models]), "lower", (str(number), str(i))))
    return found


def true_ranks(gaps: list[float], own: float) -> np.ndarray:
    """Mean ranks of the true scores over the population of targets."""
    truth = np.array(gaps) + own * generator(99).standard_normal((200_000, len(gaps)))
    return np.asarray(rankdata(truth, axis=1).mean(axis=0))


def held(rankings: list[Ranking], truth: np.ndarray) -> np.ndarray:
    """The share of intervals that hold the truth, by model."""
    return np.array(
        [
            np.mean([ranks.mean[model].low <= value <= ranks.mean[model].high for ranks in rankings])
            for model, value in zip("abcdef", truth, strict=False)
        ]
    )


@pytest.mark.parametrize("targets", [7, 12])
def test_intervals_of_mean_ranks_cover_the_ranks_of_the_true_scores(targets: int) -> None:
    gaps = [0.0, 0.5, 1.0, 2.0]
    rankings = simulate(targets, gaps, targets=targets, own=1, luck=1, noise=0.1, error=0.05, repeats=150)
    # 150 repeats know a coverage to 0.018, four models together to some 0.01.
    assert held(rankings, true_ranks(gaps, 1)).mean() == pytest.approx(0.95, abs=0.03)


def test_noise_as_large_as_the_differences_makes_intervals_cautious() -> None:
    gaps = [0.0, 0.5, 1.0, 2.0]
    rankings = simulate(2, gaps, targets=12, own=1, luck=1, noise=0.5, error=0.3, repeats=100)
    assert held(rankings, true_ranks(gaps, 1)).min() >= 0.92


@pytest.mark.parametrize(("own", "noise", "error"), [(1.0, 0.1, 0.0), (0.0, 1.0, 0.3), (0.0, 0.3, 1.0)])
def test_a_tie_is_a_tie(own: float, noise: float, error: float) -> None:
    """Equal models, by chance of the targets or in truth: each is first in half of the draws, and rarely the winner."""
    rankings = simulate(5, [0.0, 0.0], targets=12, own=own, luck=1, noise=noise, error=error, repeats=120)
    stays = np.array([ranks.stays if ranks.first == "a" else 1 - ranks.stays for ranks in rankings])
    assert stays.mean() == pytest.approx(0.5, abs=4 * 0.3 / math.sqrt(120))
    assert np.mean([this.mean["a"].value for this in rankings]) == pytest.approx(1.5, abs=0.05)
    assert held(rankings, np.array([1.5, 1.5])).min() >= 0.91
    # Either may win by chance, each at 2.5 %: 5 %, which 120 repeats know to 2 %.
    assert np.mean([len(ranks.level) == 1 for ranks in rankings]) <= 0.11


def test_a_steady_small_difference_is_found_only_because_it_is_paired() -> None:
    """Ten times smaller than the luck that both models share, five times larger than the noise that they do not."""
    rankings = simulate(6, [0.0, 0.5], targets=12, own=0, luck=5, noise=0.1, error=0.0, repeats=20)
    assert all(ranks.level == ("a",) and ranks.stays > 0.99 for ranks in rankings)
    assert np.mean([ranks.mean["a"].value for ranks in rankings]) < 1.1


def test_closeness_pulls_to_the_middle_and_never_to_a_winner() -> None:
    """What the expected rank costs: a difference of one deviation on every target has true ranks 1 and 2."""
    rankings = simulate(8, [0.0, 0.5], targets=12, own=0, luck=1, noise=0.5, error=0.0, repeats=60)
    values = np.array([ranks.mean["a"].value for ranks in rankings])
    assert 1.1 < values.mean() < 1.4
    assert np.mean([ranks.first == "a" for ranks in rankings]) > 0.95


def test_a_middle_covers_the_median_of_the_true_scores() -> None:
    draw, truth, hits = generator(11), np.linspace(0, 8, 9), 0
    for i in range(200):
        of = cells(truth[:, None, None] + draw.standard_normal((9, 3, 1)) * 0.5, 0.1)
        this = middle(of, "a", tuple(of), ("x", str(i)))
        assert this is not None
        hits += this.low <= 4 <= this.high
    assert hits / 200 >= 0.92


def test_a_middle_needs_every_target() -> None:
    of = cells(np.ones((3, 2, 2)))
    assert middle({**of, "t1": {}}, "a", ("t0", "t1"), ("x",)) is None
    assert middle(of, "a", (), ("x",)) is None
    one = middle(cells(np.ones((3, 1, 1)), math.nan), "a", ("t0", "t1"), ("x",))
    assert one is not None
    assert math.isnan(one.low)
