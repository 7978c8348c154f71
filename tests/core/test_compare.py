"""One array against its expectation: every verdict and cause, on the smallest arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.judging.compare import compare, compare_all, identical, ulp
from bnconform.conformance.judging.elements import CHUNK
from bnconform.conformance.numbers.doubledouble import DoubleDouble
from bnconform.conformance.reference import Expectation
from bnconform.conformance.verdict import Cause, Conforms, Diverges, Measure, Verdict

Floats = list[float]


def _want(
    value: Floats,
    bound: Floats,
    *,
    low: Floats | None = None,
    vacuous: list[bool] | None = None,
    excluded: list[bool] | None = None,
    dtype: DType = DType.FLOAT32,
) -> Expectation:
    nowhere = [False] * len(value)
    return Expectation(
        value=DoubleDouble(value, 0.0 if low is None else low),
        bound=np.array(bound, np.float64),
        vacuous=np.array(vacuous or nowhere, bool),
        excluded=np.array(excluded or nowhere, bool),
        output=FORMATS[dtype],
    )


def _got(values: Floats, dtype: DType = DType.FLOAT32) -> npt.NDArray[Any]:
    return np.array(values).astype(FORMATS[dtype].numpy)


def _cause(verdict: Verdict) -> Cause | None:
    return verdict.cause if isinstance(verdict, Diverges) else None


def _measure(verdict: Verdict) -> Measure:
    assert isinstance(verdict, Conforms | Diverges)
    assert verdict.measure is not None
    return verdict.measure


def test_an_answer_within_its_bound_conforms() -> None:
    """The ratio is that of the worst element."""
    verdict = compare(_got([1.25, 2.0]), _want([1.0, 2.0], [0.5, 0.5]))
    assert isinstance(verdict, Conforms)
    assert not verdict.vacuous
    assert _measure(verdict).ratio == 0.5
    assert _measure(verdict).index == (0,)


def test_an_answer_on_its_bound_conforms() -> None:
    """The bound itself is allowed: correct implementations may reach it."""
    assert isinstance(compare(_got([1.5]), _want([1.0], [0.5])), Conforms)


def test_an_answer_just_beyond_its_bound_diverges() -> None:
    """The smallest excess counts."""
    verdict = compare(_got([1.5]), _want([1.0], [0.5 * (1 - 2.0**-20)]))
    assert _cause(verdict) is Cause.BEYOND_BOUND


def test_the_worst_element_is_the_one_farthest_in_units_of_its_bound() -> None:
    """Not the one with the largest error: every element has a bound of its own."""
    verdict = compare(_got([11.0, 1.5, 1.0]), _want([10.0, 1.0, 1.0], [10.0, 0.25, 1.0]))
    measure = _measure(verdict)
    assert (measure.index, measure.ratio) == ((1,), 2.0)
    assert (measure.expected, measure.got, measure.bound) == (1.0, 1.5, 0.25)
    assert measure.abs_error == 1.0
    assert (measure.judged, measure.vacuous) == (3, 0)


def test_the_message_shows_expected_got_place_and_ratio() -> None:
    """A reader needs nothing else to see how far off it is."""
    verdict = compare(_got([1.5]), _want([1.0], [0.25]))
    assert isinstance(verdict, Diverges)
    assert verdict.message == "expected 1, got 1.5 at [0]: 2 times the bound 0.25"


def test_the_index_has_one_number_for_each_dimension() -> None:
    """Position in an image, not in its flattened values."""
    want = Expectation(
        value=DoubleDouble(np.zeros((2, 3))),
        bound=np.ones((2, 3)),
        vacuous=np.zeros((2, 3), bool),
        excluded=np.zeros((2, 3), bool),
        output=FORMATS[DType.FLOAT32],
    )
    got = np.zeros((2, 3), np.float32)
    got[1, 2] = 5.0
    assert _measure(compare(got, want)).index == (1, 2)


@pytest.mark.parametrize("dtype", DType)
def test_one_ulp_off_is_flagged_where_the_bound_is_zero(dtype: DType) -> None:
    """The exact lane has no tolerance, in any format."""
    step = FORMATS[dtype].unit_roundoff * 2
    want = _want([1.0, 2.0], [0.0, 0.0], dtype=dtype)
    assert isinstance(compare(_got([1.0, 2.0], dtype), want), Conforms)
    verdict = compare(_got([1.0 + step, 2.0], dtype), want)
    assert _cause(verdict) is Cause.BEYOND_BOUND
    assert _measure(verdict).ratio == math.inf
    assert _measure(verdict).ulp == 1.0


def test_the_low_part_of_the_exact_value_counts() -> None:
    """1 + 2^-70 is not 1: float64 subjects are judged by more than float64."""
    want = _want([1.0], [2.0**-71], low=[2.0**-70], dtype=DType.FLOAT64)
    assert _cause(compare(_got([1.0], DType.FLOAT64), want)) is Cause.BEYOND_BOUND
    assert _measure(compare(_got([1.0], DType.FLOAT64), want)).ratio == 2.0
    assert _measure(compare(_got([1.0], DType.FLOAT64), want)).abs_error == 2.0**-70


@pytest.mark.parametrize("answer", [math.nan, math.inf, -math.inf])
def test_a_non_finite_answer_where_a_finite_one_is_due_diverges(answer: float) -> None:
    """Whatever the bound of a judged element."""
    verdict = compare(_got([answer, 1.0]), _want([1.0, 1.0], [1e6, 1.0]))
    assert _cause(verdict) is Cause.NOT_FINITE
    assert _measure(verdict).ratio == math.inf


@pytest.mark.parametrize("exact", [math.nan, math.inf])
@pytest.mark.parametrize("answer", [math.nan, math.inf, -math.inf])
def test_any_non_finite_answer_conforms_where_the_exact_value_is_not_finite(
    exact: float, answer: float
) -> None:
    """NaN or infinity is a matter of the order of operations."""
    assert isinstance(compare(_got([answer]), _want([exact], [math.nan])), Conforms)


@pytest.mark.parametrize("exact", [math.nan, math.inf])
def test_a_finite_answer_where_the_exact_value_is_not_finite_hides_it(exact: float) -> None:
    """A NaN that went in must come out."""
    verdict = compare(_got([0.0]), _want([exact], [math.nan]))
    assert _cause(verdict) is Cause.HIDES_NON_FINITE


def test_one_hidden_value_among_many_right_ones_is_found() -> None:
    """Element by element, not as a whole."""
    want = _want([1.0, math.nan, math.nan], [1.0, math.nan, math.nan])
    verdict = compare(_got([1.0, math.nan, 3.0]), want)
    assert _cause(verdict) is Cause.HIDES_NON_FINITE
    assert _measure(verdict).index == (2,)


@pytest.mark.parametrize(
    ("exact", "bound", "answer", "conforms"),
    [
        (70000.0, 32.0, math.inf, True),  # beyond float16's largest value, 65504
        (-70000.0, 32.0, -math.inf, True),  # and below its lowest
        (65500.0, 32.0, math.inf, True),  # within a bound of it: rounding may overflow
        (65500.0, 32.0, 65504.0, True),  # but need not
        (70000.0, 32.0, -math.inf, False),  # contributions of either sign may overflow first
        (70000.0, 32.0, math.nan, False),  # and then meet
        (65000.0, 32.0, math.inf, False),  # too early
        (65000.0, 32.0, math.nan, False),  # nothing overflows there
        (70000.0, 32.0, 65504.0, False),  # saturated
    ],
)
def test_only_a_non_finite_answer_is_right_where_the_exact_value_overflows_the_format(
    exact: float,
    bound: float,
    answer: float,
    conforms: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """Within a bound of the largest finite value, and nowhere else."""
    want = _want([exact], [bound], dtype=DType.FLOAT16)
    assert isinstance(compare(_got([answer], DType.FLOAT16), want), Conforms) == conforms


def test_a_wrong_shape_is_said_before_any_value_is_compared() -> None:
    """Even one that would broadcast."""
    verdict = compare(_got([1.0]), _want([1.0, 1.0], [1.0, 1.0]))
    assert _cause(verdict) is Cause.WRONG_SHAPE
    assert isinstance(verdict, Diverges)
    assert verdict.message == "must have shape (2,), got (1,)"


@pytest.mark.parametrize("dtype", [DType.FLOAT64, DType.FLOAT16, DType.BFLOAT16])
def test_a_wrong_format_is_said_before_any_value_is_compared(dtype: DType) -> None:
    """A wider one too: it is not what was documented."""
    verdict = compare(_got([1.0], dtype), _want([1.0], [1.0]))
    assert _cause(verdict) is Cause.WRONG_FORMAT
    assert isinstance(verdict, Diverges)
    assert verdict.message == f"must be float32, got {dtype}"


def test_something_that_is_no_array_has_the_wrong_format() -> None:
    """An adapter's list is not converted in silence."""
    answer: Any = [1.0]
    verdict = compare(answer, _want([1.0], [1.0]))
    assert _cause(verdict) is Cause.WRONG_FORMAT
    assert isinstance(verdict, Diverges)
    assert verdict.message == "must be a NumPy array, got list"


