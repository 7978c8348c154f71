"""The data dictionary: every frame of a report, and what each of its columns means.

Frames are checked against this dictionary when they are built, so it cannot fall behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from bnconform.conformance.record import COLUMNS as RECORD_COLUMNS

_COUNTS = {
    "conforming": "rows within their bound, at least one element of which could be judged",
    "vacuous": "rows that conform but in which nothing could be judged: not a pass",
    "known": "rows that diverge as a known divergence says",
    "unexpected": "rows that diverge, crash, hang, ... and no known divergence covers",
    "unsupported": "rows that the subject does not offer",
}

_WORST = "largest |got - expected| / bound over the rows that compare; missing without one"
_ENTRY = "the subject as a column of the report: its name, with what tells it from a namesake"

FRAMES: Mapping[str, Mapping[str, str]] = {
    "records": {
        "run": "number of the run that the row comes from, see the runs frame",
        "entry": _ENTRY,
        "standing": "conforming, vacuous, known, unexpected or unsupported",
        **RECORD_COLUMNS,
    },
    "cases": {
        "case_id": "content hash of the case",
        "shape": "shape of a full batch, as 8x3x4x4",
        "last_batch": "number of samples in the last training step",
        "feature_axes": "axes that are not reduced, as written by the user, as '1'",
        "dtype": "input format",
        "layout": "memory layout of the input",
        "upstream_layout": "memory layout of the upstream gradient",
        "center": "whether the layer has beta",
        "scale": "whether the layer has gamma",
        "mode": "train, inference or frozen",
        "steps": "number of training steps",
        "epsilon": "added to the variance",
        "decay": "weight of the old value in the running update; missing for the plain average",
        "fill": "family that the values are drawn from",
        "fill_seed": "seed of the values",
        "fill_offset": "mean / deviation, for the fill 'offset'",
        "corners": "names of the corners of the case space that the case lies in, joined by ';'",
        "json": "the whole case as canonical JSON",
    },
    "topics": {
        "case_id": "content hash of an experiment or a malformed call, as records name it",
        "json": "what it is, as JSON",
    },
    "subjects": {
        "run": "number of the run",
        "entry": _ENTRY,
        "subject": "dotted name of the implementation under test",
        "available": "whether it could be run",
        "reason": "why it could not, '' when it could",
        "framework": "package that it belongs to",
        "version": "version of that package",
        "device": "device that it ran on",
        "dialect": "declared conventions with their sources, as JSON",
        "capabilities": "what the subject can be asked, as JSON",
    },
    "divergences": {
        "run": "number of the run",
        "id": "name of the divergence in its run directory",
        "page": "its page in the site, without '.html'",
        "entry": _ENTRY,
        "subject": "dotted name of the implementation under test",
        "clause": "clause that is broken",
        "quantity": "what was judged, 'call' for the call as a whole",
        "verdict": "as in records",
        "cause": "what kind of divergence it is",
        "known": "id of the known divergence that covers it, '' when none does",
        "count": "number of rows that it stands for",
        "case_id": "content hash of the (shrunk) case",
        "step": "training step of the worst element",
        "worst_index": "index of the worst element, as '2,0,1'",
        "expected": "reference value at the worst element",
        "got": "the subject's value there",
        "bound": "bound there",
        "error_ratio": "|got - expected| / bound there",
        "message": "one sentence on what happened",
        "output": "end of what the worker printed",
        "case": "the case as canonical JSON",
        "versions": "versions that were in use, as JSON",
    },
    "causes": {
        "run": "number of the run",
        "entry": _ENTRY,
        "subject": "dotted name of the implementation under test",
        "kind": "convention, stage, form or unexplained",
        "name": "name of the alternative convention, the stage or the form",
        "sentence": "what the subject does",
        "where": "facts of the cases in which it shows, as JSON; '{}' for all",
        "clauses": "clauses that it breaks, joined by ';'",
        "quantities": "quantities in which it shows, joined by ';'",
        "count": "number of rows that it accounts for",
        "cases": "number of different cases among them",
        "divergences": "ids of its divergences in their run directory, joined by ';'",
    },
    "runs": {
        "run": "number of the run: runs are ordered by creation time, arguments and shard",
        "created": "when it was started",
        "profile": "which profile was asked for",
        "cases_asked": "number of cases asked for",
        "seed": "seed of the case generator",
        "shard": "which part of the campaign it is, as '1/4'",
        "seconds": "how long it took",
        "exit_status": "0 nothing unexpected, 1 something unexpected or a stale known divergence",
        "unexpected": "unexpected rows according to its footer",
        "stale_known": "known divergences that matched nothing or are overdue, joined by ';'",
        "machine": "machine, as 'key: value' pairs joined by '; '",
        "host": "kind of machine and Python: where two differ, a subject is told apart by it",
        "versions": "versions of everything, as JSON",
        "arguments": "arguments of the run, as JSON",
        "campaign": "hash of the arguments without shard and subjects: equal for parts of one run",
    },
    "known": {
        "id": "name of the known divergence",
        "subject": "subjects that it covers, joined by ';'",
        "clause": "clauses that it covers, joined by ';', '' for all",
        "quantity": "quantities that it covers, joined by ';', '' for all",
        "versions": "range of framework versions that it covers, '' for all",
        "where": "conditions on the case, as 'key: value' pairs joined by '; '",
        "reason": "why it is accepted",
        "evidence": "how it is known",
        "upstream": "where it is reported",
        "date": "when it was accepted",
        "review_by": "when it must be looked at again",
        "rows": "number of rows that it covers in these runs",
        "state": "in use, stale, past its review date, or not reached by these runs",
    },
    "matrix": {
        "clause": "clause of the spec",
        "section": "section of the spec",
        "level": "MUST, SHOULD, MAY or INFO",
        "entry": _ENTRY,
        "status": "the cell's status in words",
        **_COUNTS,
        "rows": "all of these together",
        "cases": "number of different cases among the rows",
        "worst_error_ratio": _WORST,
    },
    "subject_summary": {
        "entry": _ENTRY,
        "available": "whether it could be run in any of the runs",
        "clauses_conforming": "number of clauses with status conforms",
        "clauses_known": "number of clauses with status known divergence",
        "clauses_unexpected": "number of clauses with an unexpected status",
        "clauses_absent": "number of clauses not judged, unsupported, not run or unavailable",
        **_COUNTS,
        "worst_error_ratio": _WORST,
        "seconds": "time spent in the subject's calls",
    },
    "clause_summary": {
        "clause": "clause of the spec",
        "section": "section of the spec",
        "level": "MUST, SHOULD, MAY or INFO",
        "subjects_conforming": "number of subjects with status conforms",
        "subjects_known": "number of subjects with status known divergence",
        "subjects_unexpected": "number of subjects with an unexpected status",
        "subjects_absent": "number of subjects not judged, unsupported, not run or unavailable",
        **_COUNTS,
        "worst_error_ratio": _WORST,
    },
    "looks": {
        "dimension": "grouped by: corner, besides (what no case tells), fill, dtype, mode or rank",
        "value": "the group",
        "cases": "number of cases, experiments and malformed calls in the group",
        **_COUNTS,
        "judged": "conforming, known and unexpected rows together: how often it was looked",
        "worst_error_ratio": _WORST,
    },
    "grades": {
        "entry": _ENTRY,
        "dtype": "input format",
        "grade": "best grade that 99 % of the results reach, '' without a result",
        "results": "rows with a judged element, known divergences included",
        "grade_a": "rows within 1 ULP, or as close as a tree of sums is sure to be",
        "grade_b": "other rows as close as sums with independent roundings are",
        "grade_c": "other rows within their bound",
        "grade_d": "rows beyond their bound",
    },
}
"""Frame name -> column name -> description, in column order."""


def rows(frame: pd.DataFrame) -> Iterable[Any]:
    """The rows as named tuples, whose fields are the documented columns."""
    return frame.itertuples(index=False, name="Row")


def documented(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its columns in the documented order; the two must not differ."""
    differing = set(frame.columns) ^ set(FRAMES[name])
    if differing:
        msg = f"frame {name!r} and its documentation in FRAMES differ in {sorted(differing)}"
        raise AssertionError(msg)
    return frame[list(FRAMES[name])]
