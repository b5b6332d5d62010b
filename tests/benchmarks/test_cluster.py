"""Runs on a Dask cluster that is somewhere else: other processes, other folders, other networks, other versions."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import dask
import numpy as np
import pytest
import torch

import benchmarks
from benchmarks import execution
from benchmarks.engine import SOON
from benchmarks.errors import UserError
from tests.benchmarks.cluster import Cluster, until
from tests.benchmarks.networks import networks

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are ended by signals")

MODEL = """
import torch
import widths
from distances.squared import squared
from models.base import Budget, DensityModel, History


class Narrow(DensityModel):
    def fit(self, x, generator, budget=Budget()):
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("width", widths.FACTOR * x.std(0))
        return History()

    def sample(self, n, generator):
        return self.mean + self.width * torch.randn(n, len(self.mean), generator=generator, dtype=torch.float64)

    def log_prob(self, x):
        noise = torch.distributions.Normal(self.mean, self.width)
        return noise.log_prob(x).sum(1) + 0 * squared(x)
"""

WAITS = """
import pathlib, time
from models.gaussian import Gaussian


class Waits(Gaussian):
    def fit(self, x, generator, budget=None):
        pathlib.Path({begun!r}).touch()
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.02)
        return super().fit(x, generator)
"""


class Watch:
    """Notes which cells were started, and in which order they came back."""

    def __init__(self, when_finished=lambda _: None) -> None:
        self.names: list[str] = []
        self.finished_names: list[str] = []
        self.when_finished = when_finished

    def started(self, cell) -> None:
        self.names.append(cell.name)

    def finished(self, cell, result) -> None:
        self.finished_names.append(cell.name)
        self.when_finished(cell)


@pytest.fixture
def narrow(tmp_path: Path) -> str:
    """A model whose file imports a module and a package beside it, in a folder that no worker knows."""
    folder = tmp_path / "mine"
    (folder / "distances").mkdir(parents=True)
    (folder / "narrow.py").write_text(MODEL)
    (folder / "widths.py").write_text("FACTOR = 0.9\n")
    (folder / "distances" / "__init__.py").write_text("")
    (folder / "distances" / "squared.py").write_text(
        "from .plain import power\n\ndef squared(x):\n    return power(x, 2)\n"
    )
    (folder / "distances" / "plain.py").write_text("def power(x, k):\n    return (x**k).sum(1)\n")
    return f"{folder / 'narrow.py'}:Narrow"


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A table that no worker has."""
    path = tmp_path / "mine" / "measured.csv"
    path.parent.mkdir(exist_ok=True)
    np.savetxt(path, np.random.default_rng(0).normal(size=(400, 2)), delimiter=",", header="a,b", comments="")
    return str(path)


def waits(folder: Path) -> tuple[str, Path, Path]:
    """A model whose fit waits for a file; the file that says that it has begun, and that which lets it go on."""
    begun, go = folder / "begun", folder / "go"
    path = folder / "waits.py"
    path.write_text(WAITS.format(begun=str(begun), go=str(go)))
    return f"{path}:Waits", begun, go


def scores(folder: Path) -> bytes:
    return (folder / "scores.csv").read_bytes()


def test_machines_without_the_files_give_the_same_bytes(tiny, tmp_path, narrow, data):
    """Each in a network of its own and without the folder of the files, where this machine can do that."""
    chosen = {"models": [narrow, "gaussian"], "targets": ["bimodal"], "data": data}
    mine, here, there = str(Path(data).parent), tmp_path / "here", tmp_path / "there"
    names = ("scheduler", "one", "two")
    with networks(*names) as machines:
        cluster = Cluster(tmp_path / "cluster", host=machines.addresses["scheduler"] if machines else "127.0.0.1")
        prefix = {name: machines.inside(name, mine) if machines else () for name in names}
        with cluster.scheduler(prefix["scheduler"]).worker("one", prefix["one"]).worker("two", prefix["two"]):
            cluster.wait_for(2)
            benchmarks.run(tiny, **chosen, out=there, scheduler=cluster.address)
            kept = list((tmp_path / "cluster").glob("*/dask-*/*/pushforward/*/narrow.py"))
            assert len(kept) == 2, "each worker keeps the file in a folder of its own"
    benchmarks.run(tiny, **chosen, out=here, workers=0)
    assert scores(there) == scores(here)
    assert b"Narrow" in scores(there)
    again = Watch()
    execution.carry_out(execution.plan(tiny, **chosen, out=there), workers=0, observer=again)
    assert again.names == [], "a cell's key does not depend on where it was computed"


