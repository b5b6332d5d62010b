"""One cell: draw the data, fit the replicates, score them. A cell depends on nothing but its own description."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

import metrics
from benchmarks import machine
from benchmarks.draws import held_out_samples, training_set
from benchmarks.lookup import ORACLE, Plugin, digest
from benchmarks.oracle import oracle
from benchmarks.picture import density_on_grid
from benchmarks.seeds import generator
from benchmarks.source import libraries, source_digest, versions
from benchmarks.targets.base import ExactTarget, Target, TransportTarget
from metrics import HeldOut, Reference, Rule, Sizes
from metrics.score import Score, Status
from models.base import Budget, BudgetExceededError, DivergedError, Model
from models.training import fit_replicates


@dataclass(frozen=True)
class Cell:
    """One model on one target, with all its replicates: the unit of work, of caching and of failure."""

    model: Plugin
    target: Plugin
    replicates: int
    train: int
    sizes: Sizes
    budget: Budget
    device: str = "cpu"

    @property
    def name(self) -> str:
        """How logs and error messages call it."""
        return f"{self.target.name} × {self.model.name}"

    def files(self) -> list[Path]:
        """The files of its model and its target."""
        return [plugin.file() for plugin in (self.model, self.target)]

    def versions(self) -> dict[str, str]:
        """Those of the libraries that its scores depend on: the numerical ones, and what its model and target import.

        Tables of data are read by pandas and pyarrow.
        """
        files = self.files()
        readers = ["pandas", "pyarrow"] if any(file.suffix != ".py" for file in files) else []
        used = libraries(file for file in files if file.suffix == ".py")
        return versions() | used | {name: importlib.metadata.version(name) for name in readers}

    def key(self) -> str:
        """A hash of all that its scores depend on: the description, the source of what computes it, the libraries."""
        description = dataclasses.asdict(self) | {"model": self.model.name, "target": self.target.name}
        files = self.files()
        code = [file for file in files if file.suffix == ".py"]
        content = {
            "description": description,
            "source": source_digest([Path(__file__), *code]),
            "data": [digest(file) for file in files if file.suffix != ".py"],
            "versions": self.versions(),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass
class CellResult:
    """What became of a cell. Rows are dictionaries, ready to be lines of scores.csv and costs.csv."""

    status: Status
    reason: str = ""
    scores: list[dict[str, str | int | float | None]] = field(default_factory=list)
    costs: list[dict[str, str | int | float | None]] = field(default_factory=list)
    arrays: dict[str, Tensor] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)


def run_cell(cell: Cell) -> CellResult:
    """Compute a cell. Whatever a model or a target raises becomes the cell's status and reason."""
    try:
        with single_threaded():
            return _run(cell)
    except DivergedError as error:
        return failed(cell, "diverged", str(error))
    except BudgetExceededError as error:
        return failed(cell, "timeout", str(error))
    except Exception as error:
        return failed(cell, "failed", f"{type(error).__name__}: {error}")


def failed(cell: Cell, status: Status, reason: str) -> CellResult:
    """The result of a cell without numbers: every one of its scores carries the word and the reason."""
    absent = Score.absent(status, reason)
    rows = [_row(cell, replicate, name, absent) for replicate in range(cell.replicates) for name in metrics.METRICS]
    return CellResult(status, reason, scores=rows, machine=machine.stamp())


def _run(cell: Cell) -> CellResult:
    machine.release_memory()
    replicates = range(cell.replicates)
    target: Target = cell.target.load()()
    data = [training_set(target, cell.target.name, replicate, cell.train).to(cell.device) for replicate in replicates]
    generators = [
        generator("model", cell.device, model=cell.model.name, target=cell.target.name, replicate=replicate)
        for replicate in replicates
    ]
    models: list[Model] = [oracle(target) if cell.model.name == ORACLE else cell.model.load()() for _ in replicates]

    meter = machine.Meter()
    histories = fit_replicates(models, data, generators, cell.budget)
    fit = meter.read()
    _check_budget(cell, models, fit.cpu_seconds / cell.replicates)

    result = CellResult("ok", machine=machine.stamp())
    for replicate, model, history in zip(replicates, models, histories, strict=True):
        model.to("cpu")
        check_output(model, target.dimension)
        held_out, reference = _reference(cell.target, replicate, cell.sizes)
        noise = generator("score", model=cell.model.name, target=cell.target.name, replicate=replicate)
        meter = machine.Meter()
        scores = metrics.score(model, held_out, reference, cell.sizes, noise)
        scoring = meter.read()
        meter = machine.Meter()
        model.sample(1000, noise)
        sampling = meter.read()

        result.scores += [_row(cell, replicate, name, score) for name, score in scores.values.items()]
        costs = {
            "fit_seconds": fit.seconds / cell.replicates,
            "fit_cpu_seconds": fit.cpu_seconds / cell.replicates,
            "score_cpu_seconds": scoring.cpu_seconds,
            "sample_seconds_per_1000": sampling.seconds,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "peak_memory_mb": max(fit.peak_memory_mb, scoring.peak_memory_mb),
        }
        result.costs += [
            {
                "target": cell.target.name,
                "model": cell.model.name,
                "replicate": replicate,
                "metric": name,
                "value": value,
            }
            for name, value in costs.items()
        ]
        curve = {name: torch.tensor(values, dtype=torch.float64) for name, values in vars(history).items()}
        weights = {} if cell.model.name == ORACLE else model.state_dict()
        for kind, arrays in {"": scores.arrays, "history/": curve, "weights/": weights}.items():
            result.arrays |= {f"{replicate}/{kind}{name}": value for name, value in arrays.items()}
    result.arrays |= _picture(models[0], target)

    broken = [row for row in result.scores if row["status"] == "failed"]
    if broken:
        result.status, result.reason = "failed", f"{broken[0]['metric']}: {broken[0]['reason']}"
    return result


