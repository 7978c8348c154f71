"""Alternatives are tried on many witnesses at once, and each is measured as if it were alone."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnconform.adapters.miniatures.right import Right
from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import Answered, Hung, Quantity
from bnconform.conformance.expecting.expectation import Conventions
from bnconform.conformance.expecting.expecter import Expecter
from bnconform.conformance.explanation import measuring
from bnconform.conformance.explanation.alternative import Alternative, Reading, walk
from bnconform.conformance.explanation.catalogue import ALTERNATIVES
from bnconform.conformance.explanation.explanation import Witness
from bnconform.conformance.explanation.measuring import Asked, Ratios, measure_all
from bnconform.conformance.explanation.names import Why
from bnconform.conformance.formats import DType
from bnconform.conformance.judging.compare import compare_all
from bnconform.conformance.numbers.single import Single

from . import planted

CONVENTIONS = Conventions.of(Right.dialect)
PLAIN = Case(
    shape=(4, 3, 3),
    last_batch=4,
    feature_axes=(1,),
    dtype=DType.FLOAT32,
    layout=Layout.CONTIGUOUS,
    upstream_layout=Layout.CONTIGUOUS,
    center=True,
    scale=True,
    mode=Mode.TRAIN,
    steps=2,
    epsilon=1e-3,
    decay=0.9,
    fill=Fill(kind=FillKind.NORMAL, seed=1),
)


def asked(alternative: Alternative, cases: Sequence[Case]) -> list[Asked]:
    """``alternative`` to be tried on what a right layer answers to ``cases``."""
    return [
        Asked(alternative=alternative, witness=witness, inputs=make_inputs(witness.case))
        for witness in planted.witnesses(Right, list(cases))
    ]


def bits(ratios: Sequence[Ratios]) -> list[dict[Quantity, bytes]]:
    """``ratios``, to be compared bit for bit."""
    return [{name: struct.pack("d", each[name]) for name in sorted(each)} for each in ratios]


def named(why: Why) -> Alternative:
    """The first alternative of that name."""
    return next(each for each in ALTERNATIVES if each.why is why)


def seeds(case: Case, count: int) -> list[Case]:
    """``case`` with several fills."""
    return [replace(case, fill=Fill(kind=FillKind.NORMAL, seed=seed)) for seed in range(count)]


@pytest.fixture(scope="module")
def right() -> list[Witness]:
    """What a right layer answers to some cases with values."""
    cases = [case for case in planted.some_cases() if case.smallest_count]
    return planted.witnesses(Right, cases[::12])


def test_each_is_measured_as_if_it_were_alone(right: list[Witness]) -> None:
    """Every alternative on every case that it concerns: the same bits in any company."""
    every = [
        Asked(alternative=alternative, witness=witness, inputs=make_inputs(witness.case))
        for witness in right
        for alternative in ALTERNATIVES
        if alternative.concerns(witness.case)
    ]
    alone = [ratios for each in every for ratios in measure_all([each], CONVENTIONS)]
    assert bits(measure_all(every, CONVENTIONS)) == bits(alone)
    assert any(alone)


def test_alternatives_of_one_walk_are_walked_through_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All floors of epsilon and all its constants, on all cases of one kind: once."""
    sizes: list[int] = []

    def watched(readings: Sequence[Reading]) -> Any:
        sizes.append(len(readings))
        return walk(readings)

    monkeypatch.setattr(measuring, "walk", watched)
    of_epsilon = [
        each for each in ALTERNATIVES if each.why in {Why.EPSILON_FLOORED, Why.EPSILON_FIXED}
    ]
    every = [one for each in of_epsilon for one in asked(each, seeds(PLAIN, 3))]
    measure_all(every, CONVENTIONS)
    assert sizes == [len(every)]


def test_each_alternative_has_its_own_slack() -> None:
    """Bounds are widened for a whole stack, so that others' must not be in it."""
    plain = Alternative(why=Why.EPSILON_OMITTED, sentence="")
    wider = replace(plain, wider=True)
    every = [*asked(plain, [PLAIN]), *asked(wider, [PLAIN])]
    with_slack, without = measure_all(every, CONVENTIONS)
    assert without[Quantity.DX] == measuring.SLACK * with_slack[Quantity.DX] > 0


