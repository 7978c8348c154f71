"""Compare a vector's expected values with the spec, or a subject's answers with the spec.

A file is held to its own claim: |expected - spec| <= atol + rtol |spec| + half a unit in the last
place of the format that the value belongs to. A subject is held to the bound derived for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum

import numpy as np

from ..contract import Answered, Array, Outcome, Quantity, Step
from ..dialect import (
    Averaging,
    Claim,
    Dialect,
    FrozenPolicy,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    TrainingStatistics,
    VarianceAlgorithm,
)
from ..engine.loading import Target, load_class
from ..engine.recording import describe
from ..formats import DType, Format
from ..judging.compare import compare, ulp
from ..judging.judge import Trial, judge
from ..reference import Conventions, Expectation, expect
from ..verdict import CALL, Conforms, Diverges, Measure, NotSupported, Verdict
from .asking import answers
from .format import Vector

SPEC = "spec"
"""What the values of a file itself are compared with."""


class Result(StrEnum):
    """What a comparison came to."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NOT_CHECKED = "not checked"
    """Never a pass: ``message`` says why there was nothing to compare."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantity of one vector: ``who`` gave the value, the file or a subject.

    ``ratio`` is the largest |value - spec| / allowed; ``bound_ratio`` the same over the bound
    derived for a plain implementation, None where that bound says nothing.
    """

    vector: str
    quantity: str
    who: str
    result: Result
    ratio: float | None
    bound_ratio: float | None
    max_abs_error: float | None
    message: str


def _spec_dialect(running_variance: RunningVariance) -> Dialect:
    """An implementation without peculiarities: two passes, no floor, one rounding at the end."""
    source = "conformance/vectors/check.py"
    return Dialect(
        momentum=Claim(MomentumSense.DECAY, source),
        default_momentum=Claim(None, source),
        default_epsilon=Claim(None, source),
        epsilon_floor=Claim(0.0, source),
        running_variance=Claim(running_variance, source),
        variance=Claim(VarianceAlgorithm.TWO_PASS, source),
        single_value=Claim(Policy.COMPUTES, source),
        empty_batch=Claim(Policy.COMPUTES, source),
        frozen=Claim(FrozenPolicy.RUNNING_STATISTICS, source),
        half_output=Claim(HalfOutput.INPUT, source),
    )


def plain_conventions(running_variance: RunningVariance | None) -> Conventions:
    """The conventions of the spec itself, with the running variance as said, else biased."""
    return Conventions.of(_spec_dialect(running_variance or RunningVariance.BIASED))


def check_file(vectors: Sequence[Vector]) -> Iterator[Row]:
    """Every expected value against the spec."""
    for vector in vectors:
        if not vector.expected:
            yield _not_checked(vector, CALL, SPEC, "the vector expects nothing")
        want = _expected(vector, plain_conventions(vector.running_variance))
        for quantity, values in vector.expected.items():
            yield _file_row(vector, quantity, values, want[quantity])


def check_subject(target: Target, vectors: Sequence[Vector]) -> Iterator[Row]:
    """The subject's answers against the spec: what a vector expects, or all if it expects none."""
    adapter = load_class(target)
    for vector, outcome in answers(target, vectors):
        checker = _SubjectChecker(vector, adapter.name, adapter.dialect)
        if isinstance(outcome, Answered):
            yield from checker.rows(outcome.answer.steps[0])
        else:
            trial = Trial(
                case=vector.case,
                inputs=vector.case_inputs(),
                expected=expect(vector.case, vector.case_inputs(), checker.documented),
            )
            judged = judge(trial, outcome, adapter.dialect, adapter.capabilities)
            yield checker.without_answer(outcome, judged[0].verdict)


def _expected(vector: Vector, conventions: Conventions) -> Mapping[Quantity, Expectation]:
    return expect(vector.case, vector.case_inputs(), conventions).steps[0]


def _file_row(vector: Vector, quantity: Quantity, values: Array, want: Expectation) -> Row:
    """The file's values against what they may be off by, and beside it against the bound."""
    exact = want.value.hi
    with np.errstate(invalid="ignore"):
        tolerance = vector.atol + vector.rtol * np.abs(exact) + ulp(exact, want.output) / 2
    claim = replace(
        want, bound=tolerance, vacuous=np.zeros_like(want.vacuous), output=_held(want.output)
    )
    verdict = compare(values, claim)
    bound_ratio = _ratio(compare(values, replace(want, output=_held(want.output))))
    row = _row(vector, quantity, SPEC, verdict)
    row = replace(row, bound_ratio=bound_ratio)
    if row.result is not Result.DISAGREES:
        return row
    return replace(row, message=row.message + _advice(vector, bound_ratio))


