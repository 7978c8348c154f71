"""The Record: one judged quantity of one case by one subject, as one flat row.

``COLUMNS`` documents every column; run directories store these rows as Parquet and the reports
read nothing else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class VerdictKind(StrEnum):
    """The closed set of verdicts, as stored in the ``verdict`` column."""

    CONFORMS = "conforms"
    DIVERGES = "diverges"
    UNSUPPORTED = "unsupported"
    WRONG_CONTRACT = "wrong_contract"
    CRASHED = "crashed"
    HUNG = "hung"
    UNREPEATABLE = "unrepeatable"


UNEXPECTED = frozenset(VerdictKind) - {VerdictKind.CONFORMS, VerdictKind.UNSUPPORTED}
"""Verdicts that need a known divergence to be accepted."""


class Record(NamedTuple):
    """One row of a run. :data:`COLUMNS` says what each field means.

    A tuple, as a night makes a million of them.
    """

    subject: str
    framework: str
    framework_version: str
    device: str
    case_id: str
    clause: str
    quantity: str
    verdict: str
    known: str
    cause: str
    error_ratio: float
    max_abs_error: float
    max_ulp: float
    bound: float
    vacuous: bool
    seconds: float
    step: int
    worst_index: str
    expected: float
    got: float
    judged_elements: int
    vacuous_elements: int
    message: str
    mode: str
    dtype: str
    fill: str
    rank: int
    smallest_count: int
    signature: str
    behaviour: str = ""


COLUMNS: dict[str, str] = {
    "subject": "dotted name of the implementation under test",
    "framework": "package that it belongs to",
    "framework_version": "version that answered",
    "device": "device that it ran on",
    "case_id": "content hash of the case, the experiment or the malformed call",
    "clause": "clause of the spec that the row is evidence for",
    "quantity": "what was judged (y, running_var, dx, ...), 'call' for the call as a whole",
    "verdict": "conforms, diverges, unsupported, wrong_contract, crashed, hung, unrepeatable",
    "known": "id of the known divergence that covers the row, '' when none does",
    "cause": "what kind of divergence it is, '' when there is none",
    "error_ratio": "largest |got - expected| / bound over the judged elements; > 1 diverges",
    "max_abs_error": "largest |got - expected| over the judged elements, in the quantity's unit",
    "max_ulp": "the same in units in the last place of the expected value's format",
    "bound": "bound at the element with the largest error_ratio",
    "vacuous": "True when no element could be judged: such a row is not a pass",
    "seconds": "time of the subject's call, 0 where there was none",
    "step": "index of the training step that the row's worst element comes from; -1 for none",
    "worst_index": "index of that element, as '2,0,1'",
    "expected": "reference value at that element",
    "got": "the subject's value at that element",
    "judged_elements": "number of elements with a bound that could fail",
    "vacuous_elements": "number of elements whose bound allows any value",
    "message": "one sentence on what happened, '' for a plain pass",
    "mode": "the case's mode; '' for an experiment, as in the next two",
    "dtype": "the case's input format",
    "fill": "the case's fill kind",
    "rank": "the case's rank; 0 for an experiment, as in the next",
    "smallest_count": "least number of values per channel over the case's steps",
    "signature": "static signature of the case, '' for an experiment",
    "behaviour": "where a call may be rejected: rejects with a clear message, rejects unclearly,"
    " accepts and computes, accepts and returns garbage, or crashes; '' elsewhere",
}
