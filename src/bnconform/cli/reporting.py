"""``bnconform report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnconform.cli.answers_page import answers_page
from bnconform.cli.errors import user_errors
from bnconform.cli.seeds_page import seeds_page
from bnconform.conformance.clauses import CLAUSES
from bnconform.reports import build_report, gaps, load_runs
from bnconform.reports.errors import ReportError


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories; shards are merged.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the site and the data.")],
) -> None:
    """Turn runs into pandas frames (Parquet, CSV) and a static HTML site.

    Exit status 0: the site is written. 1: it is, but shards are missing or do not fit together,
    as its first page says. 2: the runs cannot be read.
    """
    with user_errors(ReportError):
        # Reading first: a run that cannot be read should not wait for TensorFlow.
        found = gaps(load_runs(runs))
        index = build_report(runs, out, CLAUSES, extra_pages=(answers_page(), seeds_page()))
    for sentence in found:
        typer.echo(f"bnconform: incomplete: {sentence}", err=True)
    typer.echo(f"open {index}")
    raise typer.Exit(int(bool(found)))
