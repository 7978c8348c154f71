"""Where was looked besides cases, and why a cell has no rows.

Nobody looked, the subject does not offer it, or nothing came of it: a record exists only where
something was judged. Which clauses a case *could* have shown is a property of the case, so an
empty cell can be told apart by what was asked of its subject.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from bnconform.conformance.case import Case, FillKind, InvalidCaseError
from bnconform.conformance.cases.corners import (
    CONVERSION,
    EXPERIMENTS,
    FORWARD_OVER_REVERSE,
    INPUTS_KEPT,
    MALFORMED_CALLS,
    REVERSE_OVER_FORWARD,
    RUN_AGAIN,
    SECOND_ORDER,
    VECTORIZED_REVERSE,
)
from bnconform.conformance.contract import Quantity
from bnconform.conformance.judging.evidence import clause_for
from bnconform.conformance.record import VerdictKind
from bnconform.reports.columns import rows

_NON_FINITE = (FillKind.NAN, FillKind.INF)


_OF_EVERY_CALL = {"BN-CALL-3": INPUTS_KEPT, "BN-CALL-4": RUN_AGAIN}
_OF_EXPERIMENTS = {
    "second": SECOND_ORDER,
    "forward_over_reverse": FORWARD_OVER_REVERSE,
    "reverse_over_forward": REVERSE_OVER_FORWARD,
    "vectorized_reverse": VECTORIZED_REVERSE,
    "export": CONVERSION,
}
"""By the first part of their names; the others are simply experiments."""


def besides(records: pd.DataFrame, topics: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``records`` that belong to one of ``corners.BESIDES``, with its name as value.

    Those of experiments, of several kinds, and malformed calls, which ``topics`` tells apart, and
    those of what is looked at in every call.
    """
    kinds = {row.case_id: _kind_of_topic(row.json) for row in rows(topics)}
    by_topic = records["case_id"].map(kinds)
    names = by_topic.where(by_topic.notna(), records["clause"].map(_OF_EVERY_CALL))
    return records.assign(value=names.astype("str"))[names.notna()]


def _kind_of_topic(text: str) -> str | None:
    told = json.loads(text)
    if "experiment" in told:
        return _OF_EXPERIMENTS.get(told["experiment"].partition(".")[0], EXPERIMENTS)
    return MALFORMED_CALLS if "malformation" in told else None


def reach(cases: pd.DataFrame) -> pd.DataFrame:
    """Columns case_id, clause, quantity: what each case of the cases frame is able to show.

    A case of another version's format is able to show nothing.
    """
    found = [
        (row.case_id, clause, quantity)
        for row in rows(cases)
        for clause, quantity in sorted(_pairs(row.json))
    ]
    return pd.DataFrame(found, columns=["case_id", "clause", "quantity"], dtype="str")


def empty_cells(
    records: pd.DataFrame, subjects: pd.DataFrame, reached: pd.DataFrame
) -> dict[tuple[str, str], bool]:
    """(clause, entry) -> whether what was asked there is all outside what the subject offers.

    Only cells without rows that some case of the subject reaches are there; ``reached`` is what
    :func:`reach` gave.
    """
    asked = records.groupby(["entry", "case_id"])["verdict"].agg(set).reset_index()
    refused = asked["verdict"].map(lambda found: found == {VerdictKind.UNSUPPORTED.value})
    asked = asked.assign(refused=refused)[["entry", "case_id", "refused"]]
    pairs = asked.merge(reached, on="case_id")
    exposed = {row.entry: _quantities(row) for row in rows(subjects) if row.available}
    offered = [
        not row.refused and row.quantity in exposed.get(row.entry, set()) for row in rows(pairs)
    ]
    outside = (
        ~pairs.assign(offered=pd.Series(offered, dtype="bool"))
        .groupby(["clause", "entry"])["offered"]
        .any()
    )
    full = set(zip(records["clause"], records["entry"], strict=True))
    return {
        (str(row[0]), str(row[1])): bool(value)
        for row, value in outside.items()
        if isinstance(row, tuple) and row not in full
    }


def _pairs(text: str) -> set[tuple[str, str]]:
    """(clause, quantity) that a case is able to show."""
    try:
        case = Case.from_json(text)
    except InvalidCaseError:
        return set()
    channels = (False, True) if case.fill.kind in _NON_FINITE else (False,)
    return {
        (clause_for(case, quantity, own_channel=own), quantity.value)
        for quantity in Quantity
        for own in channels
    }


def _quantities(subject: Any) -> set[str]:
    """The quantities that a row of the subjects frame declares; all, where it does not say."""
    declared = json.loads(subject.capabilities).get("quantities")
    return {quantity.value for quantity in Quantity} if declared is None else set(declared)
