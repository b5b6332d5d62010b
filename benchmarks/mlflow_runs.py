"""Records as runs of MLflow: one experiment a suite, one MLflow run a cell, one step a replicate.

They go to the server or database that MLFLOW_TRACKING_URI names, else to results/mlflow.db. (A folder of files, which
was MLflow's default for long, is refused by MLflow since 3.17.)
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from benchmarks.errors import UserError
from benchmarks.execution import RESULTS
from benchmarks.tracking import Record

ADDRESS = "MLFLOW_TRACKING_URI"
INSTALL = 'pip install "pushforward[mlflow]"'
KEY = "cell_key"
BATCH = 1_000  # metrics in one call: MLflow takes no more
LONGEST = 5_000  # characters of a tag: MLflow takes 8,000, older versions 5,000

#: Unless the user says otherwise: nothing is told to MLflow's makers, and a server that is gone holds a run up for
#: seconds and not, as by default, for minutes a call.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class MlflowRuns:
    """A tracker: the runs of one experiment. client: an `MlflowClient`."""

    def __init__(self, client: Any, experiment: str) -> None:
        self.client = client
        self.experiment = experiment

    def has(self, key: str) -> bool:
        """A whole run of a cell with this key is there; one that was deleted is not."""
        return bool(self.client.search_runs([self.experiment], f"tags.{KEY} = '{key}'", max_results=1))

    def add(self, record: Record) -> None:
        """Make a run of it. The key comes last, so that half a run is not taken for a whole one."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        run = self.client.create_run(self.experiment, start_time=now, run_name=record.name).info.run_id
        metrics = [Metric(name, value, now, step) for name, value, step in record.metrics]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run, metrics=metrics[start : start + BATCH])
        self.client.log_batch(
            run,
            params=[Param(name, value[:LONGEST]) for name, value in record.params.items()],
            tags=[RunTag(name, value[:LONGEST]) for name, value in record.tags.items() if value],
        )
        self.client.set_tag(run, KEY, record.key)
        # A run that ends when it begins: its duration there would be no time to compare.
        self.client.set_terminated(run, "FINISHED" if record.finished else "FAILED", end_time=now)


def open_mlflow(experiment: str) -> MlflowRuns:
    """The experiment of this name, made if there is none.

    Raises UserError if MLflow is not installed, or if what MLFLOW_TRACKING_URI names cannot be opened.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise UserError(f"--track mlflow: MLflow is not installed ({error}); {INSTALL}") from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)  # a new database tells of every table that it makes
    address = os.environ.get(ADDRESS) or _default()
    try:
        client = MlflowClient(address)
        found = client.get_experiment_by_name(experiment)
        return MlflowRuns(client, found.experiment_id if found else client.create_experiment(experiment))
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"--track mlflow: {address} cannot be opened ({what}); set {ADDRESS} to another") from error


def _default() -> str:
    """A database in one file beside the runs."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(RESULTS / 'mlflow.db').absolute().as_posix()}"
