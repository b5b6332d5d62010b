"""A Gaussian VAE whose q(z|x) has a full covariance: still Gaussian, but its axes may turn.

Beside `gaussian_vae` it says what the diagonal costs; what it still lacks beside `iwae` is what the Gaussian costs.
"""

from __future__ import annotations

from torch import Generator, Tensor, nn
from torch.distributions import MultivariateNormal

from models.base import draw
from models.networks import LOG_SCALE_BOUNDS, LinearPlus, NormalNetworkWithNoise, Shape
from models.training import Recipe
from models.vae import VAE


class FullCovarianceVAE(VAE):
    """p(z) = N(0, I), p(x|z) = N(μ_θ(z), diag σ²), q(z|x) = N(m_φ(x), L_φ(x) L_φ(x)ᵀ), L lower triangular.

    Kingma & Welling 2019, *An introduction to variational autoencoders*, section 2.5.1.
    """

    recipe = Recipe(steps=5000, batch_size=128, learning_rate=1e-2)

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks and σ, for data like x (n, d)."""
        d, k, shape, noise = self.start(x)
        self.encoder = FullNormalNetwork(d, k, shape, generator)
        self.decoder = NormalNetworkWithNoise(k, d, shape, generator, noise)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative ELBO of whitened rows (batch, d): one reparameterised sample, and the exact KL divergence."""
        q = self.encoder(x)
        z = draw(q, (), generator)
        return (divergence_from_standard_normal(q) - self.decoder(z).log_prob(x)).mean()


class FullNormalNetwork(nn.Module):
    """u ↦ N(m(u), L(u) L(u)ᵀ), L lower triangular with a positive diagonal."""

    def __init__(self, inputs: int, outputs: int, shape: Shape, generator: Generator) -> None:
        super().__init__()
        self.outputs = outputs
        self.network = LinearPlus(inputs, outputs + outputs**2, shape.hidden, shape.depth, generator, shape.gain)

    def forward(self, u: Tensor) -> MultivariateNormal:
        """The normal law of batch shape (...) and event shape (outputs,), for u (..., inputs)."""
        mean, entries = self.network(u).split((self.outputs, self.outputs**2), dim=-1)
        # A whole matrix, of which the upper half is cut off: that is one operation, which `vmap` can map.
        matrix = entries.unflatten(-1, (self.outputs, self.outputs))
        scale = matrix.diagonal(dim1=-2, dim2=-1).clamp(*LOG_SCALE_BOUNDS).exp()
        return MultivariateNormal(mean, scale_tril=matrix.tril(-1) + scale.diag_embed(), validate_args=False)


def divergence_from_standard_normal(q: MultivariateNormal) -> Tensor:
    """KL(N(m, L Lᵀ) ‖ N(0, I)) = ½ (‖L‖² + |m|² − k) − Σ_i log L_ii in nats, of q's batch shape; ‖·‖ Frobenius's."""
    log_det = q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return (q.scale_tril.square().sum((-2, -1)) + q.loc.square().sum(-1) - q.loc.shape[-1]) / 2 - log_det
