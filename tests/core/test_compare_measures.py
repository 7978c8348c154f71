"""Every figure that a comparison reports, and what it does at the exact edge of each rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.judging.compare import compare, identical, ulp
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.reference import Expectation
from bnconform.conformance.verdict import Cause, Conforms, Diverges, Measure

SINGLE = FORMATS[DType.FLOAT32]


def _want(
    value: list[float],
    bound: list[float],
    *,
    low: list[float] | None = None,
    vacuous: list[bool] | None = None,
    dtype: DType = DType.FLOAT32,
) -> Expectation:
    nowhere = [False] * len(value)
    return Expectation(
        value=DoubleDouble(value, 0.0 if low is None else low),
        bound=np.array(bound),
        vacuous=np.array(vacuous or nowhere),
        excluded=np.array(nowhere),
        output=FORMATS[dtype],
    )


def _single(*values: float) -> Any:
    return np.array(values, np.float32)


def _shown(verdict: Any) -> str:
    """All figures as text, in which NaN equals NaN and None equals nothing else."""
    return repr(verdict.measure)


def test_every_figure_of_a_comparison() -> None:
    """The worst ratio with its place; the largest error and the most ulps, wherever they are."""
    verdict = compare(
        _single(1.0, 2.25, 101.0, 7.0),
        _want([1.0, 2.0, 100.0, 0.0], [1.0, 0.5, 4.0, 1.0], vacuous=[False, False, False, True]),
    )
    assert isinstance(verdict, Conforms)
    assert verdict.measure == Measure(
        ratio=0.5, abs_error=1.0, ulp=2.0**20, bound=0.5, expected=2.0, got=2.25, index=(1,),
        judged=3, vacuous=1,
    )  # fmt: skip


def test_an_exact_answer_is_no_ulp_off() -> None:
    """All errors are 0."""
    measure = compare(_single(3.0), _want([3.0], [0.0])).measure  # type: ignore[union-attr]
    assert measure is not None
    assert (measure.ratio, measure.abs_error, measure.ulp) == (0.0, 0.0, 0.0)


def test_every_figure_of_a_comparison_with_nothing_to_judge() -> None:
    """Zeros, and NaN for what there is none of."""
    verdict = compare(_single(1.0, 2.0), _want([1.0, 1.0], [1.0, 1.0], vacuous=[True, True]))
    nothing = math.nan
    assert _shown(verdict) == repr(
        Measure(
            ratio=0.0, abs_error=0.0, ulp=0.0, bound=nothing, expected=nothing, got=nothing,
            index=(), judged=0, vacuous=2,
        )
    )  # fmt: skip


def test_the_low_part_is_taken_off_the_error() -> None:
    """1 + 2^-23 against 1 + 2^-54: an error of 2^-23 - 2^-54, just within a bound of 2^-23."""
    verdict = compare(_single(1 + 2.0**-23), _want([1.0], [2.0**-23], low=[2.0**-54]))
    assert isinstance(verdict, Conforms)
    assert verdict.measure is not None
    assert verdict.measure.ratio == 1 - 2.0**-31
    assert verdict.measure.abs_error == 2.0**-23 - 2.0**-54


def test_an_infinity_is_right_from_the_largest_value_on() -> None:
    """|exact| + bound = largest exactly is enough; the ratio is 0."""
    half = SINGLE.largest / 2
    verdict = compare(_single(math.inf), _want([half], [half]))
    assert isinstance(verdict, Conforms)
    assert verdict.measure is not None
    assert verdict.measure.ratio == 0.0
    less = compare(_single(math.inf), _want([half], [half * (1 - 2.0**-40)]))
    assert isinstance(less, Diverges)


def test_a_non_finite_answer_that_is_right_has_no_error() -> None:
    """NaN for NaN: ratio 0."""
    with np.errstate(invalid="ignore"):
        verdict = compare(_single(math.nan, 1.0), _want([math.nan, 1.0], [math.nan, 1.0]))
    assert isinstance(verdict, Conforms)
    assert verdict.measure is not None
    assert (verdict.measure.ratio, verdict.measure.judged) == (0.0, 2)


def test_an_error_beyond_the_largest_float64_is_infinite_without_a_warning() -> None:
    """1.7e308 for -1.7e308."""
    want = _want([-1.7e308], [1.0], dtype=DType.FLOAT64)
    verdict = compare(np.array([1.7e308]), want)
    assert isinstance(verdict, Diverges)
    assert verdict.measure is not None
    assert verdict.measure.ratio == math.inf
    assert verdict.cause is Cause.BEYOND_BOUND


def test_every_figure_of_state_that_stayed() -> None:
    """Nothing differs, not even NaN; the place is the first."""
    state = _single(3.0, math.nan, math.inf, -2.0)
    verdict = identical(state, state.copy())
    assert isinstance(verdict, Conforms)
    assert verdict.measure == Measure(
        ratio=0.0, abs_error=0.0, ulp=0.0, bound=0.0, expected=3.0, got=3.0, index=(0,), judged=4,
        vacuous=0,
    )  # fmt: skip


def test_every_figure_of_state_that_moved() -> None:
    """The first place that differs, and the largest difference."""
    verdict = identical(_single(3.0, 2.5, 7.0), _single(3.0, 2.0, 3.0))
    assert isinstance(verdict, Diverges)
    assert verdict.measure == Measure(
        ratio=math.inf, abs_error=4.0, ulp=0.0, bound=0.0, expected=2.0, got=2.5, index=(1,),
        judged=3, vacuous=0,
    )  # fmt: skip
    assert verdict.message == "changed from 2.0 to 2.5 at [1]"


def test_every_figure_of_state_that_has_no_values() -> None:
    """Zeros and NaN."""
    empty = np.zeros((0,), np.float32)
    assert _shown(identical(empty, empty)) == repr(
        Measure(
            ratio=0.0, abs_error=0.0, ulp=0.0, bound=0.0, expected=math.nan, got=math.nan,
            index=(), judged=0, vacuous=0,
        )
    )  # fmt: skip


def test_state_that_changed_its_format_is_said_to_have() -> None:
    """Both formats are named."""
    verdict = identical(np.zeros(2), np.zeros(2, np.float32))
    assert isinstance(verdict, Diverges)
    assert (verdict.cause, verdict.message) == (
        Cause.STATE_CHANGED,
        "changed from float32 to float64",
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_ulp_of_a_value_that_is_not_finite_is_that_of_one(value: float) -> None:
    """There is no next value; 1 keeps reports readable."""
    assert ulp(np.array([value]), SINGLE).tolist() == [2.0**-23]
