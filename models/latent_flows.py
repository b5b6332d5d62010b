"""A small spline flow over latents, with or without a context: what makes a prior or a posterior not Gaussian."""

from __future__ import annotations

from nflows.transforms import CompositeTransform, ReversePermutation, Transform
from torch import Generator, Tensor, nn

from models.seeding import seeded
from models.splines import BOUND, SplineCoupling

HIDDEN = 64
BINS = 8


class LatentFlow(nn.Module):
    """T, near the identity at the start: couplings of rational-quadratic splines (Durkan et al. 2019)."""

    def __init__(self, features: int, layers: int, generator: Generator, context: int = 0) -> None:
        """features: k. layers: couplings. context: c, how many numbers steer the map; 0 for a single map."""
        super().__init__()
        transforms: list[Transform] = []
        with seeded(generator):
            for _ in range(layers):
                # Reversed, so that every coordinate has its turn in either half.
                transforms += [ReversePermutation(features)] if features > 1 else []
                transforms += [SplineCoupling(features, HIDDEN, BINS, BOUND, own=True, context=context)]
        self.transform = CompositeTransform(transforms).to(generator.device)

    def push(self, noise: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """T(ε; c) (..., k) and log |det ∂T/∂ε| (...), for ε (..., k) and c (..., c), which broadcast."""
        return _flat(self.transform.forward, noise, context)

    def pull(self, value: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """T⁻¹(u; c) (..., k) and log |det ∂T⁻¹/∂u| (...), for u (..., k) and c (..., c), which broadcast."""
        return _flat(self.transform.inverse, value, context)


def _flat(transform, value: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    """nflows knows one batch dimension."""
    if context is not None:
        context = context.expand(*value.shape[:-1], -1).reshape(-1, context.shape[-1])
    found, log_det = transform(value.reshape(-1, value.shape[-1]), context)
    return found.view(value.shape), log_det.view(value.shape[:-1])