def _advice(vector: Vector, bound_ratio: float | None) -> str:
    """What to do about an expected value that is off."""
    if bound_ratio is None or bound_ratio > 1 or vector.rtol or vector.atol:
        return ""
    return (
        f"; a correct implementation in {vector.dtype} may give this: if the values come from one, "
        "say how exact they are with rtol and atol"
    )


def _held(form: Format) -> Format:
    """``form``'s range and units, for values that a file gives as doubles."""
    return replace(form, dtype=DType.FLOAT64)


class _SubjectChecker:
    """Compares a subject's answer to one vector."""

    def __init__(self, vector: Vector, name: str, dialect: Dialect) -> None:
        self.vector, self.name = vector, name
        self.documented = Conventions.of(dialect)
        # What decides *how closely* is the subject's; what decides *which value* is the file's.
        self.conventions = replace(
            self.documented,
            running_variance=vector.running_variance or self.documented.running_variance,
            epsilon_floor=0.0,
            averaging=Averaging.EXPONENTIAL,
            training_statistics=TrainingStatistics.BATCH,
        )

    def rows(self, step: Step) -> Iterator[Row]:
        """One row to each quantity that is asked for."""
        want = _expected(self.vector, self.conventions)
        documented = _expected(self.vector, self.documented)
        for quantity in self.vector.expected or self.vector.answerable():
            got: Array | None = getattr(step, quantity.value)
            if got is None:
                yield _not_checked(self.vector, quantity.value, self.name, "it does not give this")
                continue
            row = _row(self.vector, quantity, self.name, compare(got, want[quantity]))
            row = replace(row, bound_ratio=row.ratio)
            if row.result is Result.DISAGREES:
                row = self._explained(row, compare(got, documented[quantity]))
            yield row

    def _explained(self, row: Row, verdict: Verdict) -> Row:
        """Says so where the subject does what it documents, and that is not what the file says."""
        if not isinstance(verdict, Conforms) or verdict.vacuous:
            return row
        differing = [
            f"{field.name.replace('_', ' ')} {getattr(self.documented, field.name)} instead of "
            f"{getattr(self.conventions, field.name)}"
            for field in fields(Conventions)
            if getattr(self.documented, field.name) != getattr(self.conventions, field.name)
        ]
        return replace(row, message=f"{row.message}; as it documents: {', '.join(differing)}")

    def without_answer(self, outcome: Outcome, verdict: Verdict) -> Row:
        """The row of a subject that did not answer."""
        _, _, message = describe(verdict)
        if isinstance(verdict, NotSupported):
            return _not_checked(self.vector, CALL, self.name, f"not offered: {message}")
        if isinstance(verdict, Conforms):
            return _not_checked(self.vector, CALL, self.name, "rejected, as it documents")
        what = message or type(outcome).__name__.lower()
        row = _not_checked(self.vector, CALL, self.name, what)
        return replace(row, result=Result.DISAGREES)


def _not_checked(vector: Vector, quantity: str, who: str, message: str) -> Row:
    return Row(
        vector=vector.id,
        quantity=quantity,
        who=who,
        result=Result.NOT_CHECKED,
        ratio=None,
        bound_ratio=None,
        max_abs_error=None,
        message=message,
    )


def _row(vector: Vector, quantity: Quantity, who: str, verdict: Verdict) -> Row:
    """What a comparison came to, in a row."""
    row = _not_checked(vector, quantity.value, who, "no element can be judged")
    match verdict:
        case Diverges(message=message):
            row = replace(row, result=Result.DISAGREES, message=message)
        case Conforms(measure=Measure(judged=judged)) if judged:
            row = replace(row, result=Result.AGREES, message="")
        case _:
            pass
    measure = getattr(verdict, "measure", None)
    if measure is None or not measure.judged:
        return row
    return replace(row, ratio=measure.ratio, max_abs_error=measure.abs_error)


def _ratio(verdict: Verdict) -> float | None:
    measure = getattr(verdict, "measure", None)
    return measure.ratio if measure is not None and measure.judged else None
