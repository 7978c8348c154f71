"""``bnconform vectors``: bring or take test vectors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bnconform.adapters import REGISTRY
from bnconform.cli.errors import USAGE, UsageError, user_errors
from bnconform.conformance.dialect import RunningVariance
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.reference import Conventions
from bnconform.conformance.vectors.asking import UnavailableError
from bnconform.conformance.vectors.check import (
    SPEC,
    Result,
    Row,
    check_file,
    check_subject,
    plain_conventions,
)
from bnconform.conformance.vectors.export import ExportError, ExportRequest, export, write
from bnconform.conformance.vectors.format import VectorFile
from bnconform.conformance.vectors.onnx_package import OnnxError, onnx_vectors
from bnconform.conformance.vectors.reading import VectorFileError, read_vectors

app = typer.Typer(help="Check test vectors (bn-vectors/1), or export a set.", no_args_is_help=True)

_PLAIN = {"biased": RunningVariance.BIASED, "unbiased": RunningVariance.UNBIASED}


@app.command("check")
def check(
    file: Annotated[Path | None, typer.Argument(help="A bn-vectors/1 file.")] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="The tests that the installed onnx package ships.")
    ] = False,
    subject: Annotated[
        str, typer.Option("--subject", help="Ask this subject (name or FILE.py:Class) too.")
    ] = "",
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print every comparison, not only what disagrees.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a file's expected values with the spec, and a subject's answers with the spec.

    Exit status 0: all agree. 1: something disagrees. 2: the file or the call is at fault, or
    nothing could be checked.
    """
    with user_errors(OnnxError, UnavailableError):
        if (file is None) == (not onnx):
            msg = "give a FILE, or --onnx for the tests of the onnx package"
            raise UsageError(msg)
        target = Target.parse(_target_text(subject)) if subject else None
        vectors = onnx_vectors() if file is None else _read(file, as_json=as_json)
        rows = []
        for row in _rows(vectors, target):
            rows.append(row)
            if not as_json and (verbose or row.result is Result.DISAGREES):
                typer.echo(_line(row))
    counts = Counter(row.result for row in rows)
    if as_json:
        data = {"source": vectors.source, "vectors": len(vectors.vectors)}
        typer.echo(json.dumps({**data, "rows": [asdict(row) for row in rows]}, indent=1))
    else:
        typer.echo("\n".join(_summary(vectors, rows)))
    if counts[Result.DISAGREES]:
        raise typer.Exit(1)
    if not counts[Result.AGREES]:
        typer.echo("bnconform: nothing was checked, which is no pass", err=True)
        raise typer.Exit(USAGE)


def _target_text(subject: str, *others: str) -> str:
    if subject in REGISTRY or ":" in subject:
        return REGISTRY.get(subject, subject)
    msg = f"no subject {subject}; there are: {', '.join([*others, *REGISTRY])}"
    raise UsageError(msg)


def _read(file: Path, *, as_json: bool) -> VectorFile:
    """The file's vectors; all its problems, and exit status 2, where it is malformed."""
    try:
        return read_vectors(file)
    except VectorFileError as error:
        problems = error.problems
        if as_json:
            listed = [asdict(problem) for problem in problems]
            typer.echo(json.dumps({"file": str(file), "problems": listed}, indent=1))
        else:
            number = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
            typer.echo(f"{error}\nbnconform: {number}; see docs/vectors.md", err=True)
        raise typer.Exit(USAGE) from None


def _rows(vectors: VectorFile, target: Target | None) -> Iterator[Row]:
    yield from check_file(vectors.vectors)
    if target is not None:
        yield from check_subject(target, vectors.vectors)


_MARKS = {Result.AGREES: "ok  ", Result.DISAGREES: "DIFF", Result.NOT_CHECKED: "--  "}


def _line(row: Row) -> str:
    head = f"{_MARKS[row.result]}  {row.vector} {row.quantity}"
    whose = "" if row.who == SPEC else f" of {row.who}"
    if row.result is not Result.AGREES:
        return f"{head}{whose}: {row.message}"
    return f"{head}{whose}: {_closeness(row)}"


def _closeness(row: Row) -> str:
    """How far a value is off, in what it may be off by."""
    if row.who != SPEC:
        return f"{row.ratio:.2g} of the subject's bound"
    bound = "nothing known" if row.bound_ratio is None else f"{row.bound_ratio:.2g}"
    return f"{row.ratio:.2g} of what is allowed, {bound} of an implementation's bound"


def _summary(vectors: VectorFile, rows: Sequence[Row]) -> Iterator[str]:
    """How many rows came to what, for the file and for the subject, and how close they are."""
    yield f"{len(vectors.vectors)} vectors: {vectors.source}"
    for who in dict.fromkeys(row.who for row in rows):
        mine = [row for row in rows if row.who == who]
        counts = Counter(row.result for row in mine)
        name = "values of the file" if who == SPEC else f"answers of {who}"
        yield f"{name}: {', '.join(f'{counts[each]} {each.value}' for each in Result)}"
        reasons = Counter(
            f"{row.quantity}: {row.message}" for row in mine if row.result is Result.NOT_CHECKED
        )
        yield from (f"   not checked, {count} times: {why}" for why, count in reasons.items())
        judged = [row for row in mine if row.ratio is not None]
        if judged:
            worst = max(judged, key=lambda row: row.ratio or 0.0)
            yield f"   largest error: {worst.vector} {worst.quantity}, {_closeness(worst)}"


@app.command("export")
def export_vectors(
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    cases: Annotated[int, typer.Option("--cases", help="How many vectors.")] = 64,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other vectors.")] = 0,
    dialect: Annotated[
        str,
        typer.Option("--dialect", help="biased, unbiased, or a subject whose conventions to use."),
    ] = "biased",
) -> None:
    """Write vectors with expected values and bounds, for a kernel in any language.

    Writes vectors.json, vectors.npz, index.csv and README.txt; the same arguments give the same
    bytes. Exit status 2: the call is at fault.
    """
    with user_errors(ExportError):
        conventions = _conventions(dialect)
        request = ExportRequest(cases=cases, seed=seed, dialect=dialect, conventions=conventions)
        for path in write(export(request), out):
            typer.echo(str(path))


def _conventions(dialect: str) -> Conventions:
    if dialect in _PLAIN:
        return plain_conventions(_PLAIN[dialect])
    return Conventions.of(load_class(Target.parse(_target_text(dialect, *_PLAIN))).dialect)
