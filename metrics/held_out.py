"""What models are scored on, and at how many points."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metrics.integral import Rule


@dataclass(frozen=True)
class Sizes:
    """How many points each metric uses: what a suite sets; by default as the standard suite does.

    A metric uses fewer where there are fewer.

    wasserstein: points in a batch of the exact W2; batches: how many of them; sliced: points of the sliced W2, and of
    W1 and W2 in one dimension; projections: directions of the sliced W2; likelihood: held-out points for exact
    log-densities, and points at which maps are compared; latent: held-out points for a latent-variable model;
    importance_samples: draws per such point; gaps: how many of those points are used to split the inference gap.
    """

    wasserstein: int = 800
    batches: int = 5
    sliced: int = 20_000
    projections: int = 256
    likelihood: int = 5_000
    latent: int = 200
    importance_samples: int = 400
    gaps: int = 48


@dataclass(frozen=True)
class HeldOut:
    """What models of one target and replicate are scored on, the same for all of them.

    test: (m, d) held-out samples, float64; its halves are the Q and Q′ of the Wasserstein distances.
    log_prob: log p*(test) (m,), None for real data. moments: E|x|^r is finite for every r below this.
    rules: quadratures under p*, each finer than the last, where the target has them (one and two dimensions): two or
    more, or none.
    optimal_map: points z (m, d) of N(0, I) and T*(z) (m, d), where the optimal map to the target is known.
    """

    test: Tensor
    log_prob: Tensor | None
    moments: float
    rules: tuple[Rule, ...] = ()
    optimal_map: tuple[Tensor, Tensor] | None = None
