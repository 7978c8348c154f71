"""Where a verdict is decided: one outcome of one case against what the case must give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..case import Case, Mode
from ..cases.fills import Inputs
from ..contract import (
    GRADIENTS,
    RUNNING_STATISTICS,
    Answer,
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
from ..dialect import Dialect, Policy
from ..expecting.together import Entry, Opened
from ..reference import Conventions, Expectation, Expected
from ..verdict import (
    CALL,
    Behaviour,
    Cause,
    Conforms,
    Diverges,
    Judgement,
    NotSupported,
    Unrepeatable,
    Verdict,
    WorkerCrashed,
    WorkerHung,
    WrongContract,
)
from .compare import compare_worst, identical
from .elements import Pair, Want
from .evidence import clause_for, holds_non_finite


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A case, its arrays and what it must give: the fixed side of every judgement."""

    case: Case
    inputs: Inputs
    expected: Expected


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """A trial, and what its subject declares."""

    trial: Trial
    conventions: Conventions
    exposed: frozenset[Quantity]

    clauses: dict[tuple[Quantity, bool], str] = field(default_factory=dict)

    @property
    def case(self) -> Case:
        return self.trial.case

    @cached_property
    def holds_non_finite(self) -> bool:
        return holds_non_finite(self.case)

    def clause(self, quantity: Quantity, *, own_channel: bool = False) -> str:
        """The clause that ``quantity`` is evidence for, the same at every step."""
        key = (quantity, own_channel)
        if key not in self.clauses:
            self.clauses[key] = clause_for(
                self.case, quantity, self.conventions, own_channel=own_channel
            )
        return self.clauses[key]


class _Look(NamedTuple):
    """A quantity at one step: what is to be compared, or the verdict where that is settled.

    A ``partial`` look leaves out some channels, and is not mentioned if nothing remains.
    """

    clause: str
    quantity: Quantity
    step: int
    pair: Pair | None = None
    verdict: Verdict | None = None
    partial: bool = False

    def judged(self, verdicts: Iterator[Verdict | None]) -> Iterator[Judgement]:
        """The judgement; the next of ``verdicts`` is that on the pair, None if another is worse."""
        verdict = next(verdicts) if self.verdict is None else self.verdict
        if verdict is None:
            return
        if self.partial and isinstance(verdict, Conforms) and verdict.vacuous:
            return
        yield Judgement(
            clause=self.clause, quantity=self.quantity.value, verdict=verdict, step=self.step
        )


def judge(
    trial: Trial, outcome: Outcome, dialect: Dialect, capabilities: Capabilities
) -> tuple[Judgement, ...]:
    """Every judgement that ``outcome`` allows, in a fixed order."""
    (judgements,) = judge_all([(trial, outcome)], dialect, capabilities)
    return judgements


def judge_all(
    asked: Sequence[tuple[Trial, Outcome]], dialect: Dialect, capabilities: Capabilities
) -> list[tuple[Judgement, ...]]:
    """What :func:`judge` gives for each of a subject's outcomes, all arrays compared at once."""
    conventions = Conventions.of(dialect)
    looks = [_looks(*each, conventions, capabilities) for each in asked]
    # Of the steps of a case only the worst is told.
    entrants = (
        (look.pair, (number, look.quantity, look.clause))
        for number, mine in enumerate(looks)
        for look in mine
        if look.pair is not None
    )
    verdicts = iter(compare_worst(entrants))
    found = [_worst(mine, verdicts) for mine in looks]
    return [
        tuple(_judge(trial, outcome, dialect, mine))
        for (trial, outcome), mine in zip(asked, found, strict=True)
    ]


def _judge(
    trial: Trial, outcome: Outcome, dialect: Dialect, found: Sequence[Judgement]
) -> Iterable[Judgement]:
    match outcome:
        case Unsupported():
            return (judge_unsupported(outcome),)
        case Crashed(exit_code=exit_code):
            return (call_judgement("BN-CALL-1", WorkerCrashed(exit_code=exit_code)),)
        case Hung(limit=limit):
            return (call_judgement("BN-CALL-1", WorkerHung(limit=limit)),)
        case Raised():
            return (_judge_raised(trial.case, outcome, dialect),)
        case Answered():
            return _judge_answered(trial, outcome, dialect, found)


def judge_unsupported(outcome: Unsupported) -> Judgement:
    """The record of something that the subject does not offer."""
    return call_judgement("BN-CALL-5", NotSupported(reason=outcome.reason))


def call_judgement(clause: str, verdict: Verdict, behaviour: Behaviour | None = None) -> Judgement:
    """A judgement of a call as a whole."""
    return Judgement(clause=clause, quantity=CALL, verdict=verdict, behaviour=behaviour)


