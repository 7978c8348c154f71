"""The page of malformed calls: what each subject makes of what it should reject."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bnconform.conformance.record import VerdictKind
from bnconform.conformance.verdict import Behaviour
from bnconform.reports.columns import rows
from bnconform.reports.pages import Block, Cell, Facts, Page, Paragraph, Section, Table
from bnconform.reports.views.report import OVERVIEW, Report, cell_link

_SHORT: Mapping[str, str] = {
    Behaviour.REJECTS_CLEARLY: "rejects",
    Behaviour.COMPUTES: "computes",
    Behaviour.REJECTS_UNCLEARLY: "unclear",
    Behaviour.GARBAGE: "garbage",
    Behaviour.CRASHES: "crashes",
}
"""Behaviours as cells name them, from good to bad."""

_FEW: Mapping[str, str] = {
    "BN-EDGE-1": "one value per channel in training",
    "BN-EDGE-2": "an empty training batch",
}
"""Ordinary cases that a subject may reject, by clause."""

_NOT_ASKED = "not asked"


def malformed_page(report: Report) -> Page:
    """Malformed calls by subject, worst behaviour last in a cell."""
    calls = Section(title="What became of each call", blocks=(_table(_told(report)),))
    return Page(
        title="Malformed calls",
        slug="malformed",
        lead="What must, should or may be rejected, and what each subject makes of it. A cell leads"
        " to the clause, where every call is listed with its message.",
        trail=(OVERVIEW,),
        wide=True,
        sections=(calls, Section(title="What the words mean", blocks=(Facts(_legend()),))),
    )


def _legend() -> tuple[tuple[str, Cell], ...]:
    told = ((short, behaviour) for behaviour, short in _SHORT.items())
    nothing = (_NOT_ASKED, "it takes no such input, or the value does not reach the framework")
    return (*told, nothing)


def _told(report: Report) -> pd.DataFrame:
    """The rows about malformed calls, and those about too few values, with ``call`` in words."""
    what: dict[str, str] = {}
    for topic in rows(report.runs.topics):
        data: dict[str, Any] = json.loads(topic.json)
        if "malformation" in data:
            what[topic.case_id] = data["what"]
    records = report.runs.records
    told = records.assign(call=[_call(row, what) for row in rows(records)])
    return told[told["call"] != ""]


def _call(row: Any, what: Mapping[str, str]) -> str:
    """What a row's call was, in words; '' where that is none of this page's."""
    if row.behaviour or row.verdict == VerdictKind.UNSUPPORTED:
        return what.get(row.case_id) or (row.behaviour and _FEW.get(row.clause, ""))
    # The clauses about messages and survival hold for every call and have no behaviour.
    return ""


def _table(told: pd.DataFrame) -> Block:
    if told.empty:
        return Paragraph("These runs made no malformed call.")
    entries = sorted(set(told["entry"]))
    cells = {
        (str(call), str(entry)): group for (call, entry), group in told.groupby(["call", "entry"])
    }
    clauses = told.drop_duplicates("call").sort_values(["clause", "call"])
    lines = tuple(
        (call, *(_cell(cells.get((call, entry)), entry) for entry in entries))
        for call in clauses["call"]
    )
    return Table(("Call", *entries), lines)


def _cell(group: pd.DataFrame | None, entry: str) -> Cell:
    if group is None:
        return _NOT_ASKED
    seen = set(group["behaviour"]) - {""}
    if not seen:
        return _NOT_ASKED
    text = ", ".join(short for behaviour, short in _SHORT.items() if behaviour in seen)
    worst = group[group["behaviour"] != ""].iloc[0]
    return cell_link(str(worst["clause"]), entry, text)
