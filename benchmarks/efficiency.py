"""How much error a CPU second buys: the suite's estimate of log p_θ(x) against plain importance-weighted bounds.

`python -m benchmarks.efficiency [--out FOLDER]`: one process, one thread, CPU seconds by `time.process_time`. The rival
is IWAE-N (Burda, Grosse and Salakhutdinov 2016): N draws from the encoder, nothing else.

The suite's own estimate is multiple importance sampling, and for one or two latents quadrature, which is exact: there
both are shown.

Two ways to divide accuracy by cost are shown. `efficiency` is 1 / (rmse² × CPU seconds a point), the statistician's
(Hammersley and Handscomb 1964): rmse² of an unbiased mean falls like 1/cost, so that it does not depend on N, and the
ratio of two of them is the ratio of times to equal error. `rmse × s`, the error times the CPU seconds a point, is the
plain one. Where IWAE is mostly bias, as in the hard cases, its rmse hardly falls with N: it then looks better the fewer
its draws, and neither measure would call it right. The ratios are to IWAE-1000; above one is better.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Generator, Tensor

from benchmarks.cell import single_threaded
from benchmarks.lookup import find
from benchmarks.seeds import generator
from benchmarks.targets.base import Target
from metrics import Sizes, importance, likelihood, quadrature
from metrics.linear_vae import LinearVAE
from metrics.modes import Bank
from models.base import Budget, LatentModel, draw
from models.gaussian_vae import GaussianVAE

RIVAL = "IWAE-1000"
OURS = "multiple importance sampling"
REFERENCE_SAMPLES = 20_000
_ROWS = 40_000


class Case(NamedTuple):
    """Points x (n, d) of a model, and between what log p_θ lies at them (n,): twice the same where it is exact."""

    name: str
    truth: str
    model: LatentModel
    x: Tensor
    lower: Tensor
    upper: Tensor


def iwae(model: LatentModel, x: Tensor, samples: int, generator: Generator) -> Tensor:
    """log (1/N) Σ p(x, z_i) / q(z_i|x) with z_i from the encoder, (n,) for x (n, d); Burda et al. 2016, eq. 8."""
    found = []
    for rows in x.split(max(1, _ROWS // samples)):
        q = model.posterior(rows)
        z = draw(q, (samples,), generator)
        log_joint = model.likelihood(z).log_prob(rows) + model.prior().log_prob(z)
        found.append((log_joint - q.log_prob(z)).logsumexp(0) - math.log(samples))
    return torch.cat(found)


def linear_case(name: str, k: int, d: int, points: int, **encoder: float | bool) -> Case:
    """A linear VAE on its own samples; log p_θ in closed form. `encoder`: the flaws that `LinearVAE` knows."""
    model = LinearVAE(k, d, **encoder)  # type: ignore[arg-type]
    x, _ = importance.draw_joint(model, points, generator("efficiency", case=name))
    exact = model.exact_log_prob(x)
    return Case(name, "closed form", model, x, exact, exact)


def trained_case(points: int, effort: float = 1.0) -> Case:
    """A VAE with two latents, trained by the ELBO on eight Gaussians, at held-out points; log p_θ by quadrature."""
    name = "eight_gaussians VAE, 2 latents"
    noise = generator("efficiency", case=name)
    model, test = _trained(GaussianVAE(latent_dim=2), "eight_gaussians", points, noise, effort)
    values = torch.cat([_midpoint_rule(model, rows) for rows in test.split(16)])
    return Case(name, "midpoint rule", model, test, values, values)


def _midpoint_rule(model: LatentModel, x: Tensor, cells: int = 1_000, reach: float = 8.0) -> Tensor:
    """log ∫ p(x|z) N(z; 0, I) dz over two latents by a million cells, (n,): independent of the suite's quadrature."""
    width = 2 * reach / cells
    axis = -reach + width * (torch.arange(cells, dtype=torch.float64) + 0.5)
    total = torch.full((len(x),), -torch.inf, dtype=torch.float64)
    for row in axis.split(50):
        z = torch.cartesian_prod(row, axis)
        log_joint = model.likelihood(z).log_prob(x[:, None]) + model.prior().log_prob(z)
        total = torch.logaddexp(total, log_joint.logsumexp(1))
    return total + 2 * math.log(width)


def digits_case(points: int, effort: float = 1.0) -> Case:
    """A VAE with 16 latents trained on digits, at its own samples; between bounds by bidirectional Monte Carlo."""
    name = "digits VAE, 16 latents"
    noise = generator("efficiency", case=name)
    model, _ = _trained(GaussianVAE(), "digits", 1, noise, effort)
    x, z = importance.draw_joint(model, points, noise)
    lower, upper = importance.sandwich(model, x, z, REFERENCE_SAMPLES, Bank.of(model, noise), noise)
    return Case(name, "bounds", model, x, lower, upper)


