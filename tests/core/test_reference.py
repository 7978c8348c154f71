"""What a case must give: how the conventions and the exact lane decide it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnconform.conformance.case import FillKind, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import Quantity
from bnconform.conformance.dialect import (
    FrozenPolicy,
    HalfOutput,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.reference import Conventions, Expected, expect, is_exact_lane

from .cases import CENTRED, dialect, fill, plain

EXACT = plain(fill=fill(FillKind.EXACT), decay=0.5, steps=2, last_batch=2)
STATISTICS = (Quantity.BATCH_MEAN, Quantity.BATCH_VAR, Quantity.DBETA)
RUNNING = (Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR)


def _expect(case: Any, **conventions: Any) -> Expected:
    return expect(case, make_inputs(case), replace(CENTRED, **conventions))


def _zero(expected: Expected, quantity: Quantity, step: int = -1) -> bool:
    """Whether nothing but the exact value will do."""
    return not expected.steps[step][quantity].bound.any()


@pytest.mark.parametrize(
    ("changes", "exact"),
    [
        ({}, True),  # 4 and then 2 values per channel
        ({"last_batch": 3}, False),  # 3 is no power of two
        ({"shape": (6, 3), "last_batch": 4}, False),  # nor is 6, although the last batch is
        ({"shape": (2, 3, 3), "last_batch": 2}, False),  # nor 2 x 3
        ({"shape": (1, 3), "last_batch": 1}, True),  # 1 is
        ({"last_batch": 0}, False),  # 0 is not
        ({"fill": fill(FillKind.NORMAL)}, False),  # ordinary values round
    ],
)
def test_the_exact_lane_needs_its_fill_and_powers_of_two_at_every_step(
    changes: dict[str, Any],
    exact: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """Only then is every order of summation exact."""
    assert is_exact_lane(replace(EXACT, **changes)) == exact


@pytest.mark.parametrize("algorithm", [VarianceAlgorithm.TWO_PASS, VarianceAlgorithm.ONE_PASS])
@pytest.mark.parametrize("step", [0, 1])
def test_the_exact_lane_has_no_tolerance_for_statistics_and_state(
    algorithm: VarianceAlgorithm, step: int
) -> None:
    """Batch mean, variance, dbeta and the running statistics, at every step."""
    expected = _expect(EXACT, algorithm=algorithm)
    assert all(_zero(expected, quantity, step) for quantity in (*STATISTICS, *RUNNING))
    assert not _zero(expected, Quantity.Y, step)
    assert not _zero(expected, Quantity.DGAMMA, step)


def test_welfords_recurrence_rounds_even_in_the_exact_lane() -> None:
    """It divides by 3; dbeta is a plain sum all the same."""
    expected = _expect(EXACT, algorithm=VarianceAlgorithm.WELFORD)
    assert not any(_zero(expected, q) for q in (Quantity.BATCH_MEAN, Quantity.BATCH_VAR, *RUNNING))
    assert _zero(expected, Quantity.DBETA)


@pytest.mark.parametrize(
    ("decay", "exact"),
    [(0.0, True), (0.5, True), (1.0, True), (0.9, False), (0.25, False)],
)
def test_running_statistics_are_exact_for_decays_that_never_round(
    decay: float,
    exact: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """0, 1/2 and 1; anything else keeps its derived bound."""
    expected = _expect(replace(EXACT, decay=decay))
    assert all(_zero(expected, quantity) == exact for quantity in RUNNING)
    assert all(_zero(expected, quantity) for quantity in STATISTICS)


def test_bessels_correction_rounds_in_the_exact_lane() -> None:
    """n / (n - 1) is no binary fraction, so the running variance keeps a bound, the mean none."""
    expected = _expect(EXACT, running_variance=RunningVariance.UNBIASED)
    assert _zero(expected, Quantity.RUNNING_MEAN)
    assert not _zero(expected, Quantity.RUNNING_VAR)


def test_the_cumulative_average_is_exact_for_two_steps_of_the_exact_lane() -> None:
    """Weights 1 and 1/2; the third step divides by 3."""
    expected = _expect(replace(EXACT, decay=None, steps=3))
    assert [_zero(expected, Quantity.RUNNING_MEAN, step) for step in range(3)] == [
        True,
        True,
        False,
    ]


def test_a_constant_channel_with_epsilon_zero_has_no_expectation() -> None:
    """0 / 0: vacuous, whatever is answered."""
    with np.errstate(divide="ignore"):
        expected = _expect(plain(epsilon=0.0, fill=fill(FillKind.CONSTANT)))
    assert expected.steps[0][Quantity.Y].vacuous.all()


def test_a_constant_channel_with_epsilon_zero_does_not_warn() -> None:
    """It is a valid case."""
    _expect(plain(epsilon=0.0, fill=fill(FillKind.CONSTANT)))


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 30},  # 2^-30 of the first state does not fit 24 bits
        {"shape": (2**20, 1)},  # sums of squares beyond 2^24
    ],
)
def test_the_exact_lane_ends_where_float32_has_too_few_bits(changes: dict[str, Any]) -> None:
    """A correct subject must round there, so that zero tolerance would be a false alarm."""
    case = plain(fill=fill(FillKind.EXACT), decay=0.5, **changes)
    assert not is_exact_lane(case)


def test_the_epsilon_floor_is_part_of_what_is_expected() -> None:
    """A documented floor lifts a smaller epsilon and leaves a larger one."""
    small, floor = plain(epsilon=1e-7, fill=fill(FillKind.TINY)), 1.001e-5
    floored = _expect(small, epsilon_floor=floor).steps[0][Quantity.Y].value.hi
    same = _expect(replace(small, epsilon=floor)).steps[0][Quantity.Y].value.hi
    np.testing.assert_array_equal(floored, same)
    assert not (floored == _expect(small).steps[0][Quantity.Y].value.hi).any()
    large = _expect(plain(), epsilon_floor=floor).steps[0][Quantity.Y].value.hi
    np.testing.assert_array_equal(large, _expect(plain()).steps[0][Quantity.Y].value.hi)


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16])
def test_the_format_of_a_half_precision_output_is_the_documented_one(dtype: DType) -> None:
    """y follows the convention, dx the input, statistics are float32."""
    for convention, y_format in ((HalfOutput.INPUT, dtype), (HalfOutput.PARAMETERS, DType.FLOAT32)):
        expected = _expect(plain(dtype=dtype), half_output=convention)
        step = expected.steps[0]
        assert step[Quantity.Y].output is FORMATS[y_format]
        assert step[Quantity.DX].output is FORMATS[dtype]
        assert step[Quantity.RUNNING_VAR].output is FORMATS[DType.FLOAT32]
        assert expected.inference is not None
        assert expected.inference[Quantity.Y_INFER].output is FORMATS[y_format]


def test_frozen_by_batch_statistics_normalizes_like_training_and_keeps_the_state() -> None:
    """The output and gradients of training, the state of before."""
    frozen, trained = plain(mode=Mode.FROZEN), plain()
    step = _expect(frozen, frozen=FrozenPolicy.BATCH_STATISTICS).steps[0]
    training = _expect(trained).steps[0]
    for quantity in (Quantity.Y, Quantity.DX, Quantity.DGAMMA, Quantity.BATCH_VAR):
        np.testing.assert_array_equal(step[quantity].value.hi, training[quantity].value.hi)
    kept = make_inputs(frozen).parameters.running_mean
    np.testing.assert_array_equal(step[Quantity.RUNNING_MEAN].value.hi, kept)
    assert not step[Quantity.RUNNING_MEAN].bound.any()


def test_frozen_by_running_statistics_normalizes_like_inference() -> None:
    """The same expectations, from the same arrays."""
    frozen = _expect(plain(mode=Mode.FROZEN)).steps[0]
    inference = _expect(plain(mode=Mode.INFERENCE)).steps[0]
    assert frozen.keys() == inference.keys()
    for quantity, want in frozen.items():
        np.testing.assert_array_equal(want.value.hi, inference[quantity].value.hi)
        np.testing.assert_array_equal(want.bound, inference[quantity].bound)


def test_parameters_that_are_absent_have_no_gradient_to_expect() -> None:
    """Neither dgamma without scale nor dbeta without center."""
    step = _expect(plain(scale=False)).steps[0]
    assert (Quantity.DGAMMA in step, Quantity.DBETA in step) == (False, True)
    step = _expect(plain(center=False)).steps[0]
    assert (Quantity.DGAMMA in step, Quantity.DBETA in step) == (True, False)


def test_an_empty_last_batch_expects_the_state_of_the_step_before() -> None:
    """Nothing to average: nothing moves."""
    expected = _expect(plain(steps=2, last_batch=0))
    for quantity in RUNNING:
        before, after = (expected.steps[step][quantity].value.hi for step in (0, 1))
        np.testing.assert_array_equal(after, before)
    assert expected.steps[1][Quantity.Y].value.shape == (0, 3)


def test_conventions_are_the_values_of_a_dialects_claims() -> None:
    """Each from the claim of the same meaning."""
    conventions = Conventions.of(
        dialect(
            running_variance=RunningVariance.UNBIASED,
            variance=VarianceAlgorithm.ONE_PASS,
            frozen=FrozenPolicy.BATCH_STATISTICS,
            half_output=HalfOutput.PARAMETERS,
            epsilon_floor=1e-4,
        )
    )
    assert conventions == replace(
        CENTRED,
        running_variance=RunningVariance.UNBIASED,
        algorithm=VarianceAlgorithm.ONE_PASS,
        frozen=FrozenPolicy.BATCH_STATISTICS,
        half_output=HalfOutput.PARAMETERS,
        epsilon_floor=1e-4,
    )


@pytest.mark.parametrize("kind", [FillKind.TINY, FillKind.HUGE])
def test_the_largest_and_smallest_ordinary_inputs_need_no_exact_arithmetic(kind: FillKind) -> None:
    """Double-double holds their variance, 1e120 and 1e-120, to far below what a verdict needs."""
    case = plain(dtype=DType.FLOAT64, steps=2, fill=fill(kind))
    expected = expect(case, make_inputs(case), CENTRED)
    assert expected.inference is not None
    for step in (*expected.steps, expected.inference):
        for each in step.values():
            assert each.in_range
            assert each.exact is not None
            exact = each.exact().value
            off = np.abs((each.value.hi - exact.hi) + (each.value.lo - exact.lo))
            assert (off <= 2.0**-40 * each.bound).all()
