"""The autoencoder with an L2 penalty whose codes get a mixture of Gaussians for a prior, not a single one.

Ex-post density estimation as its authors do it (Ghosh et al. 2020, section 4: a mixture of ten). Beside
`l2_autoencoder`, which is the same up to there, it says what the Gaussian on the codes costs.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.distributions import MixtureSameFamily

from models.gaussian_mixture import fit_mixture, normal_mixture
from models.l2_autoencoder import L2Autoencoder

EM_ITERATIONS = 40


class L2AutoencoderMixture(L2Autoencoder):
    """min ‖y − g(f(y))‖² + β ‖f(y)‖², then p(z) = Σ_j π_j N(m_j, S_j), p(x|z) = N(g(z), σ²)."""

    weights: Tensor
    means: Tensor
    scale_trils: Tensor

    def __init__(
        self,
        latent_dim: int | None = None,
        hidden: int = 64,
        depth: int = 2,
        penalty: float = 1e-2,
        components: int = 16,
    ) -> None:
        """components: the most that are tried; held-out codes choose how many. The others as for `L2Autoencoder`."""
        super().__init__(latent_dim, hidden, depth, penalty)
        self.components = components

    def build(self, x: Tensor, generator: Generator) -> None:
        """As `L2Autoencoder.build`, and room for as many components as may be chosen."""
        super().build(x, generator)
        k = len(self.code_mean)
        self.register_buffer("weights", torch.full((self.components,), 1 / self.components, device=x.device))
        self.register_buffer("means", torch.zeros(self.components, k, device=x.device))
        self.register_buffer("scale_trils", torch.eye(k, device=x.device).repeat(self.components, 1, 1))

    def estimate_prior(self, code: Tensor, generator: Generator) -> None:
        """The mixture of the codes (n, k), by EM. Components that are not chosen have weight 0."""
        super().estimate_prior(code, generator)
        weights, means, scale_trils = fit_mixture(code, self.components, EM_ITERATIONS, generator)
        unused = self.components - len(weights)
        self.weights = torch.cat([weights, weights.new_zeros(unused)])
        self.means = torch.cat([means, self.code_mean.expand(unused, -1)])
        self.scale_trils = torch.cat([scale_trils, self.code_scale_tril.expand(unused, -1, -1)])

    def prior(self) -> MixtureSameFamily:
        """p(z) = Σ_j π_j N(m_j, S_j), the mixture of the training set's codes."""
        return normal_mixture(self.weights, self.means, self.scale_trils)

    def prior_precision(self, code: Tensor) -> Tensor:
        """S_j⁻¹ of the component that is most likely to have made each code (..., k): (..., k, k)."""
        prior = self.prior()
        log_share = prior.mixture_distribution.logits + prior.component_distribution.log_prob(code.unsqueeze(-2))
        return torch.cholesky_inverse(self.scale_trils)[log_share.argmax(dim=-1)]
