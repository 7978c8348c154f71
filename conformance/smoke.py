"""The least an adapter must do before its results count.

A few ordinary cases (no extreme values, no edge) that lie within the adapter's own capabilities,
run in a worker process like any campaign's. What fails here would fail everywhere, so each
finding says what to mend in the adapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .case import Case, FillKind
from .cases.case_space import Demand, draw_case, draw_signature
from .cases.demands import DEMANDS
from .cases.plan import Stream
from .contract import Adapter, Answered, Capabilities, Outcome, Quantity, Unsupported
from .engine.campaign import Subject, make_trial
from .engine.process import Question, SubjectProcess
from .engine.recording import describe
from .judging.judge import judge
from .verdict import Conforms, Judgement, NotSupported

LIMIT = 120.0
"""Seconds for one ordinary case, framework start and compilation included."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was tried; ``advice`` says what to mend when it failed."""

    name: str
    passed: bool
    detail: str
    advice: str = ""


_ADVICE = {
    "BN-CALL-1": "answer what the capabilities admit: narrow them, or mend the call",
    "BN-CALL-2": "give y and dx in the input's shape and format, statistics in feature_shape",
    "BN-CALL-3": "copy the inputs before an operation that works in place",
    "BN-CALL-4": "build() must start from the given parameters and state every time",
}


def smoke(subject: Subject) -> Iterator[Finding]:
    """Findings one by one, the first failures telling most."""
    described = subject.described
    yield Finding(
        name="starts",
        passed=described.available,
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
        passed=bool(cases),
        detail=f"{len(cases)} of {len(DEMANDS)} ordinary signatures are within its capabilities",
        advice="" if cases else "its capabilities exclude every ordinary case; widen them",
    )
    questions = [Question(case=case, repeat=True) for case in cases]
    with SubjectProcess(subject.target, subject.adapter.environment) as process:
        for case, outcome in process.ask(questions, LIMIT):
            yield _finding(subject.adapter, case, outcome)


def ordinary_cases(capabilities: Capabilities) -> list[Case]:
    """One ordinary case for each demanded signature that the capabilities admit."""
    cases = []
    for name, demand in DEMANDS.items():
        if _is_edge(demand):
            continue
        stream = Stream(f"smoke/{name}")
        case = draw_case(stream, draw_signature(stream, demand), FillKind.NORMAL)
        if case.smallest_count > 1 and capabilities.unsupported(case) is None:
            cases.append(case)
    return cases


def _is_edge(demand: Demand) -> bool:
    return demand.batch in (0, 1) or demand.most is not None


def _finding(adapter: type[Adapter], case: Case, outcome: Outcome) -> Finding:
    axes = ",".join(map(str, case.feature_axes))
    name = f"{case.mode}, rank {case.rank}, axis {axes}, {case.dtype}"
    trial = make_trial(case, adapter)
    judgements = judge(trial, outcome, adapter.dialect, adapter.capabilities)
    # What the adapter declares as out of reach is no failure, even where it says so by raising.
    fine = (Conforms, NotSupported)
    bad = [each for each in judgements if not isinstance(each.verdict, fine)]
    if bad:
        worst = bad[0]
        _, _, message = describe(worst.verdict)
        advice = _ADVICE.get(worst.clause, _dialect_advice(worst))
        detail = f"{worst.clause} {worst.quantity}: {message}"
        return Finding(name=name, passed=False, detail=detail, advice=advice)
    if isinstance(outcome, Unsupported):
        return Finding(name=name, passed=True, detail=f"declared unsupported: {outcome.reason}")
    seconds = outcome.seconds if isinstance(outcome, Answered) else 0.0
    return Finding(name=name, passed=True, detail=f"{len(judgements)} checks, {seconds:.3f} s")


def _dialect_advice(judgement: Judgement) -> str:
    if judgement.quantity in (Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR):
        return (
            "compare the dialect (momentum sense, biased or unbiased) with what the framework "
            "documents; if they agree, this is a finding about the framework"
        )
    return (
        "look for a missing transpose or cast in the adapter first; if it is sound, this is a "
        "finding about the framework"
    )
