"""A mixture of Gaussians by expectation–maximisation: the classical universal approximator, and no network at all.

What finitely many Gaussians can do where they may be placed anywhere: the yardstick for models that bend a single one.
Scikit-learn's EM (Dempster, Laird, Rubin 1977), begun by k-means. The fit is a function, so that a model can give its
codes the same density.
"""

from __future__ import annotations

import warnings
from itertools import product

import torch
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning
from torch import Generator, Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from models.base import Budget, DensityModel, History, draw
from models.whitening import Whitening

FEW = (1, 2, 4)
REGULARISATIONS = (1e-5, 1e-3, 1e-1)
CHUNK = 1024


class GaussianMixture(DensityModel):
    """p(x) = Σ_j π_j N(x; m_j, S_j) with full covariances; held-out training rows choose how many components."""

    weights: Tensor
    means: Tensor
    scale_trils: Tensor

    def __init__(self, components: int | None = None, iterations: int = 40) -> None:
        """components: the most that are tried; None is 512 / d, at most 64. iterations: of EM, at most, in each fit."""
        super().__init__()
        self.components = components
        self.iterations = iterations

    def fit(self, x: Tensor, generator: Generator, budget: Budget = Budget()) -> History:
        """EM on x (n, d); see `fit_mixture`."""
        most = max(1, min(64, 512 // x.shape[1])) if self.components is None else self.components
        self._hold(*fit_mixture(x, most, budget.steps(self.iterations), generator))
        return History()

    def _hold(self, weights: Tensor, means: Tensor, scale_trils: Tensor) -> None:
        self.register_buffer("weights", weights)
        self.register_buffer("means", means)
        self.register_buffer("scale_trils", scale_trils)

    def distribution(self) -> MixtureSameFamily:
        """p, of event shape (d,)."""
        return normal_mixture(self.weights, self.means, self.scale_trils)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n samples, (n, d)."""
        p = self.distribution()
        return torch.cat([draw(p, (min(CHUNK, n - start),), generator) for start in range(0, n, CHUNK)])

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (n,), for x (n, d)."""
        p = self.distribution()
        return torch.cat([p.log_prob(chunk) for chunk in x.split(CHUNK)])


def normal_mixture(weights: Tensor, means: Tensor, scale_trils: Tensor) -> MixtureSameFamily:
    """Σ_j π_j N(m_j, L_j L_jᵀ) from weights (K,), means (K, d) and Cholesky factors (K, d, d)."""
    return MixtureSameFamily(
        Categorical(logits=weights.log(), validate_args=False),  # by its weights, torch would give 0 a log of −36
        MultivariateNormal(means, scale_tril=scale_trils, validate_args=False),
        validate_args=False,
    )


def fit_mixture(x: Tensor, most: int, iterations: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (K,), means (K, d) and Cholesky factors (K, d, d) of a mixture of K ≤ `most` Gaussians for x (n, d).

    EM runs in whitened coordinates, where one number regularises every direction: it is added to all variances, and
    without it a component could shrink onto a few rows. A tenth of the rows (at most 2,000) is held out. Their mean
    log-density chooses that number and K among 1, 2 and 4, where fits are cheap; then K doubles while they gain.
    """
    whitening = Whitening(x)
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    order = torch.randperm(len(x), generator=generator)
    held = max(1, min(2000, len(x) // 10))
    y = whitening(x)[order].numpy()
    held_out, y = y[:held], y[held:]
    most = max(1, min(most, len(y) // 4))

    def fitted(components: int, regularisation: float) -> mixture.GaussianMixture:
        em = mixture.GaussianMixture(components, reg_covar=regularisation, max_iter=iterations, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a budget may be for two iterations
            return em.fit(y)

    few = [fitted(count, number) for count, number in product(FEW, REGULARISATIONS) if count <= most]
    scores = [em.score(held_out) for em in few]
    score, best = max(scores), few[scores.index(max(scores))]
    while FEW[-1] <= best.n_components <= most // 2:
        more = fitted(2 * best.n_components, best.reg_covar)
        if not more.score(held_out) > score:
            break
        score, best = more.score(held_out), more

    factors = torch.linalg.cholesky(torch.from_numpy(best.covariances_))
    weights = torch.from_numpy(best.weights_)
    return weights, whitening.inverse(torch.from_numpy(best.means_)), _triangular(whitening.root @ factors)


def _triangular(factors: Tensor) -> Tensor:
    """The Cholesky factors of F Fᵀ, for F (K, d, d), without the products, which would square their condition."""
    lower = torch.linalg.qr(factors.mT).R.mT
    return lower * lower.diagonal(dim1=1, dim2=2).sign()[:, None, :]
