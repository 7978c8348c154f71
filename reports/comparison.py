"""Run against run: what is new, changed, gone, or no longer looked at.

Frames go in, a :class:`Comparison` comes out. A row is known by subject, case, clause and quantity.
What cannot be seen in the second run, because its subject is unavailable, its case was not run or
nothing of it could be judged, is never called gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from bnconform.reports.columns import rows
from bnconform.reports.errors import ReportError
from bnconform.reports.frames import JUDGED, Runs, Standing
from bnconform.reports.unlike import Difference, differences

KEY = ["subject", "case_id", "clause", "quantity"]
"""What makes two rows of two runs the same row."""

FACTOR = 2.0
"""Error / bound must grow by more than this to be called worse: less may come from other sums."""

_TOLD = ["verdict", "cause", "explanation", "known"]
_DIVERGENT = (Standing.KNOWN.value, Standing.UNEXPECTED.value)
_WITHOUT_CAUSE = ("", "unexplained")


class IncomparableError(ReportError):
    """Two runs, or parts given as one run, that cannot be compared."""


class Change(StrEnum):
    """What became of a row that diverges in one of the runs."""

    NEW = "new"
    CHANGED = "changed"
    WIDER = "the same, where A did not look"
    SAME = "same"
    GONE = "gone"
    UNSEEN = "not looked at any more"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One run, or its shards as one.

    ``causes`` names the explanation of each row of ``runs.records``, as ``causes_of_rows`` gives
    it; None where the run says nothing of causes.
    """

    runs: Runs
    causes: pd.Series[str] | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What changed from run A to run B.

    ``rows`` has one row for each that diverges on either side, ``divergences`` sums them up by
    subject, clause, quantity, verdict, cause, explanation and known divergence. ``shared`` counts
    the rows that were judged in both, ``lost`` those judged in A and not in B, ``explained``
    whether both runs name causes.
    """

    rows: pd.DataFrame
    divergences: pd.DataFrame
    differences: tuple[Difference, ...]
    shared: int
    lost: int
    explained: bool
    factor: float

    def of(self, change: Change) -> pd.DataFrame:
        """The divergences with that change."""
        return self.divergences[self.divergences["change"] == change.value]

    def failing(self, *, strict: bool = False) -> pd.DataFrame:
        """The divergences that are new or worse; those known in B count only if ``strict``."""
        worse = self.divergences[self.divergences["worse"]]
        return worse if strict else worse[worse["known"] == ""]


def compare_sides(before: Side, after: Side, *, factor: float = FACTOR) -> Comparison:
    """What changed from ``before`` (A) to ``after`` (B).

    Raises :class:`IncomparableError` where a side is not one run, or nothing was judged in both.
    """
    for name, side in (("A", before), ("B", after)):
        _check_one_run(name, side.runs)
    explained = before.causes is not None and after.causes is not None
    merged = _told(before, explained=explained).merge(
        _told(after, explained=explained), on=KEY, how="outer", suffixes=("_a", "_b")
    )
    seen_a, seen_b = (merged[f"standing_{side}"].isin(JUDGED) for side in "ab")
    shared = int((seen_a & seen_b).sum())
    if not shared:
        msg = "no row was judged in both runs (other cases, or other subjects): nothing to compare"
        raise IncomparableError(msg)
    found = _classified(merged, factor).assign(
        why_a=lambda frame: _reasons(frame, "a", before.runs),
        why_b=lambda frame: _reasons(frame, "b", after.runs),
    )
    lost = int((seen_a & ~seen_b).sum())
    return Comparison(
        rows=found,
        divergences=_summary(found, before.runs, after.runs),
        differences=differences(before.runs, after.runs),
        shared=shared,
        lost=lost,
        explained=explained,
        factor=factor,
    )


def _check_one_run(name: str, runs: Runs) -> None:
    """Parts of one campaign, each subject in one version, each row once."""
    if len(set(runs.runs["campaign"])) > 1:
        asked = " and ".join(sorted(set(runs.runs["arguments"])))
        msg = f"run {name} is put together from different runs ({asked}); give shards of one run"
        raise IncomparableError(msg)
    ran = runs.subjects[runs.subjects["available"]]
    for subject, group in ran.groupby("subject"):
        versions = sorted(set(group["version"] + " on " + group["device"]))
        if len(versions) > 1:
            msg = f"run {name} holds {subject} as {' and '.join(versions)}; give one of them"
            raise IncomparableError(msg)
    twice = runs.records[runs.records.duplicated(KEY)]
    for row in rows(twice):
        msg = f"run {name} holds {row.subject}, case {row.case_id}, {row.clause} more than once"
        raise IncomparableError(msg)


def _told(side: Side, *, explained: bool) -> pd.DataFrame:
    """The rows of one side with what a comparison needs; explanations only where both have them."""
    kept = [*KEY, "standing", "verdict", "cause", "known", "error_ratio", "message"]
    records = side.runs.records[kept]
    causes = side.causes if explained and side.causes is not None else ""
    return records.assign(explanation=causes)


def _divergent(standing: pd.Series[str]) -> pd.Series[bool]:
    return standing.isin(_DIVERGENT)


def _classified(merged: pd.DataFrame, factor: float) -> pd.DataFrame:
    """The rows that diverge on either side, with ``change``, ``what`` changed and ``worse``."""
    either = _divergent(merged["standing_a"]) | _divergent(merged["standing_b"])
    found = merged[either].reset_index(drop=True)
    texts = [f"{name}_{side}" for name in (*_TOLD, "standing", "message") for side in "ab"]
    found = found.fillna(dict.fromkeys(texts, ""))
    found = found.assign(what=_what_changed(found, factor))
    found = found.assign(change=_changes(found))
    return found.assign(worse=_worse(found))


def _what_changed(found: pd.DataFrame, factor: float) -> pd.Series[str]:
    """For rows that diverge on both sides, what differs; '' for nothing."""
    both = _divergent(found["standing_a"]) & _divergent(found["standing_b"])
    parts = {name: both & (found[f"{name}_a"] != found[f"{name}_b"]) for name in _TOLD}
    parts["error"] = both & (found["error_ratio_b"] > factor * found["error_ratio_a"])
    flags = pd.DataFrame(parts).to_dict("records")
    what = [", ".join(str(name) for name, differs in row.items() if differs) for row in flags]
    return pd.Series(what, index=found.index, dtype="str")


def _changes(found: pd.DataFrame) -> pd.Series[str]:
    bad_a, bad_b = (_divergent(found[f"standing_{side}"]) for side in "ab")
    seen_a, seen_b = (found[f"standing_{side}"].isin(JUDGED) for side in "ab")
    identity = ["subject", "clause", "quantity", *_TOLD]
    before = set(_identities(found[bad_a], "a", identity))
    again = pd.Series([each in before for each in _identities(found, "b", identity)], dtype=bool)
    change = np.select(
        [
            bad_a & bad_b & (found["what"] != ""),
            bad_a & bad_b,
            bad_a & seen_b,
            bad_a,
            ~seen_a & again,
        ],
        [Change.CHANGED.value, Change.SAME.value, Change.GONE.value, Change.UNSEEN.value,
         Change.WIDER.value],
        default=Change.NEW.value,
    )  # fmt: skip
    return pd.Series(change, index=found.index, dtype="str")


def _identities(found: pd.DataFrame, side: str, names: list[str]) -> list[tuple[Any, ...]]:
    columns = [f"{name}_{side}" if name in _TOLD else name for name in names]
    return list(found[columns].itertuples(index=False, name=None))


def _worse(found: pd.DataFrame) -> pd.Series[bool]:
    """New, another divergence than before, a larger error, or no longer known.

    That a cause is found for what had none is no other divergence.
    """
    other = (found["verdict_a"] != found["verdict_b"]) | (found["cause_a"] != found["cause_b"])
    renamed = found["explanation_a"] != found["explanation_b"]
    other |= renamed & ~found["explanation_a"].isin(_WITHOUT_CAUSE)
    grown = found["what"].str.endswith("error")
    bare = (found["known_a"] != "") & (found["known_b"] == "")
    changed = (found["change"] == Change.CHANGED) & (other | grown | bare)
    return (found["change"] == Change.NEW) | changed


def _reasons(found: pd.DataFrame, side: str, runs: Runs) -> list[str]:
    """Why a row was not looked at on that side; '' where it was."""
    reason = _reason_finder(runs)
    return [
        ""
        if row[f"standing_{side}"] in JUDGED
        else reason(row["subject"], row["case_id"], row[f"standing_{side}"])
        for row in found.to_dict("records")
    ]


def _reason_finder(runs: Runs) -> Callable[[str, str, str], str]:
    available = runs.subjects.groupby("subject")["available"].any()
    why = dict(zip(runs.subjects["subject"], runs.subjects["reason"], strict=True))
    planned = {*runs.cases["case_id"], *runs.topics["case_id"]}
    calls = runs.records[runs.records["standing"] != Standing.VACUOUS]
    asked = {key: set(group) for key, group in calls.groupby(["subject", "case_id"])["verdict"]}

    def reason(subject: str, case_id: str, standing: str) -> str:
        if subject not in available.index:
            return "the subject was not asked"
        if not available[subject]:
            return f"unavailable: {why[subject]}"
        if standing == Standing.VACUOUS:
            return "nothing of it could be judged"
        if case_id not in planned:
            return "its case was not planned"
        verdicts = asked.get((subject, case_id), set())
        if not verdicts:
            return "not run"
        if standing == Standing.UNSUPPORTED or verdicts == {"unsupported"}:
            return "unsupported"
        failed = sorted(verdicts & {"crashed", "hung", "wrong_contract"})
        return f"the call {failed[0].replace('_', ' ')}" if failed else "not judged for this clause"

    return reason


_SUMMED = ("rows", "cases", "error_ratio_a", "error_ratio_b", "case_id", "message", "id")
_OF_A = (Change.GONE.value, Change.UNSEEN.value)


def _summary(found: pd.DataFrame, before: Runs, after: Runs) -> pd.DataFrame:
    """One row for each divergence and what became of it; see :class:`Comparison`."""
    of_a = found["change"].isin(_OF_A)
    told = {name: found[f"{name}_a"].where(of_a, found[f"{name}_b"]) for name in _TOLD}
    was = {f"was_{name}": found[f"{name}_a"].where(~of_a, "") for name in _TOLD}
    why = found["why_a"].where(~of_a, found["why_b"])
    message = found["message_a"].where(of_a, found["message_b"])
    ratio = found["error_ratio_a"].where(of_a, found["error_ratio_b"]).fillna(-np.inf)
    frame = found.assign(**told, **was, why=why, message=message, ratio=ratio)
    by = ["change", "worse", "subject", "cause", "explanation", "known", "clause", "quantity",
          "verdict", "what", "why", *was]  # fmt: skip
    ids = {name: _bundles(runs) for name, runs in (("a", before), ("b", after))}
    summed = [
        {**dict(zip(by, key, strict=True)), **_sums(group, ids["a" if key[0] in _OF_A else "b"])}
        for key, group in frame.groupby(by)
    ]
    # Without a row it would have no type, and pandas would take it for a list of columns.
    return pd.DataFrame(summed, columns=[*by, *_SUMMED]).astype({"worse": "bool"})


def _sums(group: pd.DataFrame, bundles: dict[tuple[str, ...], str]) -> dict[str, object]:
    worst = group.iloc[int(group["ratio"].to_numpy().argmax())]
    named = ("subject", "clause", "quantity", "verdict", "cause", "known")
    return {
        "rows": len(group),
        "cases": int(group["case_id"].nunique()),
        "error_ratio_a": float(group["error_ratio_a"].max()),
        "error_ratio_b": float(group["error_ratio_b"].max()),
        "case_id": str(worst["case_id"]),
        "message": str(worst["message"]),
        "id": bundles.get(tuple(str(worst[name]) for name in named), ""),
    }


def _bundles(runs: Runs) -> dict[tuple[str, ...], str]:
    """Bundle ids by what makes rows the same divergence."""
    return {
        (row.subject, row.clause, row.quantity, row.verdict, row.cause, row.known): str(row.id)
        for row in rows(runs.divergences)
    }
