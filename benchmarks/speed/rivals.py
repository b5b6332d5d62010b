"""The same models as others would write them: by hand, from nflows' own modules, with pythae's trainer."""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    CompositeTransform,
    LULinear,
    PiecewiseRationalQuadraticCouplingTransform,
    ReversePermutation,
    Transform,
)
from torch import Generator, Tensor, nn

from benchmarks.seeds import generator
from benchmarks.speed.loops import Loss, watched
from benchmarks.speed.measurement import Clock
from models.gaussian_vae import GaussianVAE
from models.l2_autoencoder import L2Autoencoder
from models.normalizing_flow import NormalizingFlow, architecture
from models.seeding import seeded
from models.splines import BOUND
from models.training import GradientTrained, Recipe

Rival = tuple[str, Callable[[int], tuple[nn.Module, Loss]]]


def rival_of(model: type[GradientTrained]) -> Rival | None:
    """What the rival is called, and how to make its module and loss for d columns; None where there is none.

    Each has the sizes of our own model with its defaults, and takes data that were standardised beforehand.
    """
    rivals: dict[type[GradientTrained], Rival] = {
        GaussianVAE: ("written by hand", _vae),
        L2Autoencoder: ("written by hand", _autoencoder),
        NormalizingFlow: ("nflows' own modules", _flow),
    }
    return rivals.get(model)


class PlainVAE(nn.Module):
    """Kingma & Welling (2014) as in many a notebook: no torch.distributions, the KL divergence written out."""

    def __init__(self, d: int, k: int, hidden: int = 64) -> None:
        super().__init__()
        self.encoder = PlainNetwork(d, 2 * k, hidden)
        self.decoder = PlainNetwork(k, d, hidden)
        self.log_sigma = nn.Parameter(torch.zeros(d))

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative ELBO, up to a constant."""
        mean, log_scale = self.encoder(x).chunk(2, dim=-1)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        residual = (x - self.decoder(mean + log_scale.exp() * noise)) * (-self.log_sigma).exp()
        reconstruction = (0.5 * residual.square() + self.log_sigma).sum(-1)
        kl = (0.5 * (mean.square() + (2 * log_scale).exp() - 1) - log_scale).sum(-1)
        return (reconstruction + kl).mean()


class PlainAutoencoder(nn.Module):
    """‖x − g(f(x))‖² + β ‖f(x)‖²."""

    def __init__(self, d: int, k: int, hidden: int = 64, penalty: float = 1e-2) -> None:
        super().__init__()
        self.encoder = PlainNetwork(d, k, hidden)
        self.decoder = PlainNetwork(k, d, hidden)
        self.penalty = penalty

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The penalised reconstruction error."""
        code = self.encoder(x)
        return ((x - self.decoder(code)).square().sum(-1) + self.penalty * code.square().sum(-1)).mean()


def _vae(d: int) -> tuple[nn.Module, Loss]:
    with seeded(generator("rival")):
        model = PlainVAE(d, min(d, 16))
    return model, model.loss


def _autoencoder(d: int) -> tuple[nn.Module, Loss]:
    with seeded(generator("rival")):
        model = PlainAutoencoder(d, min(d, 16))
    return model, model.loss


def _flow(d: int) -> tuple[nn.Module, Loss]:
    """Durkan et al. (2019) by nflows: our number of couplings, width, bins and LU layers, its own spline."""
    chosen = architecture(20_000, d)  # of the rows, its recipe alone depends
    mask = torch.arange(d) >= (d + 1) // 2  # what is transformed, given the rest

    def conditioner(inputs: int, outputs: int) -> nn.Module:
        return ResidualNet(inputs, outputs, chosen.hidden, num_blocks=1)

    layers: list[Transform] = []
    with seeded(generator("rival")):
        for _ in range(chosen.layers):
            layers += [ReversePermutation(d), *([LULinear(d)] if chosen.linear else [])]
            layers += [
                PiecewiseRationalQuadraticCouplingTransform(
                    mask.int(),
                    conditioner,
                    num_bins=chosen.bins,
                    tails="linear",
                    tail_bound=BOUND,
                    apply_unconditional_transform=not chosen.linear,
                )
            ]
    flow = Flow(CompositeTransform(layers), StandardNormal([d]))
    return flow, lambda x, _: -flow.log_prob(x).mean()


def pythae_is_installed() -> bool:
    """Whether the optional extra `speed` is there."""
    return importlib.util.find_spec("pythae") is not None


def pythae_seconds(x: Tensor, recipe: Recipe, steps: int, clock: Clock) -> float:
    """What a step of pythae's VAE costs under its own trainer, on standardised data x (n, d), in seconds.

    Chadebec, Vincent, Allassonnière 2022. Its decoder has unit variance, which is one parameter less to learn.
    """
    models, trainers = importlib.import_module("pythae.models"), importlib.import_module("pythae.trainers")
    outputs = importlib.import_module("pythae.models.base.base_utils").ModelOutput
    architectures = importlib.import_module("pythae.models.nn")
    d, k, hidden = x.shape[1], min(x.shape[1], 16), 64

    class Encoder(architectures.BaseEncoder):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = PlainNetwork(d, 2 * k, hidden)

        def forward(self, x: Tensor) -> object:
            mean, log_variance = self.net(x).chunk(2, dim=-1)
            return outputs(embedding=mean, log_covariance=log_variance)

    class Decoder(architectures.BaseDecoder):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = PlainNetwork(k, d, hidden)

        def forward(self, z: Tensor) -> object:
            return outputs(reconstruction=self.net(z))

    logging.disable(logging.WARNING)
    try:
        with (
            torch.enable_grad(),
            seeded(generator("rival")),
            redirect_stderr(io.StringIO()),  # its progress bars
            tempfile.TemporaryDirectory() as folder,
            watched(steps, clock) as ticks,
        ):
            settings = trainers.BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=recipe.batch_size,
                num_epochs=1_000,
                learning_rate=recipe.learning_rate,
                optimizer_cls="AdamW",
                no_cuda=True,
            )
            model = models.VAE(models.VAEConfig(input_dim=(d,), latent_dim=k), Encoder(), Decoder())
            rows = importlib.import_module("pythae.data.datasets").BaseDataset(x.float(), torch.zeros(len(x)))
            trainers.BaseTrainer(model, rows, training_config=settings).train()
    finally:
        logging.disable(logging.NOTSET)
    return ticks.typical()


class PlainNetwork(nn.Module):
    """Two hidden tanh layers and, beside them, a linear path: the networks of our VAE and autoencoder."""

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, outputs)
        )
        self.straight = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        found: Tensor = self.layers(x) + self.straight(x)
        return found
