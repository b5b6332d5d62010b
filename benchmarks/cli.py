"""The commands; no logic. `pushforward --help` is the documentation."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmarks import authoring, execution, kept_metrics, listing, scoring, several, tracking
from benchmarks import publish as publishing
from benchmarks import report as reports
from benchmarks.content import content_of
from benchmarks.engine import Observer
from benchmarks.errors import UserError
from benchmarks.files import made_folder
from benchmarks.progress import Progress
from benchmarks.report.excerpt import excerpt
from benchmarks.store import Store
from benchmarks.targets.user_data import DataFileError
from benchmarks.terminal import marked, shown

if TYPE_CHECKING:
    from benchmarks.study.prediction import Study

app = typer.Typer(
    help="How well can a Gaussian be morphed into anything, and which Gaussian is the bottleneck? "
    "Fits generative models to shared targets and scores them by Wasserstein distance, log-likelihood and ELBO gap.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)


@app.command()
def run(
    suite: Annotated[
        str, typer.Argument(help="A suite's name (see `pushforward suites`) or a TOML file.")
    ] = "standard",
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model, by name or as path/to/file.py:Class. Repeatable.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Only this target, by name or as path/to/file.py:Name. Repeatable.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Your own data as the target: a CSV, NPY or Parquet file of real vectors.")
    ] = None,
    replicates: Annotated[int | None, typer.Option(help="Repetitions, each with its own data and seed.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes on this machine; 0 runs in this one. Default: one per core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler to run on, such as tcp://10.0.0.1:8786.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where models train: cpu, cuda, cuda:1 …")] = "cpu",
    out_folder: Annotated[
        str | None, typer.Option("--out", help="Directory of the run. Default: results/ and the suite's name.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute every cell again, also those that are kept.")] = False,
    track: Annotated[
        str | None,
        typer.Option(help="Also log every cell to a tracker: mlflow (results/mlflow.db, or MLFLOW_TRACKING_URI)."),
    ] = None,
) -> None:
    """Run a suite: compute what is not there yet, then write tables, figures and the page.

    Stopping it (Ctrl-C) or killing it loses no finished cell; the same command goes on from there.
    """
    planned = execution.plan(
        suite,
        models=model,
        targets=target,
        data=data,
        replicates=replicates,
        device=device,
        out=out_folder,
        scheduler=scheduler,
    )
    execution.check_engine(workers, scheduler, planned.cells)
    trackers = [tracking.opened(track, planned.suite.name, planned.store.folder, _complain)] if track else []
    results = _carry_out(planned, *trackers, workers=workers, scheduler=scheduler, fresh=fresh)
    _report(planned.store)
    _account_for(planned, results)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="The study: bottleneck.")] = "bottleneck",
    quick: Annotated[
        bool, typer.Option("--quick", help="Little training, few points and replicates: to see it work.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes on this machine; 0 runs in this one. Default: one per core.")
    ] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Directory of the study. Default: results/ and its name.")
    ] = None,
) -> None:
    """Put predictions to the test: compute what is not there yet, then write the page with their verdicts.

    Stopping it loses no finished cell; the same command goes on from there.
    """
    from benchmarks import study as studies  # draws figures and fits models: the other commands do without

    planned = studies.plan(name, quick=quick, out=out_folder)
    results = _carry_out(planned, workers=workers, scheduler=None, fresh=False)
    _report_study(studies.STUDIES[name], planned.store)
    _account_for(planned, results)


@app.command()
def report(
    folder: Annotated[str, typer.Argument(help="The directory of a run, such as results/standard.")],
) -> None:
    """Make tables, figures and the page again, from what the run or the study has stored."""
    from benchmarks import study as studies

    store = Store(Path(folder))
    store.described()
    kept_metrics.read(store)
    store.renew_tables()
    found = studies.study_of(store)
    if found is not None:
        _report_study(found, store)
    else:
        _report(store)


@app.command()
def score(
    folder: Annotated[str, typer.Argument(help="The directory of a run, such as results/standard.")],
    metric: Annotated[
        list[str],
        typer.Option(help="A metric, by name (see `pushforward metrics`) or as path/to/file.py:name. Repeatable."),
    ],
) -> None:
    """Score a run by metrics of your own, from what it keeps: nothing is trained again. Reports then show them too."""
    planned = scoring.plan(folder, metric)
    with err.status("scoring") as status:
        outcome = scoring.carry_out(planned, lambda cell: status.update(shown(f"scoring {cell}")))
    content = excerpt(content_of(planned.store))
    for each in reports.terminal_tables(content, [metric.name for metric in planned.metrics]):
        out.print(reports.to_terminal(each))
    for line in outcome.broken:
        err.print(marked("failed", line))
    if outcome.broken:
        raise typer.Exit(1)


@app.command()
def publish(
    folder: Annotated[str, typer.Argument(help="The directory of a complete run, such as results/standard.")],
    to: Annotated[str, typer.Option(help="Where the reference run is kept.")] = "results/published",
    readme: Annotated[str, typer.Option(help="The README whose generated part is renewed.")] = "README.md",
) -> None:
    """Make a run the reference run: for those who maintain this repository."""
    publishing.publish(Path(folder), Path(to), Path(readme))
    out.print(shown(f"published {folder} to {to} and renewed {readme}"))


app.command()(authoring.new)
app.command()(authoring.check)
app.command()(several.compare)
app.command()(several.merge)


@app.command()
def verify(
    workers: Annotated[int, typer.Option(min=0, help="Processes on this machine; 0 runs in this one.")] = 2,
    out_folder: Annotated[
        Path | None,
        typer.Option(
            "--out", file_okay=False, help="Also write ledger.md and ledger.csv here, as results/published/tables."
        ),
    ] = None,
) -> None:
    """Hold every estimator against its known answers: closed forms, published figures, other software, coverage."""
    from benchmarks import verify as ledger  # fits models and loads solvers: the other commands do without

    started = time.perf_counter()
    if out_folder is not None:
        made_folder(out_folder)  # before the minutes that it takes, not after
    with err.status("the ledger takes about three minutes on two cores"):
        frame = ledger.frame_of(ledger.verify(workers))
    out.print(reports.to_terminal(ledger.table_of(frame)))
    if out_folder is not None:
        ledger.write(frame, out_folder)
    failed = int((frame["verdict"] != ledger.PASS).sum())
    out.print(f"{len(frame) - failed} of {len(frame)} checks hold; {time.perf_counter() - started:.0f} s")
    if failed:
        raise typer.Exit(1)


@app.command()
def speed(
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", file_okay=False, help="Also write speed.md and speed.csv here."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Half a minute: every part, but too little of each to be quoted.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where models train: cpu, cuda, cuda:1 …")] = "cpu",
    run_folder: Annotated[
        Path, typer.Option("--run", help="A run on this machine, whose costs stand for the suite's.")
    ] = Path("results/published"),
) -> None:
    """Hold what the suite costs against the plain way of doing the same work with the same libraries."""
    from benchmarks import speed as comparison  # loads solvers and rivals: the other commands do without

    comparison.check_device(device)
    if out_folder is not None:
        made_folder(out_folder)  # before the minutes that it takes, not after
    with err.status("the comparison takes about four minutes on one core"):
        extent = comparison.QUICK if quick else comparison.FULL
        frame, notes = comparison.measure(extent, device, run_folder)
    text = comparison.markdown(frame, notes)
    out.print(text, markup=False, highlight=False, soft_wrap=True)
    if out_folder is not None:
        comparison.write(frame, text, out_folder)


@app.command()
def models() -> None:
    """List the models that are installed."""
    out.print(listing.models())


@app.command()
def targets() -> None:
    """List the targets that are installed, with what makes each of them hard."""
    out.print(listing.targets())


@app.command()
def metrics() -> None:
    """List the metrics: those that score every run, and those that `pushforward score` adds to one."""
    out.print(listing.metrics())


@app.command(name="suites")
def list_suites() -> None:
    """List the suites that come with the package."""
    out.print(listing.suites())


def _carry_out(
    planned: execution.Plan, *trackers: Observer, workers: int | None, scheduler: str | None, fresh: bool
) -> list[execution.Outcome]:
    command = shlex.join(["pushforward", *sys.argv[1:]])
    try:
        with Progress(planned.cells, out) as progress:
            observer = tracking.Together(progress, *trackers)
            return execution.carry_out(
                planned, workers=workers, scheduler=scheduler, fresh=fresh, observer=observer, command=command
            )
    except KeyboardInterrupt:
        err.print("interrupted; every finished cell is kept, and the same command goes on from there")
        raise typer.Exit(130) from None


def _account_for(planned: execution.Plan, results: list[execution.Outcome]) -> None:
    """Say which cells have no score, and exit with 1 if there are any."""
    bad = [cell for cell, result in zip(planned.cells, results, strict=True) if result.status != "ok"]
    for cell, result in zip(planned.cells, results, strict=True):
        if result.status != "ok":
            err.print(marked(result.status, f"{cell.name}: {result.reason}"))
    if bad:
        err.print(f"{len(bad)} of {len(results)} cells have no score; the same command tries them again")
        raise typer.Exit(1)


def _report(store: Store) -> None:
    content = excerpt(content_of(store))
    reports.write_report(content, store.folder)
    for sentence in reports.short_answer(content):
        out.print(shown(f"• {sentence}"))
    for each in reports.terminal_tables(content, ["kl", "w2_squared", *content.custom]):
        out.print(reports.to_terminal(each))
    out.print(shown(f"all tables, the figures and the page are in {store.folder}; open {store.folder}/index.html"))


def _report_study(study: Study, store: Store) -> None:
    from benchmarks import study as studies

    made = studies.made(study, store)
    studies.write(made, store.folder)
    for sentence in made.answer:
        out.print(shown(f"• {sentence}"))
    out.print(reports.to_terminal(made.verdicts))
    out.print(shown(f"the page is {store.folder}/index.html"))


def _complain(message: str) -> None:
    err.print(marked("tracking:", message), soft_wrap=True)


def main() -> None:
    """The command `pushforward`: bad input is one line and exit code 2."""
    try:
        app()
    except (UserError, DataFileError) as error:
        err.print(marked("error:", str(error)), soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone; what is left of it goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        err.print(marked("error:", f"{error}; every finished cell is kept"))
        sys.exit(1)
