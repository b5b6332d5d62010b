"""Mixtures of Gaussians in any dimension: the density and the sampler that several targets share."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from benchmarks.targets.quadrature import CachedEntropy, chunked, sobol_normal


class GaussianMixture(CachedEntropy):
    """p(x) = Σ_k w_k N(x; μ_k, L_k L_kᵀ): weights (K,), means μ (K, d), scales L (K, d, d), lower triangular."""

    def __init__(self, weights: Tensor, means: Tensor, scales: Tensor) -> None:
        """Take weights that sum to 1, means and lower triangular Cholesky factors, all float64."""
        self.weights, self.means, self.scales = weights, means, scales
        self.dimension = means.shape[1]
        self._whiten = torch.linalg.inv(scales)
        log_det = scales.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        self._log_heights = weights.log() - log_det - 0.5 * self.dimension * math.log(2 * math.pi)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent samples, (n, d): each its own component."""
        uniform = torch.rand(n, generator=generator, dtype=torch.float64)
        component = torch.bucketize(uniform, self.weights.cumsum(dim=0)[:-1], right=True)
        noise = torch.randn(n, self.dimension, generator=generator, dtype=torch.float64)
        return self.means[component] + torch.einsum("nij,nj->ni", self.scales[component], noise)

    def log_components(self, x: Tensor) -> Tensor:
        """log w_k + log N(x; μ_k, Σ_k) in nats, (n, K), for x (n, d)."""
        whitened = torch.einsum("kij,nkj->nki", self._whiten, x[:, None] - self.means)
        return self._log_heights - 0.5 * whitened.square().sum(dim=2)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) in nats, (n,), for x (n, d)."""
        return chunked(lambda part: self.log_components(part).logsumexp(dim=1), x, self.means.numel())

    def integrate_entropy(self) -> float:
        """The entropy in nats: H(k) + H(x | k), in closed form, less H(k | x), by quasi-Monte Carlo.

        The better the components are separated, the smaller the part that is not a closed form, and the error with it.
        """
        gaussian = 0.5 * self.dimension * (1 + math.log(2 * math.pi))
        components = gaussian + self.scales.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        noise = sobol_normal(1 << 14, self.dimension, seed=0)
        posteriors = [
            self.log_components(mean + noise @ scale.T).log_softmax(dim=1)[:, k].mean()
            for k, (mean, scale) in enumerate(zip(self.means, self.scales, strict=True))
        ]
        return float((self.weights * (components - self.weights.log() + torch.stack(posteriors))).sum())


def scalar_mixture(components: list[tuple[float, float, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and scales of a `GaussianMixture` on the line, from (weight, mean, standard deviation) triples."""
    weights, means, deviations = torch.tensor(components, dtype=torch.float64).T
    return weights / weights.sum(), means[:, None], deviations[:, None, None]
