"""Judgements to records: one flat row each, with the known divergence that covers it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from ..contract import Answered, Observation, Observed, Outcome, Raised
from ..known.divergences import KnownDivergence
from ..record import Record, VerdictKind
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

    def label(self, record: Record, facts: Mapping[str, Any]) -> Record:
        """The row, about what has these facts, with the first entry that covers it."""
        for entry in self._entries_for(record.subject, record.framework_version):
            if entry.accepts(record) and entry.looks_at(record, facts):
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
    return [labels.label(row, topic.facts) for row in rows]


def _row(subject: SubjectInfo, topic: Topic, seconds: float, judgement: Judgement) -> Record:
    measure = _measure(judgement.verdict)
    kind, cause, message = describe(judgement.verdict)
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
        error_ratio=measure.ratio if measure else math.nan,
        max_abs_error=measure.abs_error if measure else math.nan,
        max_ulp=measure.ulp if measure else math.nan,
        bound=measure.bound if measure else math.nan,
        vacuous=isinstance(judgement.verdict, Conforms) and judgement.verdict.vacuous,
        seconds=seconds,
        step=judgement.step,
        worst_index=",".join(map(str, measure.index)) if measure else "",
        expected=measure.expected if measure else math.nan,
        got=measure.got if measure else math.nan,
        judged_elements=measure.judged if measure else 0,
        vacuous_elements=measure.vacuous if measure else 0,
        message=message,
        mode=topic.mode,
        dtype=topic.dtype,
        fill=topic.fill,
        rank=topic.rank,
        smallest_count=topic.smallest_count,
        signature=topic.signature,
        behaviour=judgement.behaviour.value if judgement.behaviour else "",
    )


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