def test_cases_whose_feature_axes_differ_are_kept_apart() -> None:
    """Sizes alone do not tell: 3 channels by 3 positions look alike whichever axis is which."""
    cases = [PLAIN, replace(PLAIN, feature_axes=(-1,))]
    every = asked(named(Why.EPSILON_OMITTED), cases)
    alone = [ratios for each in every for ratios in measure_all([each], CONVENTIONS)]
    assert bits(measure_all(every, CONVENTIONS)) == bits(alone)


def test_a_case_that_cannot_be_misread_is_left_out_for_itself() -> None:
    """When it is read and when it is walked through; the others of its kind remain."""

    def unreadable(case: Case) -> Case:
        if case.fill.seed == 1:
            msg = "not this one"
            raise ValueError(msg)
        return case

    class Unwalkable(Expecter):
        """Raises where any case has the parameters of the second."""

        def run(self, inputs: Any) -> Any:
            if np.any(self.gamma64 == second):
                raise ZeroDivisionError
            return super().run(inputs)

    cases = seeds(PLAIN, 3)
    gamma = make_inputs(cases[1]).parameters.gamma
    assert gamma is not None
    second = float(gamma.flat[0])
    plain = Alternative(why=Why.EPSILON_OMITTED, sentence="")
    for alternative in (replace(plain, case=unreadable), replace(plain, walk=Unwalkable)):
        first, none, last = measure_all(asked(alternative, cases), CONVENTIONS)
        assert (bool(first), none, bool(last)) == (True, {}, True)


def test_what_was_not_answered_is_not_measured() -> None:
    """A case that hung has no values."""
    (each,) = asked(named(Why.EPSILON_OMITTED), [PLAIN])
    hung = replace(each.witness, outcome=Hung(limit=1.0, output=""))
    assert measure_all([replace(each, witness=hung)], CONVENTIONS) == [{}]


def test_a_quantity_of_another_shape_is_left_out() -> None:
    """That is no matter of values, at whatever step; the other quantities are measured."""
    (each,) = asked(named(Why.EPSILON_OMITTED), [PLAIN])
    assert isinstance(each.witness.outcome, Answered)
    first, *others = each.witness.outcome.answer.steps
    assert first.dx is not None
    flat = replace(first, dx=first.dx.ravel())
    answer = replace(each.witness.outcome.answer, steps=(flat, *others))
    outcome = replace(each.witness.outcome, answer=answer)
    witness = replace(each.witness, outcome=outcome)
    (found,) = measure_all([replace(each, witness=witness)], CONVENTIONS)
    (whole,) = measure_all([each], CONVENTIONS)
    assert set(whole) - set(found) == {Quantity.DX}


def test_a_bound_that_is_no_number_fits_nothing() -> None:
    """Else an alternative without bounds would explain everything."""

    class WithoutBounds(Expecter):
        """Bounds are NaN."""

        def image(self, *arguments: Any) -> Any:
            found = super().image(*arguments)
            return replace(found, bound=found.bound * np.nan, vacuous=found.excluded)

    alternative = Alternative(why=Why.EPSILON_OMITTED, sentence="", walk=WithoutBounds)
    (found,) = measure_all(asked(alternative, [PLAIN]), CONVENTIONS)
    assert found[Quantity.Y] == np.inf


def test_large_cases_are_compared_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was expected of one is not kept until all others are walked through."""
    compared: list[int] = []

    def watched(pairs: Any) -> Any:
        pairs = list(pairs)
        compared.append(sum(got.size for got, _ in pairs))
        return compare_all(pairs)

    monkeypatch.setattr(measuring, "compare_all", watched)
    monkeypatch.setattr(measuring, "COMPARED", 50)
    every = asked(named(Why.EPSILON_OMITTED), seeds(PLAIN, 2))
    small = measure_all(every, CONVENTIONS)
    assert max(compared) < 50 + 36
    monkeypatch.undo()
    assert small == measure_all(every, CONVENTIONS)


def test_a_sum_has_the_same_bits_whatever_stands_beside_it() -> None:
    """NumPy adds the only column of an array in another order than one of several."""
    values = np.random.default_rng(0).normal(size=(1000, 1)) ** 3
    alone = Single(values).sum(axis=(0,))
    beside = Single(np.repeat(values, 3, axis=1)).sum(axis=(0,))
    assert values.sum(axis=0)[0] != np.repeat(values, 3, axis=1).sum(axis=0)[0]
    assert alone.shape == (1,)
    assert np.array_equal(beside, np.repeat(alone, 3))
    assert Single(values).sum(axis=(0,), keepdims=True).shape == (1, 1)
