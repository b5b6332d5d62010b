from __future__ import annotations

import pytest
import torch

from benchmarks import lookup
from benchmarks.picture import density_on_grid
from metrics import likelihood, quadrature
from metrics.modes import Bank
from models.base import Budget
from models.gaussian_vae import GaussianVAE


@pytest.mark.parametrize("latent_dim", [1, 2])
@pytest.mark.parametrize("name", ["bimodal", "eight_gaussians"])
def test_the_picture_is_the_density_that_is_scored(name, latent_dim):
    target = lookup.find("target", name).load()()
    generator = torch.Generator().manual_seed(0)
    model = GaussianVAE(latent_dim=latent_dim, hidden=16)
    model.fit(target.sample(500, generator), generator, Budget(effort=0.02))
    density = density_on_grid(model, target)
    low, high = target.window()
    count = len(density)
    axes = [torch.linspace(float(a), float(b), count, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
    index = torch.randint(count, (20, target.dimension), generator=generator)
    x = torch.stack([axis[index[:, i]] for i, axis in enumerate(axes)], dim=1)
    with torch.no_grad():
        expected = likelihood.log_prob(model, x, 400, Bank.of(model, generator), generator).log_prob.exp()
    # The score takes a coarser grid than the picture's where half of its nodes agree with it to AGREEMENT nats.
    torch.testing.assert_close(density[tuple(index.T)].double(), expected, rtol=quadrature.AGREEMENT, atol=1e-6)
