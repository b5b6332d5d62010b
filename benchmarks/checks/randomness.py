"""Where a model's randomness comes from, what it leaves alone, and whether its file is the whole of it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from benchmarks.checks.check import Make, check, fail
from benchmarks.checks.fits import fit, fitted, seeded, skewed
from benchmarks.checks.outputs import outputs
from models.base import Model

SEED = 8_191  # that nobody else is likely to use


@check()
def sampling_randomness(make: Make) -> None:
    """The same generator gives the same samples, another one others, and two calls go on from one another."""
    model = fitted(make, 2)
    generator = seeded(5)
    first, later = model.sample(9, generator), model.sample(9, generator)
    if not torch.equal(first, model.sample(9, seeded(5))):
        fail(make, "sample", "the same samples from a generator with the same seed", "others")
    if torch.equal(first, model.sample(9, seeded(6))):
        fail(make, "sample", "other samples from a generator with another seed", "the same ones")
    if torch.equal(first, later):
        fail(make, "sample", "new samples from a generator that is used again", "the same ones")


@check()
def fitting_randomness(make: Make) -> None:
    """Two models fitted to the same data by generators with the same seed are the same to the last bit."""
    x = skewed(400, 2)
    models = [fit(make, x.clone()) for _ in range(2)]
    for (method, one, _), (_, other, _) in zip(*(outputs(model, x[:20]) for model in models), strict=True):
        if not torch.equal(one, other):
            apart = float((one - other).abs().max())
            fail(make, "fit", f"the same `{method}` of two models, bit for bit", f"values {apart:.2g} apart")


@check()
def global_randomness(make: Make) -> None:
    """The global random states of torch, NumPy and Python are left as they were."""
    for library in touched(lambda: list(outputs(fit(make, skewed(400, 2)), skewed(20, 2, seed=2)))):
        expected = f"the global random state of {library} left alone: draw from the generator that is passed in"
        fail(make, "fit", expected, "it has changed")


@check()
def untouched_input(make: Make) -> None:
    """Neither the training data nor the points that are asked about are changed in place."""
    x, points = skewed(400, 2), skewed(20, 2, seed=2)
    data, asked = x.clone(), points.clone()
    model = fit(make, data)
    if not torch.equal(x, data):
        fail(make, "fit", "training data that are as they were", "they have changed")
    list(outputs(model, asked))
    if not torch.equal(points, asked):
        fail(make, "log_prob", "points that are as they were", "they have changed")


@check(after=("sampling_randomness",))
def save_and_load(make: Make) -> None:
    """A model that is saved and read back is the same to the last bit."""
    for d in (1, 2, 5):
        model = fitted(make, d)
        x = skewed(11, d, seed=2)
        try:
            again = _reread(make, model, d)
            said = list(outputs(again, x))
        except Exception as error:
            expected = "a model that `restore` makes of its `state_dict`: keep what is fitted in buffers or parameters"
            fail(make, "restore", expected, f"{type(error).__name__}: {str(error).splitlines()[0]}")
        for (method, got, _), (_, old, _) in zip(said, outputs(model, x), strict=True):
            if not torch.equal(got, old):
                expected = f"the same `{method}` from the model that was read back: keep all that is fitted in buffers"
                fail(make, method, expected, f"values {float((got - old).abs().max()):.2g} apart")


def _reread(make: Make, model: Model, d: int) -> Model:
    # cloned, because safetensors refuses tensors that share their memory
    state = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        safetensors.torch.save_file(state, path)
        again: Model = make()
        again.restore(safetensors.torch.load_file(path), d)
    return again


def touched(action: Callable[[], object]) -> list[str]:
    """The libraries whose global random state an action changes: put in a state of our own before, and back after."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(SEED)
            np.random.seed(SEED)  # noqa: NPY002
            random.seed(SEED)
            before = _states()
            action()
            return [library for library, state in _states().items() if state != before[library]]
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def _states() -> dict[str, str]:
    return {
        "torch": repr(torch.get_rng_state().tolist()),
        "numpy": repr(np.random.get_state(legacy=False)),  # noqa: NPY002
        "random": repr(random.getstate()),
    }


CHECKS = (sampling_randomness, fitting_randomness, global_randomness, untouched_input, save_and_load)