def default_cases(points: int = 100) -> list[Case]:
    """The easy case first, for honesty (an encoder right but 1.2 times too wide); then the hard ones."""
    return [
        linear_case("linear, good encoder", 16, 64, points, widen=1.2),
        linear_case("linear, diagonal encoder", 16, 64, points, diagonal=True),
        linear_case("linear, shifted diagonal encoder", 16, 64, points, shift=2.5, diagonal=True),
        trained_case(points),
        digits_case(points),
    ]


def compare(
    cases: list[Case], sizes: tuple[int, ...] = (100, 1_000, 5_000), samples: int = Sizes().importance_samples
) -> pd.DataFrame:
    """One row per case and method: errors in nats per point, cost in CPU ms per point, efficiency and its ratios.

    sizes: the N of the IWAE-N, one of them 1,000 if the ratios are to be there. samples: those of the suite's
    estimate, by default the standard suite's. The bank of decoded prior draws, made once per model, is counted in the
    suite's cost. The error is the distance to the middle of the two bounds, whose mean half-width is `truth ±`.
    """
    rows = []
    for case in cases:
        methods = {f"IWAE-{size}": _iwae_of(case, size) for size in sizes}
        methods[OURS] = _ours_of(case, samples)
        if quadrature.grid(case.model.prior()) is not None:
            methods["quadrature"] = _quadrature_of(case, samples)
        rows += [_row(case, method, run) for method, run in methods.items()]
    table = pd.DataFrame(rows)
    return table.groupby("case", sort=False, group_keys=False)[table.columns.tolist()].apply(_with_ratios)


def _iwae_of(case: Case, size: int) -> Callable[[Generator], Tensor]:
    return lambda noise: iwae(case.model, case.x, size, noise)


def _ours_of(case: Case, samples: int) -> Callable[[Generator], Tensor]:
    return lambda noise: importance.log_prob(case.model, case.x, samples, Bank.of(case.model, noise), noise).log_prob


def _quadrature_of(case: Case, samples: int) -> Callable[[Generator], Tensor]:
    def run(noise: Generator) -> Tensor:
        return likelihood.log_prob(case.model, case.x, samples, Bank.of(case.model, noise), noise).log_prob

    return run


def _row(case: Case, method: str, run: Callable[[Generator], Tensor]) -> dict[str, str | float]:
    noise = generator("efficiency", case=case.name, method=method)
    start = time.process_time()
    values = run(noise)
    seconds = (time.process_time() - start) / len(case.x)
    error = values - (case.lower + case.upper) / 2
    rmse = float(error.square().mean().sqrt())
    return {
        "case": case.name,
        "truth": case.truth,
        "truth ±": float((case.upper - case.lower).mean()) / 2,
        "method": method,
        "bias": float(error.mean()),
        "rmse": rmse,
        "ms/point": 1e3 * seconds,
        "efficiency": 1 / (rmse**2 * seconds),
        "rmse × s": rmse * seconds,
    }


def _with_ratios(rows: pd.DataFrame) -> pd.DataFrame:
    rival = rows[rows["method"] == RIVAL]
    if rival.empty:
        return rows
    return rows.assign(
        **{
            "× efficiency": rows["efficiency"] / rival["efficiency"].iloc[0],
            "× rmse × s": rival["rmse × s"].iloc[0] / rows["rmse × s"],
        }
    )


def _trained(model: GaussianVAE, name: str, points: int, noise: Generator, effort: float) -> tuple[LatentModel, Tensor]:
    target: Target = find("target", name).load()()
    train, test = target.split(20_000, points, noise)
    with torch.enable_grad():
        model.fit(train, noise, Budget(effort=effort))
    return model.double(), test


def main(arguments: list[str] | None = None) -> None:
    """Print the table as Markdown; with --out, keep it as likelihood_efficiency.csv and .md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficiency", description=__doc__)
    parser.add_argument("--points", type=int, default=100, help="points per case (default: 100)")
    parser.add_argument("--out", type=Path, help="a folder for likelihood_efficiency.csv and .md")
    options = parser.parse_args(arguments)
    if options.points < 2:
        parser.error(f"--points {options.points}: an error needs at least two points")
    with single_threaded(), torch.no_grad():
        table = compare(default_cases(options.points))
    text = table.to_markdown(index=False, floatfmt=".3g")
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / "likelihood_efficiency.csv", index=False, lineterminator="\n")
        (options.out / "likelihood_efficiency.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
