"""An autoencoder with an L2 penalty on its code: the "pseudo-VAE" of the seed question.

It has no prior and no noise of its own. It gets them after training (ex-post density estimation, Ghosh et al. 2020,
section 4): a Gaussian fitted to its codes, the noise σ that makes its training set most likely, and around each code
the posterior covariance that both of them imply. From there it is a latent-variable model like any other.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from models.base import LatentModel
from models.networks import LinearPlus
from models.training import GradientTrained, Recipe
from models.whitening import Standardization

# Between these σ, in the data's own standard deviations, the most likely one is looked for.
NOISE_BOUNDS = (1e-4, 2.0)


class L2Autoencoder(GradientTrained, LatentModel):
    """min ‖y − g(f(y))‖² + β ‖f(y)‖², then p(z) = N(m, S), p(x|z) = N(g(z), σ²); Ghosh et al. 2020, eq. 11."""

    code_mean: Tensor
    code_scale_tril: Tensor
    log_noise: Tensor

    def __init__(self, latent_dim: int | None = None, hidden: int = 64, depth: int = 2, penalty: float = 1e-2) -> None:
        """latent_dim: k; by default the data's dimension, at most 16. penalty: β, on the squared norm of the code."""
        super().__init__()
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.depth = depth
        self.penalty = penalty
        self.recipe = Recipe(steps=2000, batch_size=128, learning_rate=5e-3, weight_decay=1e-4)

    def build(self, x: Tensor, generator: Generator) -> None:
        """Both networks, near the principal components of x (n, d), and room for what is estimated ex post."""
        d = x.shape[1]
        k = self.latent_dim or min(d, 16)
        self.whitening = Standardization(x)
        y = self.whitening(x)
        components = torch.linalg.eigh(y.T @ y).eigenvectors.flip(1)[:, :k]  # (d, k), the widest first
        # An eigenvector has no sign of its own, and rounding must not choose it.
        direction = torch.randn(d, generator=generator, dtype=x.dtype, device=x.device)
        components = components * (direction @ components).sign()
        if k > d:
            components = nn.functional.pad(components, (0, k - d))
        self.encoder = LinearPlus(d, k, self.hidden, self.depth, generator).beginning_at(components.T)
        self.decoder = LinearPlus(k, d, self.hidden, self.depth, generator).beginning_at(components)
        self.register_buffer("code_mean", torch.zeros(k, device=x.device))
        self.register_buffer("code_scale_tril", torch.eye(k, device=x.device))
        self.register_buffer("log_noise", torch.zeros((), device=x.device))

    def prepare(self, x: Tensor, generator: Generator) -> Tensor:
        """Whitened rows (n, d), in single precision."""
        return self.whitening(x).float()

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """Squared reconstruction error and the penalty, of whitened rows (batch, d), in units of the data's own sd."""
        code = self.encoder(x)
        return ((x - self.decoder(code)).square().sum(-1) + self.penalty * code.square().sum(-1)).mean()

    def finish(self, x: Tensor, generator: Generator) -> None:
        """Ex post, by maximum likelihood on x (n, d): the density of the codes, then σ."""
        self.estimate_prior(self.encoder(self.whitening(x)), generator)
        self.log_noise = self._most_likely_log_noise(x[:500], generator)

    def estimate_prior(self, code: Tensor, generator: Generator) -> None:
        """p(z) from the codes (n, k) of the training set: here their mean and covariance."""
        centred = code - code.mean(dim=0)
        k = code.shape[1]
        covariance = centred.T @ centred / len(code) + 1e-9 * torch.eye(k, dtype=code.dtype, device=code.device)
        self.code_mean = code.mean(dim=0)
        self.code_scale_tril = torch.linalg.cholesky(covariance)

    def prior(self) -> Distribution:
        """p(z) = N(m, S), the Gaussian of the training set's codes."""
        return MultivariateNormal(self.code_mean, scale_tril=self.code_scale_tril, validate_args=False)

    def likelihood(self, z: Tensor) -> Independent:
        """p(x|z) = N(g(z), σ²) in the data's units."""
        mean = self.whitening.inverse(self.decoder(z))
        scale = (self.whitening.scale * self.log_noise.exp()).expand_as(mean)
        return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """q(z|x) = N(f(x), (JᵀJ/σ² + S⁻¹)⁻¹), J = ∂g/∂z at the code: the Laplace approximation around the code."""
        code, gram = self._code_and_gram(x)
        return self._posterior(code, gram, self.log_noise)

    def prior_precision(self, code: Tensor) -> Tensor:
        """The curvature of −log p(z) that the posterior around a code (..., k) takes from the prior: S⁻¹, (k, k)."""
        return torch.cholesky_inverse(self.code_scale_tril)

    def _code_and_gram(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The codes (..., k) and JᵀJ (..., k, k) there."""
        code = self.encoder(self.whitening(x))
        jacobian = torch.func.vmap(torch.func.jacfwd(self.decoder), chunk_size=4096)(code.reshape(-1, code.shape[-1]))
        gram = jacobian.mT @ jacobian
        return code, gram.reshape(*code.shape, code.shape[-1])

    def _posterior(self, code: Tensor, gram: Tensor, log_noise: Tensor) -> MultivariateNormal:
        precision = gram * (-2 * log_noise).exp() + self.prior_precision(code)
        return MultivariateNormal(code, precision_matrix=precision, validate_args=False)

    def _most_likely_log_noise(self, x: Tensor, generator: Generator, samples: int = 16) -> Tensor:
        """The log σ that maximises the importance-weighted bound on log p(x) (Burda et al. 2016, eq. 8).

        Not the reconstruction residual: where the code has as many dimensions as the data, reconstruction is nearly
        exact and says nothing about how far the decoded Gaussian is from the data. The same noise serves every σ, so
        that the bound is a smooth function of it: searched in steps of about two, then eight times finer around the
        best. Warns if that is the smallest σ, where the likelihood has no maximum (Dai & Wipf 2019).
        """
        code, gram = self._code_and_gram(x)
        y = self.whitening(x)
        noise = torch.randn(samples, *code.shape, generator=generator, dtype=code.dtype, device=code.device)

        def best_of(grid: Tensor) -> int:
            bound = [self._bound(y, self._posterior(code, gram, log_noise), noise, log_noise) for log_noise in grid]
            return int(torch.stack(bound).nan_to_num(-math.inf).argmax())

        low, high = (math.log(bound) for bound in NOISE_BOUNDS)
        coarse = torch.linspace(low, high, 15, dtype=code.dtype, device=code.device)
        best = best_of(coarse)
        if best == 0:
            warnings.warn(
                f"the likelihood still rises at σ = {NOISE_BOUNDS[0]:g} of the data's sd; σ stays there", stacklevel=2
            )
            return coarse[0]
        step = float(coarse[1] - coarse[0])
        fine = coarse[best] + torch.linspace(-step, step, 17, dtype=code.dtype, device=code.device)
        return fine[best_of(fine)]

    def _bound(self, y: Tensor, q: MultivariateNormal, noise: Tensor, log_noise: Tensor) -> Tensor:
        z = q.loc + (q.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        log_joint = Normal(self.decoder(z), log_noise.exp()).log_prob(y).sum(-1) + self.prior().log_prob(z)
        return (log_joint - q.log_prob(z)).logsumexp(dim=0).mean()
