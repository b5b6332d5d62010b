"""The boundary: every name, every word, no failure that spreads, the same numbers every time."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal

from metrics import METRICS, HeldOut, Rule, Scores, Sizes, likelihood, reference, score
from metrics.likelihood import NAMES, SANDWICH
from metrics.linear_vae import LinearVAE
from metrics.score import Score
from models.base import Budget, DensityModel, History, Model, TransportModel

SIZES = Sizes(
    wasserstein=100,
    batches=8,
    sliced=1_000,
    projections=16,
    likelihood=2_000,
    latent=200,
    importance_samples=200,
    gaps=100,
)


class Normal(DensityModel):
    """N(mean, scale² I), exactly."""

    def __init__(self, d: int, mean: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.d, self.mean, self.scale = d, mean, scale

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        return History()

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.mean + self.scale * torch.randn(n, self.d, generator=generator, dtype=torch.float64)

    def log_prob(self, x: Tensor) -> Tensor:
        eye = torch.eye(self.d, dtype=torch.float64)
        return MultivariateNormal(torch.full((self.d,), self.mean).double(), self.scale**2 * eye).log_prob(x)


class Implicit(Model):
    """Samples, and nothing else."""

    fit = Normal.fit

    def sample(self, n: int, generator: Generator) -> Tensor:
        return torch.randn(n, 2, generator=generator, dtype=torch.float64)


def held_out(d: int, n: int = 4_000, moments: float = math.inf) -> HeldOut:
    target = Normal(d)
    test = target.sample(n, torch.Generator().manual_seed(5))
    return HeldOut(test, target.log_prob(test), moments)


def evaluate(model: Model, data: HeldOut, sizes: Sizes = SIZES) -> Scores:
    generator = torch.Generator().manual_seed(6)
    return score(model, data, reference(data, sizes, generator), sizes, generator)


def test_every_metric_has_a_row_and_nothing_else_has() -> None:
    for model, data in ((Normal(2), held_out(2)), (Implicit(), held_out(2)), (Normal(1), held_out(1))):
        assert list(evaluate(model, data).values) == list(METRICS)


def test_scores_of_a_gaussian_are_the_closed_forms() -> None:
    """KL(N(0, I) ‖ N(m, s² I)) = d/2 (1/s² + m²/s² − 1 + ln s²); W2² = d (m² + (s − 1)²)."""
    mean, scale, d = 0.3, 1.3, 2
    found = evaluate(Normal(d, mean, scale), held_out(d, 20_000), replace(SIZES, wasserstein=400, sliced=10_000)).values
    truths = {
        "kl": d / 2 * ((1 + mean**2) / scale**2 - 1 + math.log(scale**2)),
        "w2_squared": d * (mean**2 + (scale - 1) ** 2),
        "sliced_w2_squared": mean**2 + (scale - 1) ** 2,
        "log_likelihood": -d / 2 * (math.log(2 * math.pi * scale**2) + (1 + mean**2) / scale**2),
    }
    for name, truth in truths.items():
        assert found[name].status == "ok"
        assert found[name].value == pytest.approx(truth, abs=4 * found[name].error)
    assert found["fit_gap"] == found["kl"] == found["elbo_gap"]
    assert found["elbo"] == found["log_likelihood"]
    for name in ("inference_gap", "approximation_gap", "amortisation_gap", "sandwich_width"):
        assert (found[name].value, found[name].error) == (0.0, 0.0)


def test_on_the_line() -> None:
    found = evaluate(Normal(1, 0.5), held_out(1)).values
    assert found["w1"].value == pytest.approx(0.5, abs=4 * found["w1"].error)
    assert found["w2_squared"].value == pytest.approx(0.25, abs=4 * found["w2_squared"].error)
    assert 0 < found["w1_floor"].value < 0.2
    assert found["sliced_w2_squared"].status == "n/a"


def test_w1_is_for_the_line() -> None:
    found = evaluate(Normal(2), held_out(2)).values
    assert {found[name].status for name in ("w1", "w1_plain", "w1_floor")} == {"n/a"}


def test_oracle_has_no_divergence_and_no_false_alarm() -> None:
    for d in (1, 2, 16):
        found = evaluate(Normal(d), held_out(d)).values
        assert {score.status for score in found.values()} <= {"ok", "n/a"}
        assert (found["kl"].value, found["kl"].error) == (0.0, 0.0)
        assert abs(found["w2_squared"].value) < 3 * found["w2_squared"].error


def test_gaps_of_a_latent_model_add_up_and_keep_their_order() -> None:
    model = LinearVAE(4, 6, shift=1.0, diagonal=True)
    generator = torch.Generator().manual_seed(1)
    test = model.sample(4_000, generator)
    data = HeldOut(test, model.exact_log_prob(test), math.inf)
    scores = evaluate(model, data)
    found = scores.values
    assert {score.status for name, score in found.items() if not name.startswith(("w1", "map"))} == {"ok"}
    assert found["elbo_gap"].value == pytest.approx(found["fit_gap"].value + found["inference_gap"].value, abs=1e-12)
    assert found["elbo"].value < found["log_likelihood"].value
    assert abs(found["kl"].value) < 3 * found["kl"].error
    assert found["inference_gap"].value == pytest.approx(model.exact_gap(), abs=4 * found["inference_gap"].error)
    parts = {"approximation_gap": model.exact_approximation_gap(), "amortisation_gap": model.exact_amortisation_gap()}
    for name, truth in parts.items():
        assert found[name].value == pytest.approx(truth, abs=4 * found[name].error)
    assert 0 < found["sandwich_width"].value < 0.1
    assert found["sandwich_lower"].value + found["sandwich_width"].value == pytest.approx(found["sandwich_upper"].value)
    assert scores.arrays["samples"].shape == (1_000, 6)
    shapes = {name: tuple(array.shape) for name, array in scores.arrays.items()}
    assert {shapes[name] for name in ("log_prob", "elbo", "pareto_k", "effective_samples")} == {(200,)}
    assert torch.allclose(scores.arrays["log_prob"], model.exact_log_prob(test[:200]), atol=0.3)


def test_real_data_has_no_divergence() -> None:
    data = replace(held_out(2, 300), log_prob=None)
    found = evaluate(Normal(2), data).values
    assert {found[name].status for name in ("kl", "fit_gap", "elbo_gap")} == {"n/a"}
    assert {found[name].status for name in ("log_likelihood", "elbo", "inference_gap", "w2_squared")} == {"ok"}


def test_samples_alone_have_no_likelihood() -> None:
    found = evaluate(Implicit(), held_out(2)).values
    for name in (*NAMES, *SANDWICH):
        assert found[name].status == "n/a"
        assert found[name].reason
    assert found["w2_squared"].status == "ok"


@pytest.mark.parametrize(
    ("d", "moments", "name", "status"),
    [
        (1, 1.0, "w1", "n/a"),
        (1, 2.0, "w1", "untrusted"),
        (1, 2.5, "w1", "ok"),
        (1, 2.0, "w2_squared", "n/a"),
        (1, 3.0, "w2_squared", "untrusted"),
        (1, 4.5, "w2_squared", "ok"),
        (2, 2.0, "w2_squared", "n/a"),
        (2, 2.0, "sliced_w2_squared", "n/a"),
        (2, 3.0, "sliced_w2_squared", "untrusted"),
        (2, 5.0, "w2_squared_floor", "ok"),
    ],
)
def test_moments_decide_which_distances_exist(d: int, moments: float, name: str, status: str) -> None:
    found = evaluate(Normal(d), held_out(d, 1_000, moments)).values[name]
    assert found.status == status
    assert "moment" in found.reason or status == "ok"


def test_a_failing_metric_costs_no_other_and_changes_no_other() -> None:
    class NoDensity(Normal):
        def log_prob(self, x: Tensor) -> Tensor:
            raise ArithmeticError("no density today")

    whole, broken = evaluate(Normal(2), held_out(2)).values, evaluate(NoDensity(2), held_out(2)).values
    assert broken["kl"].status == broken["log_likelihood"].status == "failed"
    assert broken["kl"].reason == "ArithmeticError: no density today"
    assert broken["w2_squared"] == whole["w2_squared"]

    class NoSamples(Normal):
        def sample(self, n: int, generator: Generator) -> Tensor:
            return torch.full((n, self.d), math.nan)

    broken = evaluate(NoSamples(2), held_out(2)).values
    assert {broken[name].status for name in ("w2_squared", "sliced_w2_squared", "w2_squared_plain")} == {"failed"}
    assert "not finite" in broken["w2_squared"].reason
    assert broken["kl"] == whole["kl"]


def test_a_failing_reference_is_told_by_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("metrics.distances.self_transports", fails)
    data = held_out(2)
    known = reference(data, SIZES, torch.Generator().manual_seed(6))
    monkeypatch.undo()
    found = score(Normal(2), data, known, SIZES, torch.Generator().manual_seed(6)).values
    assert (found["w2_squared"].status, found["w2_squared"].reason) == ("failed", "RuntimeError: out of luck")
    assert found["sliced_w2_squared"].status == "ok"


def test_the_error_of_a_map_is_that_of_the_map_and_not_of_its_law() -> None:
    """T(z) = −1.2 z has the law of the optimal map 1.2 z and is as far from it as can be: |2.4 z|² against |1.2 z|²."""

    class Mirrored(Normal, TransportModel):
        def transport(self, z: Tensor) -> Tensor:
            return -self.scale * z

    z = torch.randn(4_000, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    data = replace(held_out(2), optimal_map=(z, 1.2 * z))
    found = evaluate(Mirrored(2, scale=1.2), data).values
    assert found["map_l2_uvp"].value == pytest.approx(400, rel=5e-3)
    assert found["map_cosine"].value == pytest.approx(-1)
    assert evaluate(Normal(2), data).values["map_l2_uvp"].reason == "the model is not a map of N(0, I)"
    assert evaluate(Mirrored(2), held_out(2)).values["map_cosine"].status == "n/a"


def test_zero_density_is_untrusted_and_counted() -> None:
    class Truncated(Normal):
        def log_prob(self, x: Tensor) -> Tensor:
            return super().log_prob(x).masked_fill(x[:, 0] > 2, -math.inf)

    data = held_out(2)
    found = evaluate(Truncated(2), data).values
    count = int((data.test[:2_000, 0] > 2).sum())
    for name in ("log_likelihood", "kl", "elbo", "elbo_gap", "fit_gap"):
        assert found[name].status == "untrusted"
        assert f"{count} of 2,000" in found[name].reason
    assert found["inference_gap"].value == 0.0


def test_gaussian_on_cauchy_is_untrusted() -> None:
    normal = torch.randn(2, 4_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    test = normal[0] / normal[1]
    log_prob = -(math.pi * (1 + test.squeeze(1).square())).log()
    found = evaluate(Normal(1), HeldOut(test, log_prob, 1.0)).values
    assert found["w1"].status == found["w2_squared"].status == "n/a"
    assert found["log_likelihood"].status == found["kl"].status == "untrusted"
    assert found["kl"].value is not None


def test_the_same_generator_gives_the_same_bits_and_the_global_one_is_left_alone() -> None:
    model = LinearVAE(3, 4, shift=1.0)
    test = model.sample(1_000, torch.Generator().manual_seed(1))
    data = HeldOut(test, model.exact_log_prob(test), math.inf)
    before = torch.get_rng_state()
    first, second = evaluate(model, data), evaluate(model, data)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.values == second.values
    assert all(torch.equal(first.arrays[name], second.arrays[name]) for name in first.arrays)


def test_reference_travels_and_is_small() -> None:
    data = held_out(16, 20_000)
    sizes = Sizes(wasserstein=500, batches=4, sliced=10_000, projections=64)
    generator = torch.Generator().manual_seed(0)
    known = reference(data, sizes, generator)
    sent = pickle.dumps(known)
    assert len(sent) < 200_000
    seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
    here = score(Normal(16), data, known, sizes, seeds[0])
    assert here.values == score(Normal(16), data, pickle.loads(sent), sizes, seeds[1]).values


def test_few_data_are_used_as_they_are() -> None:
    found = evaluate(Normal(2), held_out(2, 61)).values
    assert found["w2_squared"].status == found["kl"].status == "ok"
    assert "too few" in evaluate(Normal(2), held_out(2, 3)).values["w2_squared"].reason


def rule(d: int, count: int) -> Rule:
    """The trapezoidal rule for N(0, I)."""
    axis = torch.linspace(-9, 9, count, dtype=torch.float64)
    x = torch.cartesian_prod(*[axis] * d).view(-1, d)
    log_prob = Normal(d).log_prob(x)
    return Rule(x, log_prob.exp() * float(axis[1] - axis[0]) ** d, log_prob)


@pytest.mark.parametrize("d", [1, 2])
def test_an_integrated_divergence_is_the_closed_form(d: int) -> None:
    data = replace(held_out(d), rules=(rule(d, 101), rule(d, 51)))
    found = evaluate(Normal(d, 0.5, 1.5), data).values
    truth = d / 2 * ((1 + 0.25) / 2.25 - 1 + math.log(2.25))
    assert found["kl"].value == pytest.approx(truth, abs=1e-9)
    assert found["fit_gap"] == found["kl"]
    assert found["elbo_gap"].value == found["kl"].value


def test_an_integrated_divergence_of_a_latent_model_is_the_closed_form() -> None:
    model = LinearVAE(2, 2, sigma=0.8, shift=0.5)
    data = replace(held_out(2), rules=(rule(2, 61), rule(2, 45)))
    found = evaluate(model, data).values
    law = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    truth = float(torch.distributions.kl_divergence(law, model.marginal()))
    assert found["kl"].value == pytest.approx(truth, abs=1e-9)
    assert found["kl"].error < 1e-9
    assert found["elbo_gap"].value == found["kl"].value + found["inference_gap"].value
    assert found["inference_gap"].value == pytest.approx(model.exact_gap(), abs=4 * found["inference_gap"].error + 1e-9)


def test_spikes_between_the_nodes_are_noticed() -> None:
    class Comb(Normal):
        """Ripples of a density, far narrower than a cell of the rule, that are the same at all nodes."""

        def log_prob(self, x: Tensor) -> Tensor:
            return super().log_prob(x) + (2 * math.pi * x[:, 0] / 0.18).cos()

    found = evaluate(Comb(1), replace(held_out(1), rules=(rule(1, 101), rule(1, 51)))).values
    assert found["kl"].status == "untrusted"
    assert "held-out points say" in found["kl"].reason


def test_a_sum_is_untrusted_if_a_part_is() -> None:
    kl, fine = Score.of(0.2, 0.01), Score.of(0.3, 0.02)
    whole = likelihood.with_integral({"inference_gap": fine, "elbo": fine}, kl)
    assert (whole["elbo_gap"].value, whole["elbo_gap"].status) == (0.5, "ok")
    assert whole["elbo"] == fine
    doubtful = replace(fine, status="untrusted", reason="a tail")
    doubted = likelihood.with_integral({"inference_gap": doubtful}, kl)["elbo_gap"]
    assert (doubted.value, doubted.status, doubted.reason) == (0.5, "untrusted", "a tail")
    nothing = Score.absent("untrusted", "not finite")
    assert likelihood.with_integral({"inference_gap": fine}, nothing)["elbo_gap"] == nothing
