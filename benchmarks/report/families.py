"""Which of the built-in models belong together: what figures show side by side, and in shades of one colour.

A model that is not named here, a user's own say, is compared and shown like any other: it only has no family.
"""

from __future__ import annotations

from benchmarks.report.content import FRAME, Content

#: The four machines of the question: the short answer speaks of these first.
MACHINES = ("gaussian_vae", "l2_autoencoder", "normalizing_flow", "ot_map")

FAMILIES: dict[str, tuple[str, ...]] = {
    "variational autoencoders": (
        "gaussian_vae",
        "heteroscedastic_vae",
        "iwae",
        "vae_flow_posterior",
        "vae_flow_prior",
        "two_stage_vae",
        "full_covariance_vae",
        "exact_likelihood_vae",
    ),
    "autoencoders": ("l2_autoencoder", "l2_autoencoder_mixture"),
    "flows": ("normalizing_flow", "flow_matching"),
    "transport maps": ("ot_map", "sinkhorn_map", "gaussian_ot"),
    "mixtures": ("gaussian_mixture",),
}

#: Models that are another one with one of its Gaussians replaced: what that one costs is the difference.
REPLACED: dict[str, dict[str, str]] = {
    "gaussian_vae": {
        "full_covariance_vae": "a full covariance for q(z|x)",
        "exact_likelihood_vae": "the likelihood itself in place of the ELBO",
        "iwae": "an importance-weighted bound in place of the ELBO",
        "heteroscedastic_vae": "a noise p(x|z) that depends on z",
        "vae_flow_posterior": "a flow for q(z|x)",
        "vae_flow_prior": "a flow for p(z)",
        "two_stage_vae": "a second VAE for p(z)",
    },
    "l2_autoencoder": {"l2_autoencoder_mixture": "a mixture for the codes"},
}


def family(model: str) -> str:
    """The family of a model; "others" for one that has none."""
    return next((name for name, members in FAMILIES.items() if model in members), "others")


def machines(content: Content) -> list[str]:
    """Those of the four machines that this run compares, in its order; all contenders where it has none of them."""
    return [model for model in content.contenders if model in MACHINES] or content.contenders


def sheets(content: Content, most: int) -> list[list[str]]:
    """The models in sheets of at most `most`, whole families together where they fit; the frame is not among them."""
    found: list[list[str]] = [[]]
    for name in dict.fromkeys(family(model) for model in content.contenders):
        members = [model for model in content.contenders if family(model) == name and model not in FRAME]
        if found[-1] and len(found[-1]) + len(members) > most:
            found.append([])
        found[-1] += members
        while len(found[-1]) > most:
            found.append(found[-1][most:])
            found[-2] = found[-2][:most]
    return found