def test_a_vacuous_element_is_not_judged() -> None:
    """It neither diverges nor counts as judged."""
    want = _want([1.0, 1.0], [0.1, 0.1], vacuous=[True, False])
    verdict = compare(_got([99.0, 1.0]), want)
    assert isinstance(verdict, Conforms)
    assert (_measure(verdict).judged, _measure(verdict).vacuous) == (1, 1)
    assert _measure(verdict).abs_error == 0.0


@pytest.mark.parametrize("answer", [math.nan, math.inf, -math.inf])
def test_even_where_the_bound_says_nothing_a_finite_answer_is_due(answer: float) -> None:
    """Finite inputs give finite results, however badly conditioned."""
    want = _want([1.0, 1.0], [0.1, 0.1], vacuous=[True, True])
    verdict = compare(_got([99.0, answer]), want)
    assert _cause(verdict) is Cause.NOT_FINITE
    assert _measure(verdict).index == (1,)


def test_a_vacuous_element_may_overflow_where_its_value_does() -> None:
    """The infinity is right there, and nothing remains to be judged."""
    want = _want([7e4], [32.0], vacuous=[True], dtype=DType.FLOAT16)
    verdict = compare(_got([math.inf], DType.FLOAT16), want)
    assert isinstance(verdict, Conforms)
    assert verdict.vacuous


