"""The autoencoder's ex-post part: the noise is the most likely one, and the codes have the law that they are given."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from models.base import Budget, draw
from models.l2_autoencoder import L2Autoencoder
from models.l2_autoencoder_mixture import L2AutoencoderMixture
from tests.models.fits import normal, seeded


def clusters(n: int, seed: int) -> Tensor:
    """Four clusters of deviation 0.3 at the corners of a square of side 4."""
    return 4.0 * torch.randint(2, (n, 2), generator=seeded(seed)) + 0.3 * normal(n, 2, seed=seed + 1)


def log_prob(model: L2Autoencoder, x: Tensor, samples: int = 400) -> tuple[Tensor, Tensor]:
    """log p (n,) by importance sampling from q, and the ELBO (n,) from the same draws."""
    q = model.posterior(x)
    z = draw(q, (samples,), seeded(5))
    log_weight = model.likelihood(z).log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)
    return log_weight.logsumexp(0) - math.log(samples), log_weight.mean(0)


@pytest.fixture(scope="module")
def fitted() -> dict[str, L2Autoencoder]:
    models = {"gaussian": L2Autoencoder(hidden=32), "mixture": L2AutoencoderMixture(hidden=32)}
    for model in models.values():
        model.fit(clusters(4000, 1), seeded(0), Budget(effort=0.3))
    return models


def test_on_gaussian_data_it_is_nearly_the_gaussian() -> None:
    x, test = (normal(3000, 3, seed=seed) @ normal(3, 3, seed=2) + 5 for seed in (1, 4))
    model = L2Autoencoder(hidden=16)
    model.fit(x, seeded(0), Budget(effort=0.3))
    moments = MultivariateNormal(x.mean(0), torch.cov(x.T))
    assert abs(float((moments.log_prob(test[:500]) - log_prob(model, test[:500])[0]).mean())) < 0.1


def test_a_mixture_on_the_codes_is_worth_what_the_gaussian_misses(fitted: dict[str, L2Autoencoder]) -> None:
    """The target's entropy is ln 4 + 2 · ½ ln(2πe · 0.3²): the mixture comes within 0.1 nats, the Gaussian cannot."""
    test = clusters(1000, 7)
    entropy = math.log(4) + math.log(2 * math.pi * math.e * 0.09)
    gap = {name: -entropy - float(log_prob(model, test)[0].mean()) for name, model in fitted.items()}
    noise = 4 / math.sqrt(len(test))  # log p* has unit variance
    assert abs(gap["mixture"]) < 0.1 + noise
    assert gap["gaussian"] > 0.5


def test_the_noise_is_a_maximum_of_the_likelihood(fitted: dict[str, L2Autoencoder]) -> None:
    x = clusters(4000, 1)[:500]
    for model in fitted.values():
        found = model.log_noise.clone()
        values = []
        for shift in (-0.7, 0.0, 0.7):
            model.log_noise = found + shift
            values.append(float(log_prob(model, x)[0].mean()))
        model.log_noise = found
        assert values[1] > max(values[0], values[2]) - 0.01


def test_the_elbo_is_below_the_likelihood_and_near_it(fitted: dict[str, L2Autoencoder]) -> None:
    for model in fitted.values():
        value, bound = log_prob(model, clusters(500, 8))
        assert (bound <= value + 1e-9).all()
        assert float((value - bound).mean()) < 0.3


def test_the_mixture_is_that_of_the_codes(fitted: dict[str, L2Autoencoder]) -> None:
    model = fitted["mixture"]
    assert isinstance(model, L2AutoencoderMixture)
    code = model.encoder(model.whitening(clusters(4000, 1)))
    prior = model.prior()
    spread = code.std(0)
    assert ((prior.mean - code.mean(0)).abs() < 0.1 * spread).all()
    torch.testing.assert_close(prior.stddev, spread, rtol=0.1, atol=0)
    assert float(model.weights.sum()) == pytest.approx(1)


def test_unused_components_change_nothing(fitted: dict[str, L2Autoencoder]) -> None:
    model = copy.deepcopy(fitted["mixture"])
    assert isinstance(model, L2AutoencoderMixture)
    used = torch.arange(len(model.weights)) < len(model.weights) - 3
    model.weights = torch.where(used, model.weights, 0.0) / model.weights[used].sum()
    components = MultivariateNormal(model.means[used], scale_tril=model.scale_trils[used])
    z = normal(50, 2, seed=3)
    exact = (model.weights[used].log() + components.log_prob(z[:, None])).logsumexp(1)
    torch.testing.assert_close(model.prior().log_prob(z), exact, rtol=1e-9, atol=1e-9)


def test_a_noise_that_vanishes_is_said_aloud() -> None:
    """Points on a line, coded by one number: the likelihood has no maximum."""
    x = torch.linspace(-1, 1, 500, dtype=torch.float64)[:, None] * torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    model = L2Autoencoder(latent_dim=1, hidden=4, penalty=0.0)
    model.build(x, seeded(0))
    model.double()
    for network in (model.encoder, model.decoder):
        for parameter in network.last.parameters():
            torch.nn.init.zeros_(parameter)  # principal components alone: exact on a line
    with pytest.warns(UserWarning, match="still rises"):
        model.finish(x, seeded(0))


@pytest.mark.parametrize("model_class", [L2Autoencoder, L2AutoencoderMixture])
def test_more_latents_than_columns_and_few_rows(model_class: type[L2Autoencoder]) -> None:
    model = model_class(latent_dim=3)
    model.fit(normal(40, 2, seed=1), seeded(0), Budget(effort=0.01))
    assert model.sample(20, seeded(1)).isfinite().all()
