"""One page for each divergence: what was asked, what came back, and how to see it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnconform.conformance.case import Case
from bnconform.reports.errors import RunFormatError
from bnconform.reports.pages import (
    Block,
    Cell,
    Code,
    Facts,
    Link,
    Mark,
    Mono,
    Page,
    Paragraph,
    Section,
    Table,
    contrasted,
)
from bnconform.reports.summaries import Status
from bnconform.reports.views.report import (
    OVERVIEW,
    Report,
    case_words,
    cause_link,
    cell_link,
    clause_link,
    entry_link,
    known_link,
    where_words,
)
from bnconform.reports.words import plural

Array = npt.NDArray[Any]

SHOWN = 10
"""Elements that are listed, worst first."""

_FIELDS = tuple(field.name for field in fields(Case))
"""The order in which a case's fields are told."""

LARGEST_COPY = 4 * 2**20
"""Files of a divergence up to this many bytes are copied into the site."""


def divergence_page(report: Report, found: Any) -> Page:
    """The page of one row of the divergences frame."""
    files = divergence_files(report, found)
    arrays = _arrays(report, found)
    status = Status.KNOWN if found.known else Status(found.verdict.replace("_", " "))
    return Page(
        title=f"{found.entry} on {clause_link(found.clause).text}: {found.quantity}",
        slug=found.page,
        lead=(Mark(status), " ", found.message),
        trail=(OVERVIEW, entry_link(found.entry), clause_link(found.clause)),
        sections=(
            Section(title="What happened", blocks=(Facts(_facts(report, found)),)),
            *_why(report, found),
            *_known(report, found),
            Section(title="The worst element", blocks=_worst(found)),
            Section(title="The case", blocks=_case(found)),
            *_elements(arrays),
            Section(title="See it again", blocks=_again(found, files)),
            Section(title="What the subject printed", blocks=_output(found)),
            Section(title="Versions", blocks=(Facts(_pairs(json.loads(found.versions))),)),
        ),
    )


def divergence_files(report: Report, found: Any) -> tuple[Path, ...]:
    """The files of a divergence in its run directory, sorted by name."""
    folder = report.runs.directories[found.run] / "divergences" / found.id
    return tuple(sorted(path for path in folder.iterdir() if path.is_file()))


def copied_name(found: Any, file: Path) -> str:
    """Where a file of a divergence lies in the site, from its root."""
    return f"{found.page}/{file.name}"


def is_copied(file: Path) -> bool:
    """Whether the file is small enough to be part of the site."""
    return file.stat().st_size <= LARGEST_COPY


def _facts(report: Report, found: Any) -> tuple[tuple[str, Cell], ...]:
    clause = next(clause for clause in report.clauses if clause.id == found.clause)
    return (
        ("Subject", entry_link(found.entry)),
        ("Clause", (clause_link(found.clause), f" {clause.statement}")),
        ("Quantity", Mono(found.quantity)),
        ("Verdict", found.verdict.replace("_", " ")),
        ("Cause", found.cause or "not known"),
        ("Step", _step(found)),
        ("Stands for", (cell_link(found.clause, found.entry, plural(found.count, "result")),)),
    )


def _step(found: Any) -> str:
    if found.step < 0:
        return "none: it is about the call as a whole"
    return f"{found.step + 1} of {json.loads(found.case)['steps']}"


def _why(report: Report, found: Any) -> tuple[Section, ...]:
    causes = report.causes(found.run, found.id)
    if not causes:
        return ()
    lines: list[tuple[str, Cell]] = []
    for cause in causes:
        lines += [
            ("Cause", (cause_link(cause), f" ({cause.kind})")),
            ("In words", cause.sentence),
            ("Where", where_words(cause.where)),
            ("Accounts for", plural(cause.count, "result")),
        ]
    return (Section(title="Why", blocks=(Facts(tuple(lines)),)),)


def _known(report: Report, found: Any) -> tuple[Section, ...]:
    if not found.known:
        return ()
    texts = report.runs.known.set_index("id")
    rows: list[tuple[str, Cell]] = [("Entry", known_link(found.known))]
    if found.known in texts.index:
        entry = texts.loc[found.known]
        rows += [
            ("Reason", str(entry["reason"])),
            ("Evidence", str(entry["evidence"])),
            ("Upstream", str(entry["upstream"]) or "not reported"),
            ("Since", str(entry["date"])),
            ("Review by", str(entry["review_by"])),
        ]
    return (Section(title="Why it is known", blocks=(Facts(tuple(rows)),)),)


