"""Judgements to records: one flat row each, with the known divergence that covers it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from ..contract import Answered, Observation, Observed, Outcome, Raised
from ..known.divergences import KnownDivergence
from ..record import UNEXPECTED, Record, VerdictKind
from ..topic import Topic
from ..verdict import (
    Conforms,
    Diverges,
    Judgement,
    Measure,
    NotSupported,
    Unrepeatable,
    Verdict,
    WorkerCrashed,
    WorkerHung,
    WrongContract,
)


@dataclass(frozen=True, kw_only=True)
class SubjectInfo:
    """What every row says of its subject."""

    name: str
    framework: str
    version: str
    device: str


@dataclass(kw_only=True)
class Labels:
    """Known divergences, to label rows with."""

    entries: Sequence[KnownDivergence]
    _concerned: dict[tuple[str, str], list[KnownDivergence]] = field(default_factory=dict)

    def label(self, record: Record, topic: Topic) -> Record:
        """The row, about ``topic``, with the first entry that covers it."""
        if record.verdict not in UNEXPECTED:
            # Nearly all, and no entry is about them.
            return record
        for entry in self._entries_for(record.subject, record.framework_version):
            if entry.accepts(record) and entry.looks_at(record, topic.facts):
                return record._replace(known=entry.id)
        return record

    def _entries_for(self, subject: str, version: str) -> list[KnownDivergence]:
        """Those that concern it, kept: comparing versions costs more than all the rest."""
        key = (subject, version)
        if key not in self._concerned:
            self._concerned[key] = [each for each in self.entries if each.concerns(*key)]
        return self._concerned[key]


def make_records(
    subject: SubjectInfo,
    topic: Topic,
    outcome: Outcome | Observation,
    judgements: Iterable[Judgement],
    labels: Labels,
) -> list[Record]:
    """One labelled row for each judgement."""
    seconds = outcome.seconds if isinstance(outcome, (Answered, Observed, Raised)) else 0.0
    rows = (_row(subject, topic, seconds, judgement) for judgement in judgements)
    return [labels.label(row, topic) for row in rows]


def _row(subject: SubjectInfo, topic: Topic, seconds: float, judgement: Judgement) -> Record:
    verdict = judgement.verdict
    measure = _measure(verdict) or _NOT_MEASURED
    kind, cause, message = describe(verdict)
    return Record(
        subject=subject.name,
        framework=subject.framework,
        framework_version=subject.version,
        device=subject.device,
        case_id=topic.id,
        clause=judgement.clause,
        quantity=judgement.quantity,
        verdict=kind.value,
        known="",
        cause=cause,
        error_ratio=measure.ratio,
        max_abs_error=measure.abs_error,
        max_ulp=measure.ulp,
        bound=measure.bound,
        vacuous=isinstance(verdict, Conforms) and verdict.vacuous,
        seconds=seconds,
        step=judgement.step,
        worst_index=",".join(map(str, measure.index)),
        expected=measure.expected,
        got=measure.got,
        judged_elements=measure.judged,
        vacuous_elements=measure.vacuous,
        message=message,
        mode=topic.mode,
        dtype=topic.dtype,
        fill=topic.fill,
        rank=topic.rank,
        smallest_count=topic.smallest_count,
        signature=topic.signature,
        behaviour=judgement.behaviour.value if judgement.behaviour else "",
    )


_NOT_MEASURED = Measure(
    ratio=math.nan, abs_error=math.nan, ulp=math.nan, bound=math.nan, expected=math.nan,
    got=math.nan, index=(), judged=0, vacuous=0,
)  # fmt: skip
"""What a row says where nothing was compared."""


def _measure(verdict: Verdict) -> Measure | None:
    return verdict.measure if isinstance(verdict, (Conforms, Diverges)) else None


def describe(verdict: Verdict) -> tuple[VerdictKind, str, str]:
    """A verdict's kind, cause and message."""
    match verdict:
        case Conforms():
            return VerdictKind.CONFORMS, "", ""
        case Diverges(cause=cause, message=message):
            return VerdictKind.DIVERGES, cause.value, message
        case NotSupported(reason=reason):
            return VerdictKind.UNSUPPORTED, "", reason
        case WrongContract(message=message):
            return VerdictKind.WRONG_CONTRACT, "wrong contract", message
        case WorkerCrashed(exit_code=code):
            message = f"the subject's process died with exit code {code}"
            return VerdictKind.CRASHED, "crash", message
        case WorkerHung(limit=limit):
            return VerdictKind.HUNG, "hang", f"no answer within {limit:g} s"
        case Unrepeatable(quantities=quantities):
            message = f"{', '.join(quantities)} differed bitwise when the case was run again"
            return VerdictKind.UNREPEATABLE, "not repeatable", message
        case _:
            assert_never(verdict)
