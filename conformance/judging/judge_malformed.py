"""Where a malformed call is judged: was it rejected, how clearly, and if not, what came back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ..cases.malformed import MalformedCall, Meaning, Probe, expected_of
from ..clauses import Level, clause
from ..contract import (
    Answered,
    Array,
    Capabilities,
    Crashed,
    Hung,
    Outcome,
    Quantity,
    Raised,
    Step,
    Unsupported,
)
from ..dialect import Dialect
from ..expecting.expectation import Conventions, Expectation
from ..malformation import Malformation
from ..verdict import (
    Behaviour,
    Cause,
    Conforms,
    Diverges,
    Judgement,
    NotSupported,
    Verdict,
    WorkerCrashed,
    WorkerHung,
    WrongContract,
)
from .compare import compare
from .judge import call_judgement, rejection_behaviour

CLEAR = "BN-REJECT-10"
SURVIVES = "BN-REJECT-11"


def why_not_asked(probe: Probe, capabilities: Capabilities) -> str | None:
    """Why a subject is not sent ``probe``, or None when it is."""
    reason = capabilities.unsupported(probe.base)
    if reason is None and probe.malformation not in capabilities.passes_on:
        reason = f"does not reach the framework: {probe.malformation}"
    return reason


def judge_malformed(
    call: MalformedCall, outcome: Outcome, dialect: Dialect, capabilities: Capabilities
) -> tuple[Judgement, ...]:
    """Every judgement that ``outcome`` allows, in a fixed order."""
    name = call.probe.rule.clause
    crashes = Behaviour.CRASHES
    match outcome:
        case Unsupported():
            return (judge_not_asked(call.probe, outcome),)
        case Crashed(exit_code=exit_code):
            return (call_judgement(SURVIVES, WorkerCrashed(exit_code=exit_code), crashes),)
        case Hung(limit=limit):
            return (call_judgement(SURVIVES, WorkerHung(limit=limit), crashes),)
        case Raised():
            return tuple(_judge_rejection(name, outcome, call.probe.rule.words))
        case Answered():
            verdict, behaviour = _judge_accepted(call, outcome, dialect, capabilities)
            return (call_judgement(name, verdict, behaviour), call_judgement(SURVIVES, Conforms()))


def judge_not_asked(probe: Probe, outcome: Unsupported) -> Judgement:
    """The record of a call that the subject is not sent, or does not take."""
    return call_judgement(probe.rule.clause, NotSupported(reason=outcome.reason))


def _judge_rejection(name: str, outcome: Raised, words: Iterable[str]) -> Iterator[Judgement]:
    behaviour = rejection_behaviour(outcome, words)
    yield call_judgement(name, Conforms(), behaviour)
    if behaviour is Behaviour.REJECTS_CLEARLY:
        yield call_judgement(CLEAR, Conforms())
    else:
        message = f"says neither which argument is wrong nor what arrived: {outcome.error}"
        yield call_judgement(CLEAR, Diverges(cause=Cause.UNCLEAR, message=message))
    yield call_judgement(SURVIVES, Conforms())


def _judge_accepted(
    call: MalformedCall, outcome: Answered, dialect: Dialect, capabilities: Capabilities
) -> tuple[Verdict, Behaviour]:
    """What the clause says of a call that was answered, and what the answer is."""
    rule, step = call.probe.rule, outcome.answer.steps[0]
    told = f"accepted the call ({rule.what}), and answered y of shape {step.y.shape}"
    expected = expected_of(call, Conventions.of(dialect))
    problem = None
    if expected is not None:
        problem = _difference(call, step, expected, capabilities.quantities)
        told += f"; {problem}" if problem else " by the equations"
    garbage = expected is None or problem is not None
    behaviour = Behaviour.GARBAGE if garbage else Behaviour.COMPUTES
    if clause(rule.clause).level is Level.MUST:
        return WrongContract(message=told), behaviour
    if rule.meaning is Meaning.FINE and not garbage:
        return Conforms(), behaviour
    cause = Cause.GARBAGE if garbage else Cause.ACCEPTED
    return Diverges(cause=cause, message=told), behaviour


def _difference(
    call: MalformedCall,
    step: Step,
    expected: Mapping[Quantity, Expectation],
    exposed: Iterable[Quantity],
) -> str | None:
    """Where the answer differs from the equations, one phrase, or None."""
    for quantity in call.probe.rule.shows:
        got: Array | None = getattr(step, quantity.value)
        if got is None or quantity not in exposed:
            continue
        want = expected[quantity]
        if call.probe.malformation is Malformation.INTEGER_INPUT:
            got = _as_real(got, want)
        verdict = compare(got, want)
        if isinstance(verdict, Diverges):
            return f"{quantity.value}: {verdict.message}"
    return None


def _as_real(got: Array, want: Expectation) -> Array:
    """``got`` in the expected format: which one integers become, no clause says."""
    return got.astype(want.output.numpy) if np.issubdtype(got.dtype, np.floating) else got