def _worst(found: Any) -> tuple[Block, ...]:
    if np.isnan(found.expected) and np.isnan(found.got):
        return (Paragraph("There is none: no value was compared."),)
    expected, got = contrasted(found.expected, found.got)
    return (
        Facts(
            (
                ("Index", Mono(found.worst_index or "none")),
                ("Expected", expected),
                ("Got", got),
                ("Difference", abs(found.got - found.expected)),
                ("Bound", found.bound),
                ("Difference / bound", found.error_ratio),
            )
        ),
    )


def _case(found: Any) -> tuple[Block, ...]:
    case: dict[str, Any] = json.loads(found.case)
    ordered = {name: case[name] for name in (*_FIELDS, *case) if name in case}
    note = "The case as JSON, to be copied; a click selects all of it:"
    return (
        Paragraph((Mono(found.case_id), f" {case_words(case)}")),
        Facts(_pairs(_flat(ordered))),
        Paragraph(note),
        Code(found.case),
    )


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested objects as dotted names."""
    flat: dict[str, object] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _pairs(data: Mapping[str, object]) -> tuple[tuple[str, Cell], ...]:
    return tuple((name, _text(value)) for name, value in data.items())


def _text(value: object) -> Cell:
    if isinstance(value, float):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _arrays(report: Report, found: Any) -> dict[str, Array]:
    """The stored arrays by name, none where the divergence has no values."""
    path = report.runs.directories[found.run] / "divergences" / found.id / "arrays.npz"
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as NumPy arrays: {error}; run it again"
        raise RunFormatError(msg) from error


def _elements(arrays: Mapping[str, Array]) -> tuple[Section, ...]:
    if not arrays:
        return ()
    described = Table(
        ("Array", "Shape", "Format", "Least", "Greatest", "Not finite"),
        tuple(_describe(name, array) for name, array in arrays.items()),
    )
    return (Section(title="The arrays", blocks=(described, *_worst_elements(arrays))),)


def _describe(name: str, array: Array) -> tuple[Cell, ...]:
    values = array.astype(np.float64).ravel()
    finite = values[np.isfinite(values)]
    least, greatest = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
    shape = "x".join(str(size) for size in array.shape) or "scalar"
    missing = int(values.size - finite.size)
    return (Mono(name), shape, str(array.dtype), float(least), float(greatest), missing)


def _worst_elements(arrays: Mapping[str, Array]) -> tuple[Block, ...]:
    """The elements with the largest |got - expected| / bound, next to each other."""
    if not {"expected", "got", "bound"} <= arrays.keys():
        return ()
    expected, got, bound = (
        arrays[name].astype(np.float64) for name in ("expected", "got", "bound")
    )
    if not (expected.shape == got.shape == bound.shape) or not expected.size:
        return ()
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = np.abs(got - expected)
        ratio = np.where(error == 0, 0.0, error / bound)
    # A NaN where a number was expected is the worst there is; two NaNs agree.
    ratio = np.where(np.isnan(ratio), np.where(np.isfinite(expected), np.inf, 0.0), ratio)
    worst = np.argsort(-ratio.ravel(), kind="stable")[:SHOWN]
    lines = tuple(
        (
            Mono(",".join(str(int(i)) for i in np.unravel_index(int(flat), expected.shape))),
            *contrasted(float(expected.flat[flat]), float(got.flat[flat])),
            float(error.flat[flat]),
            float(bound.flat[flat]),
            float(ratio.flat[flat]),
        )
        for flat in worst
    )
    headings = ("Index", "Expected", "Got", "Difference", "Bound", "Difference / bound")
    caption = f"{len(lines)} of {plural(int(expected.size), 'element')}, worst first"
    return (Table(headings, lines, caption=caption),)


def _again(found: Any, files: tuple[Path, ...]) -> tuple[Block, ...]:
    where = f"divergences/{found.id}/"
    blocks: list[Block] = [Paragraph(("In the run directory, under ", Mono(where), ":"))]
    for script in (file for file in files if file.suffix == ".py"):
        blocks += [
            Paragraph(("As a script of its own, ", Mono(script.name), ":")),
            Code(script.read_text(encoding="utf-8")),
        ]
    lines = tuple(_file_row(found, file) for file in files)
    return (*blocks, Table(("File", "Bytes"), lines))


def _file_row(found: Any, file: Path) -> tuple[Cell, ...]:
    size = file.stat().st_size
    if is_copied(file):
        return (Link(file.name, copied_name(found, file)), size)
    return (f"{file.name}: too large to be copied here, see the run directory", size)


def _output(found: Any) -> tuple[Block, ...]:
    if not found.output:
        return (Paragraph("Nothing."),)
    return (Code(found.output),)