@pytest.mark.parametrize("answer", [99.0, math.nan, math.inf])
def test_an_excluded_element_is_not_looked_at_at_all(answer: float) -> None:
    """Not even for being finite: it is another judgement's."""
    want = _want([1.0, 2.0], [0.1, 0.1], vacuous=[True, False], excluded=[True, False])
    verdict = compare(_got([answer, 2.0]), want)
    assert isinstance(verdict, Conforms)
    assert _measure(verdict).judged == 1


def test_a_comparison_with_nothing_to_judge_is_vacuous() -> None:
    """Conforming on nothing is not a pass, and says so."""
    verdict = compare(_got([99.0]), _want([1.0], [0.1], vacuous=[True]))
    assert isinstance(verdict, Conforms)
    assert verdict.vacuous


def test_an_empty_array_is_vacuous_but_its_shape_is_checked() -> None:
    """(0,) against (0,) judges nothing; (1,) against (0,) is the wrong shape."""
    verdict = compare(_got([]), _want([], []))
    assert isinstance(verdict, Conforms)
    assert verdict.vacuous
    assert _cause(compare(_got([1.0]), _want([], []))) is Cause.WRONG_SHAPE


def test_the_error_is_reported_in_units_in_the_last_place() -> None:
    """Three float32 steps above 1 are three ulp."""
    verdict = compare(_got([1.0 + 3 * 2.0**-23]), _want([1.0], [1e-6]))
    assert _measure(verdict).ulp == 3.0


@pytest.mark.parametrize("dtype", DType)
@pytest.mark.parametrize("value", [1.0, 1.5, 1.9, 2.0, 0.3, -1000.0])
def test_ulp_is_the_distance_to_the_next_value_away_from_zero(dtype: DType, value: float) -> None:
    """Against nextafter of the format itself."""
    stored = FORMATS[dtype].numpy.type(value)
    away = np.nextafter(stored, stored * 2)
    expected = abs(float(away) - float(stored))
    assert ulp(np.array([float(stored)]), FORMATS[dtype]).tolist() == [expected]


@pytest.mark.parametrize("dtype", DType)
def test_ulp_is_never_below_the_smallest_subnormal(dtype: DType) -> None:
    """Gradual underflow has one spacing."""
    fmt = FORMATS[dtype]
    assert ulp(np.array([fmt.smallest_subnormal]), fmt).tolist() == [fmt.smallest_subnormal]