@lru_cache(maxsize=8)
def _reference(plugin: Plugin, replicate: int, sizes: Sizes) -> tuple[HeldOut, Reference]:
    """Held-out samples of a target and replicate, and what metrics compute of them alone: the same for every model."""
    target: Target = plugin.load()()
    test = held_out_samples(target, plugin.name, replicate, sizes)
    scored = test[: max(sizes.likelihood, sizes.latent)]
    log_prob = target.log_prob(scored) if isinstance(target, ExactTarget) else None
    held_out = HeldOut(
        test, log_prob, target.moments, _rules(target), _optimal_map(target, plugin.name, replicate, sizes.likelihood)
    )
    noise = generator("reference", target=plugin.name, replicate=replicate)
    return held_out, metrics.reference(held_out, sizes, noise)


def _rules(target: Target) -> tuple[Rule, ...]:
    """Quadratures under the target, ever finer; none under one without a variance, where no grid reaches far enough."""
    if not isinstance(target, ExactTarget) or target.moments <= 2:
        return ()
    found = [target.nodes(spacing) for spacing in (4.0, 2.0, 1.0)]
    return tuple(Rule(*nodes, target.log_prob(nodes[0])) for nodes in found if nodes is not None)


def _optimal_map(target: Target, name: str, replicate: int, size: int) -> tuple[Tensor, Tensor] | None:
    if not isinstance(target, TransportTarget):
        return None
    noise = generator("map", target=name, replicate=replicate)
    z = torch.randn(size, target.dimension, generator=noise, dtype=torch.float64)
    return z, target.transport(z)


def _picture(model: Model, target: Target) -> dict[str, Tensor]:
    """What figures show beside the samples: the target's window, and the density of replicate 0 where d ≤ 2."""
    arrays = {"0/window": torch.stack(target.window())}
    density = density_on_grid(model, target) if target.dimension <= 2 else None
    return arrays if density is None else arrays | {"0/density": density}


def _check_budget(cell: Cell, models: Sequence[Model], cpu_seconds: float) -> None:
    """What a fit may spend, for models that do not look themselves. Raises ValueError or BudgetExceededError."""
    most, limit = cell.budget.parameters, cell.budget.cpu_seconds
    count = max(sum(parameter.numel() for parameter in model.parameters()) for model in models)
    if most is not None and count > most:
        raise ValueError(f"{count:,} parameters, and the suite allows {most:,}")
    if limit is not None and cpu_seconds > limit:
        raise BudgetExceededError(
            f"the fit used {cpu_seconds:.3g} CPU seconds a replicate, and the suite allows {limit:g}"
        )


def check_output(model: Model, dimension: int) -> None:
    """A fitted model that returns the wrong thing is caught here, with what it should have returned."""
    x = model.sample(8, torch.Generator().manual_seed(0))
    if not isinstance(x, Tensor) or x.shape != (8, dimension):
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"sample(8, generator) must return a tensor of shape (8, {dimension}), and returned {got}")
    if not torch.isfinite(x).all():
        raise ValueError("sample(8, generator) returned values that are not finite")


def _row(cell: Cell, replicate: int, metric: str, score: Score) -> dict[str, str | int | float | None]:
    return {
        "target": cell.target.name,
        "model": cell.model.name,
        "replicate": replicate,
        "metric": metric,
        **dataclasses.asdict(score),
    }


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread for torch and BLAS: parallelism is across cells, and sums are then the same to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
