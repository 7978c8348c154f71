"""Exact arithmetic decides what double-double cannot: when it is asked, and what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnconform.conformance.case import FillKind
from bnconform.conformance.cases.case_space import draw_case, draw_signature
from bnconform.conformance.cases.demands import DEMANDS
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.cases.plan import Stream
from bnconform.conformance.contract import Quantity
from bnconform.conformance.expecting.expectation import Expectation
from bnconform.conformance.formats import DType
from bnconform.conformance.judging.compare import compare
from bnconform.conformance.numbers.exact import Rational
from bnconform.conformance.reference import expect
from bnconform.conformance.verdict import Conforms, Diverges

from .cases import CENTRED, plain


def _mean() -> Expectation:
    case = plain(dtype=DType.FLOAT64)
    return expect(case, make_inputs(case), CENTRED).steps[0][Quantity.RUNNING_MEAN]


def _at(want: Expectation, ratio: float) -> np.ndarray:
    """An answer whose error is ``ratio`` bounds, as nearly as its format can say."""
    return np.asarray(want.value.hi + ratio * want.bound)


def test_ordinary_answers_never_ask_for_exact_arithmetic() -> None:
    """It costs a thousand times as much."""

    def never() -> Expectation:
        pytest.fail("asked although double-double decides")

    want = replace(_mean(), exact=never)
    assert isinstance(compare(_at(want, 0.1), want), Conforms)
    assert isinstance(compare(_at(want, 9.0), want), Diverges)


def test_an_error_of_one_bound_is_decided_by_exact_arithmetic() -> None:
    """Its expectation is the one that the verdict speaks of."""
    want = _mean()
    asked = []

    def shifted() -> Expectation:
        asked.append(True)
        return replace(want, value=Rational(want.value) + 3 * want.bound, exact=None)

    borderline = np.asarray(want.value.hi + want.bound)
    # The error must be one bound to 40 bits, which a single rounding of the answer can spoil.
    want = replace(want, bound=np.abs(borderline - want.value.hi - want.value.lo), exact=shifted)
    verdict = compare(borderline, want)
    assert asked
    assert isinstance(verdict, Diverges)
    assert verdict.measure is not None
    assert verdict.measure.ratio == pytest.approx(2.0)


def test_inputs_beyond_the_range_of_double_double_are_judged_exactly() -> None:
    """Squares of 1e-200 vanish in float64, and with them the variance that double-double sees."""
    case = plain(dtype=DType.FLOAT64, epsilon=0.0)
    inputs = make_inputs(case)
    steps = tuple(replace(step, x=step.x * 1e-200) for step in inputs.steps)
    want = expect(case, replace(inputs, steps=steps), CENTRED).steps[0][Quantity.Y]
    assert not want.in_range
    assert want.exact is not None
    x = inputs.steps[0].x
    gamma, beta = inputs.parameters.gamma, inputs.parameters.beta
    assert gamma is not None
    assert beta is not None
    right = gamma * (x - x.mean(0)) / x.std(0) + beta
    np.testing.assert_allclose(want.exact().value.hi, right, rtol=1e-13)


def test_what_is_not_looked_at_is_not_looked_at_exactly_either() -> None:
    """The exclusion survives the change of arithmetic."""
    want = _mean()
    everything = np.ones(want.value.shape, bool)
    verdict = compare(_at(want, 1.0), want.without(everything))
    assert isinstance(verdict, Conforms)
    assert verdict.vacuous


@pytest.mark.parametrize("demand", [name for name in DEMANDS if "empty" not in name])
def test_both_arithmetics_walk_to_the_same_values_and_bounds(demand: str) -> None:
    """Every quantity of every kind of case, within 2^-40 of its bound; where that is 0, exactly."""
    stream = Stream(demand)
    wanted = replace(DEMANDS[demand], inner=2, channels=2)
    case = draw_case(stream, draw_signature(stream, wanted), FillKind.NORMAL)
    inputs = make_inputs(case)
    expected = expect(case, inputs, CENTRED)
    settled = 0
    for each in (each for step in expected.steps for each in step.values()):
        if each.exact is None:
            continue
        exact = each.exact()
        assert isinstance(exact.value, Rational)
        error = np.abs((Rational(each.value) - exact.value).hi)
        assert (error <= 2.0**-40 * exact.bound).all()
        np.testing.assert_allclose(each.bound, exact.bound, rtol=1e-9)
        settled += 1
    # A NaN among the inputs is no question of precision, so there is nothing to settle.
    calls = (*inputs.steps, inputs.inference)
    holds_nan = any(np.isnan(call.x.astype(np.float64)).any() for call in calls)
    assert (settled > 0) != holds_nan


def test_inputs_beyond_the_range_ask_whatever_the_ratio() -> None:
    """Double-double may have lost everything without showing it."""
    want = _mean()
    exact = replace(want, value=Rational(want.value), exact=None)
    asked = []

    def settle() -> Expectation:
        asked.append(True)
        return exact

    answer = _at(want, 0.1)
    compare(answer, replace(want, exact=settle, in_range=True))
    assert not asked
    compare(answer, replace(want, exact=settle, in_range=False))
    assert asked


def test_only_undecided_elements_change_their_ratio() -> None:
    """The others keep what double-double said, right or wrong."""
    want = _mean()
    borderline = np.asarray(want.value.hi + want.bound)
    bound = np.abs(borderline - want.value.hi - want.value.lo)
    moved = Rational(want.value) + 2 * bound
    answer = borderline.copy()
    answer[1:] = want.value.hi[1:]
    settled = replace(want, value=moved, bound=bound, exact=None)
    verdict = compare(answer, replace(want, bound=bound, exact=lambda: settled))
    # Element 0 moves from 1 to 1 bound on the other side; 1 and 2 would move from 0 to 2.
    assert isinstance(verdict, (Conforms, Diverges))
    assert verdict.measure is not None
    assert verdict.measure.ratio == pytest.approx(1.0)


def test_an_answer_that_is_not_finite_is_no_question_of_precision() -> None:
    """NaN for a finite value diverges without a second opinion."""

    def never() -> Expectation:
        pytest.fail("asked about NaN")

    want = replace(_mean(), exact=never)
    answer = np.full_like(want.value.hi, np.nan)
    assert isinstance(compare(answer, want), Diverges)


def test_exact_arithmetic_must_be_exact() -> None:
    """A double-double in its place would decide nothing."""
    want = _mean()
    wrong = replace(want, exact=lambda: want, in_range=False)
    with pytest.raises(
        TypeError, match=r"^an exact expectation must hold rationals, got DoubleDouble$"
    ):
        compare(_at(want, 0.1), wrong)
