import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from benchmarks.report.statistics import adjusted, chance, difference, leaders, median, positive_median, seed

REPEATS = 500


def generator(number: int = 0) -> np.random.Generator:
    return np.random.default_rng(number)


def cell(values: list[float], errors: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"value": values, "error": errors}, index=pd.RangeIndex(len(values)), dtype=float)


def test_the_value_is_the_median() -> None:
    assert median(np.array([3.0, 1.0, 2.0]), np.zeros(3), generator()).value == 2.0
    assert median(np.array([4.0, 1.0, 2.0, 3.0]), np.zeros(4), generator()).value == 2.5


def test_one_replicate_has_the_interval_of_its_error() -> None:
    known = median(np.array([5.0]), np.array([0.1]), generator())
    assert known.low == pytest.approx(5 - 0.196, abs=0.02)
    assert known.high == pytest.approx(5 + 0.196, abs=0.02)


def test_nothing_known_about_the_error_is_said() -> None:
    known = median(np.array([5.0]), np.array([math.nan]), generator())
    assert known.value == 5.0
    assert math.isnan(known.low)
    assert math.isnan(known.high)


def test_equal_replicates_without_error_have_no_width() -> None:
    known = median(np.full(3, 0.25), np.zeros(3), generator())
    assert (known.low, known.value, known.high) == (0.25, 0.25, 0.25)


def test_two_replicates_are_as_unsure_as_student() -> None:
    known = median(np.array([-1.0, 1.0]), np.zeros(2), generator())
    assert known.high == pytest.approx(12.7, rel=0.3)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize(("spread", "error"), [(1.0, 0.0), (1.0, 0.3), (0.3, 1.0)])
def test_coverage(count: int, spread: float, error: float) -> None:
    """At least 95 in 100, less what so few repeats leave open; errors that dominate make it cautious."""
    draw = generator(count)
    hits = 0
    for _ in range(REPEATS):
        values = spread * draw.standard_normal(count) + error * draw.standard_normal(count)
        known = median(values, np.full(count, error), draw)
        hits += known.low <= 0 <= known.high
    assert hits / REPEATS >= 0.925
    if error < spread:
        assert hits / REPEATS <= 0.985


def test_coverage_of_one_replicate() -> None:
    draw = generator(1)
    known = [median(draw.standard_normal(1), np.ones(1), draw) for _ in range(REPEATS)]
    assert 0.925 <= np.mean([this.low <= 0 <= this.high for this in known]) <= 0.975


def test_an_outlier_does_not_move_ten_replicates() -> None:
    known = median(np.array([*np.linspace(0.010, 0.014, 9), 5.0]), np.zeros(10), generator())
    assert known.high < 0.5


def test_costs_have_positive_intervals() -> None:
    known = positive_median(np.array([1.0, 2.0, 40.0]), generator())
    assert known.value == 2.0
    assert 0 < known.low < 2 < known.high


def test_differences_are_paired() -> None:
    """What two models have in common, here a replicate's hard data, does not hide which one is better."""
    common = np.array([0.0, 5.0, -3.0])
    known = difference(cell(list(common + np.array([1.0, 1.1, 0.9])), 2.0), cell([*common], 2.0), generator())
    assert known is not None
    assert known.low > 0


def test_differences_use_shared_replicates_only() -> None:
    a, b = cell([1.0, 2.0, 3.0]), cell([1.0, 2.0, 3.0]).drop(index=[0, 1])
    known = difference(a, b, generator())
    assert known is not None
    assert known.value == 0.0
    assert difference(a.loc[[0]], b, generator()) is None


def test_one_replicate_differs_by_its_errors() -> None:
    known = difference(cell([1.0], 0.3), cell([0.0], 0.4), generator())
    assert known is not None
    assert known.high - known.low == pytest.approx(2 * 1.96 * 0.5, rel=0.08)


@pytest.mark.parametrize(("count", "spread", "error"), [(1, 0.0, 1.0), (2, 1.0, 0.0), (3, 1.0, 0.3), (6, 1.0, 0.0)])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_chances_are_what_they_say(count: int, spread: float, error: float, level: float) -> None:
    """Of medians that are zero, no larger a share than a level is below it; three standard errors for the repeats."""
    draw, repeats = generator(count), 1_000
    found = [
        chance(spread * draw.standard_normal(count) + error * draw.standard_normal(count), np.full(count, error), draw,
               level / 10)
        for _ in range(repeats)
    ]  # fmt: skip
    assert np.mean(np.array(found) <= level) <= level + 3 * math.sqrt(level * (1 - level) / repeats)


def test_a_chance_agrees_with_the_interval_and_is_never_zero() -> None:
    values, errors = np.array([0.5, 0.6, 0.7]), np.full(3, 0.1)
    assert 0 < chance(values, errors, generator(), 1e-4) < 0.05
    assert 0 < chance(1e6 + values, errors, generator(), 1e-3) < 1e-3
    assert chance(values, 10 * errors, generator(), 1e-4) > 0.05
    assert chance(-values, errors, generator(1), 1e-4) == pytest.approx(chance(values, errors, generator(), 1e-4), 1.0)
    assert chance(np.zeros(3), errors, generator(), 1e-4) == 1.0
    assert math.isnan(chance(np.ones(1), np.full(1, math.nan), generator(), 1e-4))


def test_chances_are_adjusted_as_scipy_does() -> None:
    chances = generator().uniform(size=40) ** 3
    assert adjusted(chances) == pytest.approx(scipy.stats.false_discovery_control(chances))
    holed = np.insert(chances, 7, math.nan)
    assert np.delete(adjusted(holed), 7) == pytest.approx(adjusted(chances))
    assert math.isnan(adjusted(holed)[7])
    assert len(adjusted(np.array([]))) == 0


CLOSE = {
    "good": cell([1.0, 2.0, 3.0]),
    "level": cell([1.1, 2.05, 2.95]),
    "bad": cell([2.0, 3.01, 4.02]),
}


def test_ties_are_those_not_distinguishably_worse() -> None:
    assert leaders(CLOSE, "lower", ("x",)) == ("good", "level")
    assert leaders({name: -values for name, values in CLOSE.items()}, "higher", ("x",)) == ("good", "level")
    assert leaders(CLOSE, "higher", ("x",)) == ("bad",)
    assert leaders({}, "lower", ("x",)) == ()


def test_what_has_no_interval_is_level() -> None:
    cells = {"a": cell([1.0], math.nan), "b": cell([2.0], math.nan)}
    assert leaders(cells, "lower", ("x",)) == ("a", "b")


def test_seeds_are_the_same_everywhere() -> None:
    assert seed("claw", "kl") == 7_942_012_009_351_350_248
    assert seed("a", "bc") != seed("ab", "c")
