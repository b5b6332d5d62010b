"""What a fitted model says of points, by the method that says it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from benchmarks.checks.fits import normal, seeded
from models.base import DensityModel, LatentModel, Model, TransportModel, draw

Output = tuple[str, Tensor, tuple[int, ...]]


def outputs(model: Model, x: Tensor) -> Iterator[Output]:
    """(method, what it returned, the shape that it should have) for points x (n, d), whatever the model can do."""
    n, d = x.shape
    yield "sample", model.sample(n, seeded(5)), (n, d)
    if isinstance(model, TransportModel):
        yield "transport", model.transport(normal(n, d, seed=6)), (n, d)
    if isinstance(model, DensityModel):
        yield "log_prob", model.log_prob(x), (n,)
    if isinstance(model, LatentModel):
        posterior = model.posterior(x)
        z = draw(posterior, (), seeded(7))
        yield "posterior", posterior.log_prob(z), (n,)
        yield "prior", model.prior().log_prob(z), (n,)
        yield "likelihood", model.likelihood(z).log_prob(x), (n,)
