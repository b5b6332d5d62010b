"""A suite that runs in a second: its TOML, but for the limits of a cell."""

TINY = """
name = "tiny"
description = "For tests."
models = ["oracle", "gaussian"]
targets = ["bimodal", "eight_gaussians"]
replicates = 2
train = 200

[sizes]
wasserstein = 50
sliced = 100
projections = 8
likelihood = 100
latent = 20
importance_samples = 50

[limits]
seconds = {seconds}
memory_gb = {memory_gb}
"""