@pytest.mark.parametrize("dtype", DType)
def test_the_ulp_of_zero_is_the_smallest_subnormal(dtype: DType) -> None:
    """The distance from 0 to the next value."""
    fmt = FORMATS[dtype]
    assert ulp(np.array([0.0]), fmt).tolist() == [fmt.smallest_subnormal]


def test_identical_state_conforms() -> None:
    """Same bits, NaN included."""
    state = _got([1.0, math.nan, math.inf])
    assert isinstance(identical(state.copy(), state), Conforms)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1.0, 1.0 + 2.0**-23),  # one ulp
        (1.0, math.nan),  # spoilt
        (math.nan, 1.0),  # cleared
        (math.inf, -math.inf),  # both infinite
        (0.0, 1e-45),  # the smallest subnormal
    ],
)
def test_state_that_changed_at_all_diverges(before: float, after: float) -> None:
    """No tolerance, and the message says from what to what, and where."""
    verdict = identical(_got([7.0, after]), _got([7.0, before]))
    assert _cause(verdict) is Cause.STATE_CHANGED
    assert isinstance(verdict, Diverges)
    assert verdict.message.startswith("changed from")
    assert verdict.message.endswith("at [1]")
    assert _measure(verdict).ratio == math.inf


def test_state_that_changed_its_sign_bit_alone_diverges() -> None:
    """Bit for bit means that 0 may not become -0."""
    assert _cause(identical(_got([-0.0]), _got([0.0]))) is Cause.STATE_CHANGED


def test_state_that_changed_its_format_diverges() -> None:
    """float32 state that comes back as float64 has other bits."""
    verdict = identical(_got([1.0], DType.FLOAT64), _got([1.0]))
    assert _cause(verdict) is Cause.STATE_CHANGED


def test_empty_state_is_vacuous() -> None:
    """No channel, nothing that could have changed."""
    verdict = identical(_got([]), _got([]))
    assert isinstance(verdict, Conforms)
    assert verdict.vacuous


def _mixed_pairs() -> list[tuple[npt.NDArray[Any], Expectation]]:
    """Right and wrong answers of several shapes and formats, empty and misshapen among them."""
    half = DType.FLOAT16
    return [
        (_got([1.25, 2.0]), _want([1.0, 2.0], [0.5, 0.5])),
        (_got([]), _want([], [])),
        (_got([1.0, 9.0, 9.0]), _want([1.0, 2.0, 1.0], [0.5, 0.5, 0.5])),
        (_got([1.0]), _want([1.0, 2.0], [0.5, 0.5])),
        (_got([7.0], half), _want([1.0], [0.5], vacuous=[True], dtype=half)),
        (_got([math.nan, 1.0]), _want([1.0, 1.0], [0.5, 0.5])),
        (_got([4.0, 1.0], half), _want([1.0, 1.5], [0.5, 0.25], excluded=[True, False],
                                       vacuous=[True, False], dtype=half)),
        (_got([]), _want([], [])),
    ]  # fmt: skip


def test_many_at_once_get_the_verdicts_that_each_gets_alone() -> None:
    """Comparisons do not see their neighbours, whatever their shapes and formats."""
    pairs = _mixed_pairs()
    alone = [compare(got, want) for got, want in pairs]
    assert repr(compare_all(pairs)) == repr(alone)
    assert [type(verdict).__name__[0] for verdict in alone] == list("CCDDCDDC")
    backwards = list(reversed(pairs))
    assert repr(compare_all(backwards)) == repr(list(reversed(alone)))


def test_more_elements_than_fit_one_chunk_are_compared_in_several() -> None:
    """The worst element is found in whichever chunk it lies."""
    size = CHUNK // 2 + 1
    right = _got([1.0] * size), _want([1.0] * size, [0.5] * size)
    wrong = _got([*[1.0] * (size - 1), 3.0]), right[1]
    verdicts = compare_all([right, wrong, right, wrong])
    assert [isinstance(verdict, Diverges) for verdict in verdicts] == [False, True, False, True]
    assert _measure(verdicts[3]).index == (size - 1,)


def test_a_bound_that_is_no_number_is_not_agreement() -> None:
    """It can only come of a mistake in a bound, which must be seen."""
    assert isinstance(compare(_got([1.5]), _want([1.0], [math.nan])), Diverges)
