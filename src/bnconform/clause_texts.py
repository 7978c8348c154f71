"""What a failing clause test says: the clause, the worst element, the simplest case, the way back.

Everything is in the text itself, because the campaign's folder is gone when it is read.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bnconform.cli.case_words import case_in_words, told_in_words
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.clauses import Clause
from bnconform.conformance.engine.campaign import Subject
from bnconform.conformance.engine.explaining import EXPLANATIONS, read_explanations

SHRINKING_CALLS = 60
"""Calls of the subject that are spent at most on making a failing case simpler."""

_WIDTH = 88


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A clause that does not hold: its diverging ``rows``, of ``judged``, of a run in ``folder``.

    ``limit`` is the seconds that the subject has for one case.
    """

    clause: Clause
    subject: Subject
    rows: pd.DataFrame
    judged: int
    folder: Path
    limit: float


def failure_text(failure: Failure) -> str:
    """The whole text."""
    return "\n".join(_lines(failure))


def _lines(failure: Failure) -> Iterator[str]:
    clause, bundle = failure.clause, _simplest(failure)
    yield _filled(f"{clause.id} ({clause.level}): {clause.statement}")
    yield f"{len(failure.rows)} of {failure.judged} judgements diverge; the worst of them:"
    yield from _worst(failure.rows.sort_values("error_ratio", ascending=False).iloc[0])
    yield from _why(failure, str(bundle["id"]))
    told = bundle["case"]
    if "fill" not in told:
        yield "\nThe simplest example:"
        yield from (_filled(line, "    ") for line in (*told_in_words(told), bundle["message"]))
        return
    case, message = _shrunk(failure, Case.from_dict(told), bundle)
    yield "\nThe simplest case that was found:"
    yield from (_filled(line, "    ") for line in (*case_in_words(case), message))
    yield "\nTo see it again:"
    yield textwrap.indent(_way_back(failure.subject, case), "    ")


def _simplest(failure: Failure) -> Mapping[str, Any]:
    """The bundle of this clause with the simplest case."""
    found = []
    for path in (failure.folder / "divergences").glob("*/divergence.json"):
        bundle = json.loads(path.read_text(encoding="utf-8"))
        if bundle["clause"] == failure.clause.id and not bundle["known"]:
            found.append(bundle)
    return min(found, key=lambda bundle: (bundle["simplicity"], bundle["id"]))


def _worst(row: pd.Series[Any]) -> Iterator[str]:
    if not row["worst_index"] and pd.isna(row["expected"]):
        yield _filled(str(row["message"]), "    ")
        return
    step = f" of training step {int(row['step']) + 1}" if row["step"] >= 0 else ""
    yield f"    {row['quantity']}[{row['worst_index']}]{step}, case {row['case_id']}"
    yield f"    expected {float(row['expected'])!r}"
    yield f"    got      {float(row['got'])!r}"
    yield f"    bound    {row['bound']:.3g}; the error is {row['error_ratio']:.3g} times that"


def _why(failure: Failure, divergence: str) -> Iterator[str]:
    """What the campaign says explains it."""
    for each in read_explanations(failure.folder / EXPLANATIONS):
        if divergence in each["divergences"]:
            yield f"\nWhy: {each['name']}"
            yield _filled(each["sentence"], "    ")


def _shrunk(failure: Failure, case: Case, bundle: Mapping[str, Any]) -> tuple[Case, str]:
    """A simpler case that shows the same, and what it shows; the given one where there is none."""
    from bnconform.conformance.search.examining import examiner  # noqa: PLC0415 -- on failure only
    from bnconform.conformance.search.shrinking import shrink  # noqa: PLC0415 -- as above

    with examiner(failure.subject, (), failure.limit) as examine:
        matching = [
            signature
            for signature in examine(case).signatures
            if signature.clause == bundle["clause"] and signature.quantity == bundle["quantity"]
        ]
        if matching:
            shrunk = shrink(examine, matching[0], case, calls=SHRINKING_CALLS)
            if shrunk.record is not None:
                return shrunk.case, shrunk.record.message
    return case, str(bundle["message"])


def _way_back(subject: Subject, case: Case) -> str:
    """A few lines of Python that call the adapter with the case."""
    target = subject.target
    if target.module.endswith(".py"):
        load = [
            "from bnconform.conformance.engine.loading import Target, load_class",
            f"{target.attribute} = load_class(Target.parse({str(target)!r}))",
        ]
    else:
        load = [f"from {target.module} import {target.attribute}"]
    call = "infer" if case.mode is Mode.INFERENCE else "train"
    lines = [
        "from bnconform.conformance.case import Case",
        "from bnconform.conformance.cases.fills import make_inputs",
        *load,
        f"case = Case.from_json({case.to_json()!r})",
        "inputs = make_inputs(case)",
        f"layer = {target.attribute}().build(case, inputs.parameters)",
        "for step in inputs.steps:",
        f"    print(layer.{call}(**step.arrays))",
    ]
    if case.mode is Mode.TRAIN:
        lines.append("print(layer.infer(inputs.inference.x, inputs.inference.dy))")
    return "\n".join(lines)


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
