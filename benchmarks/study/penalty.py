"""The pseudo-VAE: an autoencoder with an L2 penalty on its code, made a generative model afterwards."""

from __future__ import annotations

from benchmarks.report.statistics import Estimate
from benchmarks.study.charts import Line, Panel, curves
from benchmarks.study.evidence import Evidence, difference
from benchmarks.study.prediction import Claim, Experiment, Finding, Prediction
from benchmarks.study.tabular import said, table

TARGETS = ("eight_gaussians", "rings", "banana")
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def gaussian(penalty: float) -> str:
    """The autoencoder whose codes get a Gaussian ex post."""
    return f"l2_autoencoder[penalty={penalty!r}]"


def mixture(penalty: float) -> str:
    """The autoencoder whose codes get a mixture ex post."""
    return f"l2_autoencoder_mixture[penalty={penalty!r}]"


def find(evidence: Evidence) -> Finding:
    """The KL of either against the VAE of the same size, at every penalty."""

    def against(target: str, model: str) -> Estimate | None:
        return difference(evidence.values("kl", target, model), evidence.values("kl", target, "gaussian_vae"))

    worse = {(t, b): against(t, gaussian(b)) for t in TARGETS for b in PENALTIES}
    best = {t: min(PENALTIES, key=lambda b: _value(evidence, t, gaussian(b))) for t in TARGETS}
    default = {t: against(t, mixture(1e-2)) for t in TARGETS}
    claims = [
        Claim(f"{t}: even at its best penalty, {best[t]:g}, the Gaussian ex post has a larger KL than the VAE",
              worse[t, best[t]], at_least=0.0)
        for t in TARGETS
    ] + [
        Claim(f"{t}: the mixture ex post, at the penalty 0.01, has a smaller KL than the VAE", default[t], at_most=0.0)
        for t in TARGETS
    ]  # fmt: skip
    panels = [
        Panel(
            t, "penalty on the code", "KL, nats",
            [
                Line("Gaussian", [(b, evidence.kl(t, gaussian(b))) for b in PENALTIES], "l2_autoencoder"),
                Line("mixture", [(b, evidence.kl(t, mixture(b))) for b in PENALTIES], "l2_autoencoder_mixture"),
            ],
            levels={} if (vae := evidence.kl(t, "gaussian_vae")) is None else {"gaussian_vae": vae.value},
        )
        for t in TARGETS
    ]  # fmt: skip
    rows = [
        ((t, f"{b:g}"), [evidence.kl(t, gaussian(b)), evidence.kl(t, mixture(b))]) for t in TARGETS for b in PENALTIES
    ]
    summary = "Against the VAE of the same size the autoencoder's KL is larger by " + "; ".join(
        f"{said(worse[t, best[t]], 'nats')} on {t} with a Gaussian ex post at its best penalty, and by "
        f"{said(default[t], 'nats')} with a mixture"
        for t in TARGETS
    )
    caption = (
        "KL of an autoencoder against its penalty, with a Gaussian and with a mixture estimated on its codes after "
        "training; dotted, a Gaussian VAE of the same size. Where the penalty is the only force on the codes, nothing "
        "makes them Gaussian."
    )
    return Finding(
        tuple(claims), f"{summary}.",
        (table("penalty", "KL by penalty", "Nats, median over replicates with its 95 % interval.",
               ("target", "penalty", "Gaussian ex post", "mixture ex post"), rows),),
        lambda: curves(panels), caption,
    )  # fmt: skip


def _value(evidence: Evidence, target: str, model: str) -> float:
    found = evidence.kl(target, model)
    return float("inf") if found is None else found.value


PREDICTION = Prediction(
    "penalty",
    "The pseudo-VAE",
    "An autoencoder with an L2 penalty looks like a VAE without noise. We fit a Gaussian, or a mixture, to its "
    "codes afterwards and ask whether that makes it a generative model as good as the VAE.",
    "An L2 penalty does not make codes Gaussian: with a Gaussian ex post the autoencoder stays behind the VAE at "
    "every penalty, and with a mixture ex post it passes it.",
    "The penalty bounds the second moment of the codes, not their law; without noise in training nothing asks the "
    "decoder to fill the space between them. What is estimated afterwards, and how richly, decides.",
    "Ghosh et al. 2020 (regularised autoencoders, ex-post density estimation)",
    (Experiment(TARGETS, ("gaussian_vae", *map(gaussian, PENALTIES), *map(mixture, PENALTIES))),),
    find,
)
