"""The least an adapter must do before its results count.

A few ordinary cases (no extreme values, no edge) that lie within the adapter's own capabilities,
run in a worker process like any campaign's. What fails here would fail everywhere, so each
finding says what to mend in the adapter. What an entry of ``known/*.toml`` accepts is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .case import Case, FillKind
from .cases.case_space import Demand, draw_case, draw_signature
from .cases.demands import DEMANDS
from .cases.plan import Stream
from .contract import Answered, Capabilities, Outcome, Quantity, Unsupported
from .engine.campaign import Subject, make_trial
from .engine.process import Question, SubjectProcess
from .engine.recording import Labels, SubjectInfo, make_records
from .judging.judge import judge
from .known.divergences import KnownDivergence
from .record import UNEXPECTED, Record
from .topic import topic_of_case

LIMIT = 120.0
"""Seconds for one ordinary case, framework start and compilation included."""


class Status(StrEnum):
    """What came of one thing that was tried."""

    OK = "ok"
    KNOWN = "known"
    """It diverges, and entries of ``known/*.toml`` accept all of that."""
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A known divergence: the entry's id and reason, and what shows it here."""

    id: str
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was tried.

    ``advice`` says what to mend when it failed; ``known`` holds every entry that accepts something
    of it, also where something else failed.
    """

    name: str
    status: Status
    detail: str
    advice: str = ""
    known: tuple[Accepted, ...] = ()


_ADVICE = {
    "BN-CALL-1": "answer what the capabilities admit: narrow them, or mend the call",
    "BN-CALL-2": "give y and dx in the input's shape and format, statistics in feature_shape",
    "BN-CALL-3": "copy the inputs before an operation that works in place",
    "BN-CALL-4": "build() must start from the given parameters and state every time",
}


def smoke(subject: Subject, entries: Sequence[KnownDivergence] = ()) -> Iterator[Finding]:
    """Findings one by one, the first failures telling most; ``entries`` say what is known."""
    described = subject.described
    yield Finding(
        name="starts",
        status=Status.OK if described.available else Status.FAILED,
        detail=f"version {described.version} on {described.device}"
        if described.available
        else described.reason,
        advice="" if described.available else "install its framework, or mend __init__",
    )
    if not described.available:
        return
    cases = ordinary_cases(subject.adapter.capabilities)
    yield Finding(
        name="takes ordinary cases",
        status=Status.OK if cases else Status.FAILED,
        detail=f"{len(cases)} of {len(DEMANDS)} ordinary signatures are within its capabilities",
        advice="" if cases else "its capabilities exclude every ordinary case; widen them",
    )
    names = {case.id: name for name, case in cases.items()}
    questions = [Question(case=case, repeat=True) for case in cases.values()]
    labels = Labels(entries=entries)
    with SubjectProcess(subject.target, subject.adapter.environment) as process:
        for case, outcome in process.ask(questions, LIMIT):
            yield _finding(subject, names[case.id], case, outcome, labels)


def ordinary_cases(capabilities: Capabilities) -> Mapping[str, Case]:
    """One ordinary case for each demanded signature that the capabilities admit, by its name."""
    cases = {}
    for name, demand in DEMANDS.items():
        if _is_edge(demand):
            continue
        stream = Stream(f"smoke/{name}")
        case = draw_case(stream, draw_signature(stream, demand), FillKind.NORMAL)
        if case.smallest_count > 1 and capabilities.unsupported(case) is None:
            cases[name] = case
    return cases


def _is_edge(demand: Demand) -> bool:
    return demand.batch in (0, 1) or demand.most is not None


def _finding(
    subject: Subject, demand: str, case: Case, outcome: Outcome, labels: Labels
) -> Finding:
    axes = ",".join(map(str, case.feature_axes))
    name = f"{demand} ({case.mode}, rank {case.rank}, axis {axes}, {case.dtype})"
    adapter = subject.adapter
    trial = make_trial(case, adapter)
    judgements = judge(trial, outcome, adapter.dialect, adapter.capabilities)
    info = SubjectInfo(
        name=subject.name,
        framework=adapter.framework,
        version=subject.described.version,
        device=subject.described.device,
    )
    records = make_records(info, topic_of_case(case), outcome, judgements, labels)
    # What the adapter declares as out of reach is no failure, even where it says so by raising.
    bad = [record for record in records if record.verdict in UNEXPECTED]
    known = _accepted([record for record in bad if record.known], labels.entries)
    failed = next((record for record in bad if not record.known), None)
    if failed is not None:
        return Finding(
            name=name,
            status=Status.FAILED,
            detail=_detail(failed),
            advice=_ADVICE.get(failed.clause, _dialect_advice(failed)),
            known=known,
        )
    if known:
        return Finding(name=name, status=Status.KNOWN, detail=known[0].detail, known=known)
    if isinstance(outcome, Unsupported):
        told = f"declared unsupported: {outcome.reason}"
        return Finding(name=name, status=Status.OK, detail=told)
    seconds = outcome.seconds if isinstance(outcome, Answered) else 0.0
    detail = f"{len(judgements)} checks, {seconds:.3f} s"
    return Finding(name=name, status=Status.OK, detail=detail)


def _accepted(
    records: Sequence[Record], entries: Sequence[KnownDivergence]
) -> tuple[Accepted, ...]:
    """Each entry that accepts one of ``records``, with the first that it accepts."""
    reasons = {entry.id: " ".join(entry.reason.split()) for entry in entries}
    first: dict[str, Record] = {}
    for record in records:
        first.setdefault(record.known, record)
    return tuple(
        Accepted(id=name, reason=reasons[name], detail=_detail(record))
        for name, record in first.items()
    )


def _detail(record: Record) -> str:
    return f"{record.clause} {record.quantity}: {record.message}"


def _dialect_advice(record: Record) -> str:
    if record.quantity in (Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR):
        return (
            "compare the dialect (momentum sense, biased or unbiased) with what the framework "
            "documents; if they agree, this is a finding about the framework"
        )
    return (
        "look for a missing transpose or cast in the adapter first; if it is sound, this is a "
        "finding about the framework"
    )