def rejection_behaviour(outcome: Raised, words: Iterable[str]) -> Behaviour:
    """How a call was rejected: clearly if a word of the message begins with one of ``words``."""
    message = outcome.message or outcome.error
    beginnings = "|".join(map(re.escape, words))
    clear = re.search(rf"(?<![a-zA-Z0-9])({beginnings})", message, re.IGNORECASE)
    return Behaviour.REJECTS_CLEARLY if clear else Behaviour.REJECTS_UNCLEARLY


_TOO_FEW = ("value", "sample", "batch", "empty", "element", "size", "shape", "count")
"""What a message about an input with too few values would speak of."""


def _rejection(case: Case, dialect: Dialect) -> tuple[str, Policy] | None:
    """The clause and the documented policy for a case that may be rejected, or None."""
    if case.mode is not Mode.TRAIN:
        return None
    if case.smallest_count == 0:
        return "BN-EDGE-2", dialect.empty_batch.value
    if case.smallest_count == 1:
        return "BN-EDGE-1", dialect.single_value.value
    return None


def _judge_raised(case: Case, outcome: Raised, dialect: Dialect) -> Judgement:
    """Raising conforms only where the dialect documents that the case is rejected."""
    rejection = _rejection(case, dialect)
    if rejection is None:
        return call_judgement("BN-CALL-1", WrongContract(message=f"raised {outcome.error}"))
    clause, policy = rejection
    behaviour = rejection_behaviour(outcome, _TOO_FEW)
    if policy is Policy.REJECTS:
        return call_judgement(clause, Conforms(), behaviour)
    message = f"documented to compute, raised {outcome.error}"
    return call_judgement(clause, WrongContract(message=message), behaviour)


def _judge_answered(
    trial: Trial, outcome: Answered, dialect: Dialect, found: Sequence[Judgement]
) -> Iterator[Judgement]:
    rejection = _rejection(trial.case, dialect)
    if rejection is not None and rejection[1] is Policy.REJECTS:
        message = "documented to reject too few values per channel, but answered"
        yield call_judgement(rejection[0], WrongContract(message=message), _acceptance(found))
        return
    yield call_judgement("BN-CALL-1", Conforms())
    yield call_judgement("BN-CALL-3", _inputs_kept(outcome.mutated))
    if outcome.unrepeatable is not None:
        changed = outcome.unrepeatable
        verdict = Unrepeatable(quantities=changed) if changed else Conforms()
        yield call_judgement("BN-CALL-4", verdict)
    if rejection is not None:
        yield call_judgement(rejection[0], Conforms(), _acceptance(found))
    form = next((j for j in found if _is_form(j.verdict)), None)
    yield form._replace(clause="BN-CALL-2") if form else call_judgement("BN-CALL-2", Conforms())
    yield from (j for j in found if not _is_form(j.verdict))


def _acceptance(found: Iterable[Judgement]) -> Behaviour:
    """What became of a call that others reject: computed, or answered with something else."""
    diverges = any(isinstance(judgement.verdict, Diverges) for judgement in found)
    return Behaviour.GARBAGE if diverges else Behaviour.COMPUTES


def _inputs_kept(mutated: tuple[str, ...]) -> Verdict:
    if not mutated:
        return Conforms()
    message = f"overwrote {', '.join(mutated)}"
    return Diverges(cause=Cause.INPUT_OVERWRITTEN, message=message)


def _is_form(verdict: Verdict) -> bool:
    """Whether the answer's shape or format, rather than its values, is wrong."""
    forms = (Cause.WRONG_FORMAT, Cause.WRONG_SHAPE, Cause.MISSING)
    return isinstance(verdict, Diverges) and verdict.cause in forms


def _looks(
    trial: Trial, outcome: Outcome, conventions: Conventions, capabilities: Capabilities
) -> list[_Look]:
    """All that is to be compared of an answer, step by step; nothing where there is none."""
    if not isinstance(outcome, Answered):
        return []
    bench = _Bench(trial=trial, conventions=conventions, exposed=capabilities.quantities)
    answer, expected = outcome.answer, trial.expected
    every: list[_Look] = []
    for index, (step, want) in enumerate(zip(answer.steps, expected.steps, strict=True)):
        every.extend(_judge_step(bench, step, want, index))
    if answer.inference is not None and expected.inference is not None:
        every.extend(_judge_inference(bench, answer, answer.inference, expected.inference))
    return every


def _worst(looks: Iterable[_Look], verdicts: Iterator[Verdict | None]) -> list[Judgement]:
    """One judgement for each quantity and clause of a case: the worst over the steps."""
    worst: dict[tuple[Quantity, str], Judgement | None] = {}
    for look in looks:
        best = worst.setdefault((look.quantity, look.clause), None)
        for judgement in look.judged(verdicts):
            if best is None or _badness(judgement) > _badness(best):
                worst[look.quantity, look.clause] = judgement
    return [judgement for judgement in worst.values() if judgement is not None]