@pytest.mark.slow
def test_a_worker_that_joins_late_gets_cells_and_one_of_another_version_none(tiny, tmp_path, capfd):
    model, begun, go = waits(tmp_path)
    chosen = {"models": [model, "gaussian"], "targets": ["bimodal"]}
    other = tmp_path / "site" / "POT-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: POT\nVersion: 0.0.1\n")
    said: list[str] = []
    watch = Watch(lambda cell: go.touch() if cell.model.name == "gaussian" else None)
    with Cluster(tmp_path / "cluster").scheduler().worker("one").wait_for(1) as cluster:
        planned = execution.plan(tiny, **chosen, out=tmp_path / "run", scheduler=cluster.address)
        options = {"scheduler": cluster.address, "observer": watch}
        run = threading.Thread(target=execution.carry_out, args=(planned,), kwargs=options)
        run.start()
        until(begun.exists)  # the first worker is held by its cell until another one has finished the second cell
        cluster.worker("old", env={"PYTHONPATH": str(other.parent)})
        until(lambda: said.append(capfd.readouterr().err) or "it is given no cells" in "".join(said))
        cluster.worker("late")
        run.join(90)
        assert not run.is_alive()
        assert watch.finished_names == ["bimodal × gaussian", "bimodal × Waits"]
        with pytest.raises(UserError, match=r"worker tcp://\S+ has POT 0\.0\.1, and this process has \d") as caught:
            benchmarks.run(tiny, out=tmp_path / "refused", scheduler=cluster.address)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "refused").exists()
    benchmarks.run(tiny, **chosen, out=tmp_path / "here", workers=0)
    assert scores(tmp_path / "run") == scores(tmp_path / "here")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a worker that has no GPU")
def test_a_worker_without_the_device_is_refused_by_name(tiny, tmp_path):
    """This machine needs none for a cluster; a run in this process does."""
    said = r"worker tcp://\S+: the device cuda: .*; nothing was submitted"
    cluster = Cluster(tmp_path / "cluster").scheduler().worker("one").wait_for(1)
    with cluster, pytest.raises(UserError, match=said):
        benchmarks.run(tiny, device="cuda", out=tmp_path / "run", scheduler=cluster.address)
    with pytest.raises(UserError, match="--device cuda"):
        benchmarks.run(tiny, device="cuda", out=tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_the_cell_that_it_had(tiny, tmp_path):
    """Dask itself gives a task up after several deaths, and would hand it to the next worker and the next."""
    model, begun, go = waits(tmp_path)
    chosen = {"models": [model, "gaussian"], "targets": ["bimodal", "eight_gaussians"]}
    with Cluster(tmp_path / "cluster").scheduler().worker("one").wait_for(1) as cluster:
        out = tmp_path / "run"
        planned = execution.plan(tiny, **chosen, out=out, scheduler=cluster.address)
        run = threading.Thread(target=execution.carry_out, args=(planned,), kwargs={"scheduler": cluster.address})
        run.start()
        until(begun.exists)
        time.sleep(SOON)
        cluster.kill("one")
        go.touch()
        cluster.worker("two")
        run.join(90)
        assert not run.is_alive()
    table = planned.store.scores()
    lost = table[(table["model"] == "Waits") & (table["target"] == "bimodal")]
    assert set(lost["status"]) == {"failed"}
    assert lost["reason"].str.contains("its worker process died").all()
    again = Watch()
    execution.carry_out(execution.plan(tiny, **chosen, out=out), workers=0, observer=again)
    assert again.names == ["bimodal × Waits"]
    benchmarks.run(tiny, **chosen, out=tmp_path / "whole", workers=0)
    assert scores(out) == scores(tmp_path / "whole")


@pytest.mark.slow
def test_a_scheduler_that_goes_is_said_in_one_line_and_what_is_finished_is_kept(tiny, tmp_path):
    model, begun, _ = waits(tmp_path)
    out = tmp_path / "run"
    with Cluster(tmp_path / "cluster").scheduler().worker("one").wait_for(1) as cluster:
        planned = execution.plan(
            tiny, models=["gaussian", model], targets=["bimodal"], out=out, scheduler=cluster.address
        )
        caught: list[BaseException] = []

        def run() -> None:
            try:
                execution.carry_out(planned, scheduler=cluster.address)
            except ConnectionError as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        with dask.config.set({"distributed.comm.timeouts.connect": "4s"}):
            thread.start()
            until(begun.exists)
        cluster.kill("scheduler")
        thread.join(90)
        assert not thread.is_alive()
    assert "the Dask scheduler has gone" in str(caught[0])
    assert set(planned.store.scores()["model"]) == {"gaussian"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate by openssl")
def test_tls_as_dask_is_configured_for_it(tiny, tmp_path):
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pushforward"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    options = ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]
    with Cluster(tmp_path / "cluster", options, protocol="tls").scheduler().worker("one") as cluster:
        with pytest.raises(UserError, match="no Dask scheduler answers"):
            benchmarks.run(tiny, models=["gaussian"], out=tmp_path / "run", scheduler=cluster.address)
        settings = {"ca-file": certificate, "client.cert": certificate, "client.key": key}
        with dask.config.set({f"distributed.comm.tls.{name}": path for name, path in settings.items()}):
            benchmarks.run(tiny, models=["gaussian"], out=tmp_path / "run", scheduler=cluster.address)
    benchmarks.run(tiny, models=["gaussian"], out=tmp_path / "here", workers=0)
    assert scores(tmp_path / "run") == scores(tmp_path / "here")
