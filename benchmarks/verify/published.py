"""Figures that were published, or measured before this code was written, made again."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Generator
from torch.distributions import MultivariateNormal

from benchmarks.verify import closed_forms, draws
from benchmarks.verify.check import Check
from benchmarks.verify.draws import mean_and_error
from metrics import importance
from metrics.averages import mean_score
from metrics.linear_vae import LinearVAE
from metrics.modes import Bank
from metrics.transport import solve, solve_sorted
from models.base import draw
from models.gaussian import Gaussian

GROUP = "published"
LINE = "Bobkov & Ledoux 2019; Caracciolo, D'Achille & Sicuro 2017: 1/(3(n + 1))"
SQUARE = "Caracciolo et al. 2014, Ambrosio, Stra & Trevisan 2019: n E W2² = ln(n)/2π + O(1)"
DAMM = "the sum of entropies at a stationary point (Damm et al. 2023)"
# Mean log-likelihood of probabilistic PCA at so many latents on 1,500 digits, measured independently before this code.
DIGITS = {2: 3.7237, 8: 17.755, 16: 27.316}


def matching_on_the_line(generator: Generator) -> list[Check]:
    """E W2² of n uniform points against n others on [0, 1]."""
    checks = []
    for n in (10, 100, 1_000):
        points = np.sort(draws.uniform(generator, 4_000, 2, n))
        mean, error = mean_and_error(np.array([solve_sorted(x, y, 2).cost for x, y in points]))
        checks.append(Check(GROUP, f"E W2² of {n:,} uniform points on [0, 1]", 1 / (3 * (n + 1)), mean, error, LINE))
    return checks


def matching_in_the_square(generator: Generator) -> list[Check]:
    """The growth of n E W2² from n to 4n uniform points against as many, on the unit square: ln 4 / 2π."""

    def scaled(n: int, repetitions: int) -> tuple[float, float]:
        points = draws.uniform(generator, repetitions, 2, n, 2)
        return mean_and_error(np.array([n * solve(x, y).cost for x, y in points]))

    (few, few_error), (many, many_error) = scaled(200, 1_200), scaled(800, 240)
    name = "growth of n E W2² in the unit square, n = 200 to 800"
    error = math.hypot(few_error, many_error)
    return [Check(GROUP, name, math.log(4) / (2 * math.pi), many - few, error, SQUARE, tolerance=0.02)]


def principal_components(_: Generator) -> list[Check]:
    """Probabilistic PCA on the digits: scikit-learn, this suite's closed form, and the sum of three entropies."""
    numbers = np.random.default_rng(0)  # the noise and the split of the figures that were measured before
    pixels = load_digits().data
    x = ((pixels + numbers.uniform(size=pixels.shape)) / 17)[numbers.permutation(len(pixels))[:1_500]]
    checks = []
    for k, figure in DIGITS.items():
        covariance, sigma2 = closed_forms.principal_components(x, k)
        law = MultivariateNormal(torch.from_numpy(x.mean(0)), torch.from_numpy(covariance))
        score = float(law.log_prob(torch.from_numpy(x)).mean())
        theirs = float(PCA(k).fit(x).score(x))
        entropies = _entropies(x.shape[1], k, sigma2, covariance)
        name = f"probabilistic PCA of the digits, {k} latents: "
        checks += [
            # scikit-learn divides by n − 1, at which the likelihood of the training set is a little lower.
            Check(GROUP, f"{name}log p", theirs, score, 0.0, "sklearn.decomposition.PCA.score", tolerance=1e-4),
            Check(
                GROUP,
                f"{name}measured before",
                figure,
                score,
                0.0,
                "an independent measurement from before this code",
                tolerance=6e-4,
            ),
            Check(GROUP, f"{name}ELBO", entropies, score, 0.0, DAMM, tolerance=1e-8),
        ]
    return checks


def _entropies(d: int, k: int, sigma2: float, covariance: np.ndarray) -> float:
    """E H[q(z|x)] − H[p(z)] − E H[p(x|z)]: with q exact, log det of the posterior is log(σ^2d / det C)."""
    unit = math.log(2 * math.pi * math.e)
    posterior = (k * unit + d * math.log(sigma2) - float(np.linalg.slogdet(covariance)[1])) / 2
    return posterior - k * unit / 2 - d * (unit + math.log(sigma2)) / 2


def entropy(generator: Generator) -> list[Check]:
    """−E log p of a fitted Gaussian at its own samples: ½ log det 2πe Σ."""
    checks = []
    for d in (1, 4, 32):
        root = torch.from_numpy(np.eye(d) + 0.5 * draws.normal(generator, d, d) / math.sqrt(d))
        model = Gaussian()
        model.fit(torch.randn(2_000, d, generator=generator, dtype=torch.float64) @ root.T, generator)
        score = mean_score(-model.log_prob(model.sample(20_000, generator)), "−log p")
        assert score.value is not None
        assert score.error is not None
        truth = closed_forms.gaussian_entropy((model.scale_tril @ model.scale_tril.T).numpy())
        checks.append(
            Check(GROUP, f"entropy of a Gaussian, d = {d}", truth, score.value, score.error, "½ log det 2πe Σ")
        )
    return checks


def importance_weighting(generator: Generator) -> list[Check]:
    """Where importance weighting from the encoder fails by tens of nats, this suite's estimate does not.

    A linear model, 16 latents and 64 dimensions, its encoder 2.5 posterior deviations off and diagonal.
    """
    model = LinearVAE(16, 64, shift=2.5, diagonal=True)
    x, _ = importance.draw_joint(model, 200, generator)
    exact = model.exact_log_prob(x)
    q = model.posterior(x)
    z = draw(q, (1_000,), generator)
    weights = model.likelihood(z).log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)
    naive = (weights.logsumexp(0) - math.log(1_000) - exact).numpy()
    estimate = importance.log_prob(model, x, 1_000, Bank.of(model, generator), generator)
    bias = float(estimate.variance.mean()) / 2
    mean, error = mean_and_error((estimate.log_prob - exact).numpy())
    source = "Burda et al. 2016's bound, 1,000 draws"
    return [
        Check(
            GROUP, "IWAE-1,000's shortfall, 16 latents, poor encoder", -5.0, *mean_and_error(naive), source, "at most"
        ),
        Check(GROUP, "ours on the same points", 0.0, mean, math.hypot(error, bias), "exact log p"),
    ]


CHECKS = (matching_on_the_line, matching_in_the_square, principal_components, entropy, importance_weighting)