def _badness(judgement: Judgement) -> tuple[int, float]:
    """Order of verdicts on one quantity: vacuous, conforming by ratio, diverging by ratio."""
    match judgement.verdict:
        case Diverges(measure=None):
            return 3, 0.0
        case Diverges(measure=measure) if measure is not None:
            return 2, measure.ratio
        case Conforms(measure=measure) if measure is not None and measure.judged:
            return 1, measure.ratio
        case _:
            return 0, 0.0


def _judge_step(
    bench: _Bench, step: Step, want: Mapping[Quantity, Expectation], index: int
) -> Iterator[_Look]:
    for quantity in want:
        if quantity not in bench.exposed or quantity is Quantity.Y_INFER:
            continue
        got: Array | None = getattr(step, quantity)
        if got is None:
            yield from _missing(bench, quantity, index)
        else:
            yield from _compared(bench, quantity, got, want, index)


def _judge_inference(
    bench: _Bench, answer: Answer, step: Step, want: Mapping[Quantity, Expectation]
) -> Iterator[_Look]:
    """The inference call after training: its output, and that it left the state alone."""
    last = len(answer.steps) - 1
    if Quantity.Y_INFER in bench.exposed:
        yield from _compared(bench, Quantity.Y_INFER, step.y, want, last)
    for quantity in sorted(RUNNING_STATISTICS & bench.exposed):
        before, after = getattr(answer.steps[-1], quantity), getattr(step, quantity)
        if before is None:
            continue
        verdict = _kept(quantity, before, after)
        yield _Look(clause="BN-INFER-2", quantity=quantity, step=last, verdict=verdict)


def _kept(quantity: Quantity, before: Array, after: Array | None) -> Verdict:
    """Whether inference left ``before`` alone; state that it does not show is no pass."""
    if after is None:
        message = f"gave {quantity.value} after training but none after inference"
        return Diverges(cause=Cause.MISSING, message=message)
    if after.shape != before.shape:
        message = f"{quantity.value} had shape {before.shape}, after inference {after.shape}"
        return Diverges(cause=Cause.WRONG_SHAPE, message=message)
    return identical(after, before)


def _missing(bench: _Bench, quantity: Quantity, index: int) -> Iterator[_Look]:
    """A quantity that the subject says it exposes but did not give.

    Outside training a subject may have no gradient for parameters that it does not train, and no
    batch statistics.
    """
    if bench.case.mode is Mode.TRAIN or quantity not in GRADIENTS | {
        Quantity.BATCH_MEAN,
        Quantity.BATCH_VAR,
    }:
        message = f"declares {quantity.value} but gave none"
        verdict = Diverges(cause=Cause.MISSING, message=message)
        clause = bench.clause(quantity)
        yield _Look(clause=clause, quantity=quantity, step=index, verdict=verdict)


def _compared(
    bench: _Bench,
    quantity: Quantity,
    got: Array,
    want: Mapping[Quantity, Expectation],
    index: int,
) -> Iterable[_Look]:
    """One look, or two: at the channel that holds what is not finite, and at the others."""
    if not bench.holds_non_finite:
        return (_Look(bench.clause(quantity), quantity, index, (got, _unopened(want, quantity))),)
    own, others = _by_channel(bench.case, want, quantity)
    return [
        _Look(
            clause=bench.clause(quantity, own_channel=part is own),
            quantity=quantity,
            step=index,
            pair=(got, part),
            partial=True,
        )
        for part in (own, others)
    ]


def _by_channel(
    case: Case, want: Mapping[Quantity, Expectation], quantity: Quantity
) -> tuple[Want, Want]:
    """What is expected in the channel that holds what is not finite, and in the others."""
    if isinstance(want, Opened):
        sheet, place = want.entry(quantity)
        own, others = sheet.parts(_in_channel_0(case, sheet.shape))
        return Entry(own, place), Entry(others, place)
    expected = want[quantity]
    inside = _in_channel_0(case, expected.value.shape)
    return expected.without(~inside), expected.without(inside)


def _unopened(want: Mapping[Quantity, Expectation], quantity: Quantity) -> Want:
    """The expectation of ``quantity``, as a place among others where it has one."""
    return want.entry(quantity) if isinstance(want, Opened) else want[quantity]


def _in_channel_0(case: Case, shape: tuple[int, ...]) -> np.ndarray:
    """Which elements belong to channel 0, the one that non-finite fills spoil."""
    mask = np.zeros(shape, bool)
    image = len(shape) == case.rank and shape != case.feature_shape
    axes = case.channel_axes if image else range(len(shape))
    index = tuple(0 if axis in axes else slice(None) for axis in range(len(shape)))
    mask[index] = True
    return mask
