"""The systematic-error test: what it reports, what it must not, and from how many channels on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from bnconform.conformance.case import Case, FillKind, Mode
from bnconform.conformance.contract import Array, Quantity
from bnconform.conformance.formats import FORMATS, DType, compute_format
from bnconform.conformance.judging.judge import Trial
from bnconform.conformance.judging.systematic import (
    Clean,
    Direction,
    Systematic,
    Tally,
    TooFew,
    limit_of,
    signed_errors,
    systematic,
    tally_of,
    usable,
)
from bnconform.conformance.variant import Untracked

from .cases import answered, fill, make_trial, perfect_answer, plain
from .judging import spoilt

Root = Callable[[Array, float], Array]

BLOCKS = 16
WIDE = {"shape": (16, 128), "scale": False, "center": False, "epsilon": 2.0**-10}


def correct_root(var: Array, epsilon: float) -> Array:
    """1 / sqrt(v + eps)."""
    return np.asarray(1 / np.sqrt(var + var.dtype.type(epsilon)))


def one_in_ten(var: Array, epsilon: float) -> Array:
    """The same, one ULP too large for every tenth variance by value."""
    r = correct_root(var, epsilon)
    order = np.argsort(np.argsort(var, axis=None)).reshape(var.shape)
    return np.where(order % 10 == 0, np.nextafter(r, r.dtype.type(np.inf)), r)


def fast(var: Array, epsilon: float) -> Array:
    """Off by one ULP in either direction, in turn by value."""
    r = correct_root(var, epsilon)
    order = np.argsort(np.argsort(var, axis=None)).reshape(var.shape)
    up, down = np.nextafter(r, r.dtype.type(np.inf)), np.nextafter(r, r.dtype.type(0))
    return np.choose(order % 3, [up, r, down])


def truncated(values: Array) -> Array:
    """To bfloat16 by cutting off."""
    bits = np.ascontiguousarray(values.astype(np.float32)).view(np.uint32)
    return (bits >> np.uint32(16)).astype(np.uint16).view(ml_dtypes.bfloat16)


def tally(
    dtype: DType, mode: Mode, root: Root = correct_root, store: Any = None, **fields: Any
) -> Tally:
    """Signed errors of a two-pass implementation over ``BLOCKS`` cases of 128 channels."""
    total = Tally()
    for seed in range(BLOCKS):
        case = plain(dtype=dtype, mode=mode, fill=fill(FillKind.NORMAL, seed), **(WIDE | fields))
        trial = make_trial(case)
        y = normalized(trial, root)
        stored = y.astype(FORMATS[dtype].numpy) if store is None else store(y)
        outcome = answered(spoilt(perfect_answer(trial), 0, y=stored))
        total += signed_errors(trial, outcome)[Quantity.Y]
    return total


def normalized(trial: Trial, root: Root) -> Array:
    """gamma (x - mean) r + beta in the accumulation format."""
    case, p = trial.case, trial.inputs.parameters
    compute = compute_format(case.dtype).numpy
    x = trial.inputs.steps[0].x.astype(compute)
    mean, var = x.mean(axis=0), np.square(x - x.mean(axis=0)).mean(axis=0)
    if case.mode is Mode.INFERENCE:
        mean, var = p.running_mean, p.running_var
    y = (x - mean) * root(var, case.epsilon)
    y = y if p.gamma is None else y * p.gamma
    return np.asarray(y if p.beta is None else y + p.beta)


@pytest.mark.parametrize("mode", [Mode.TRAIN, Mode.INFERENCE])
@pytest.mark.parametrize("dtype", DType)
def test_a_correct_implementation_is_clean(dtype: DType, mode: Mode) -> None:
    """Everything rounds to nearest, hence errors lean nowhere: 2,048 channels."""
    assert isinstance(systematic(tally(dtype, mode)), Clean)


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_one_ulp_in_one_root_of_ten_is_reported(dtype: DType) -> None:
    """About a tenth of an ULP, which is between u and 2u, on average."""
    found = systematic(tally(dtype, Mode.INFERENCE, one_in_ten))
    assert isinstance(found, Systematic)
    assert found.direction is Direction.TOO_LARGE
    assert 0.1 < found.size < 0.2


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_the_same_is_reported_in_training(dtype: DType) -> None:
    """The batch's own statistics add their rounding, and it still shows."""
    assert isinstance(systematic(tally(dtype, Mode.TRAIN, one_in_ten)), Systematic)


def test_a_root_that_is_off_in_both_directions_is_clean() -> None:
    """Inexact is not systematic: a third of the roots each is one ULP up and down."""
    assert isinstance(systematic(tally(DType.FLOAT32, Mode.INFERENCE, fast)), Clean)


def test_outputs_that_are_cut_off_are_reported_as_too_small() -> None:
    """bfloat16 by truncation: half an ULP short, on average 0.7 u."""
    found = systematic(tally(DType.BFLOAT16, Mode.TRAIN, store=truncated))
    assert isinstance(found, Systematic)
    assert found.direction is Direction.TOO_SMALL
    assert 0.5 < found.size < 0.9


def test_gamma_and_beta_of_any_sign_do_not_hide_the_direction() -> None:
    """An error of the root is signed by gamma xhat, not by y."""
    fields: dict[str, Any] = {"scale": True, "center": True}

    def large(var: Array, epsilon: float) -> Array:
        return np.asarray(correct_root(var, epsilon) * var.dtype.type(1 + 2.0**-20))

    found = systematic(tally(DType.FLOAT32, Mode.INFERENCE, large, **fields))
    assert isinstance(found, Systematic)
    assert found.direction is Direction.TOO_LARGE
    assert isinstance(systematic(tally(DType.FLOAT32, Mode.INFERENCE, **fields)), Clean)


def test_the_limit_follows_from_the_chance_of_a_false_report() -> None:
    """2 exp(-t^2 / 2) = alpha / k."""
    assert limit_of() == pytest.approx(math.sqrt(2 * math.log(2e6)))
    assert 2 * math.exp(-(limit_of(8, 1e-3) ** 2) / 2) == pytest.approx(1e-3 / 8)


@pytest.mark.parametrize(("tests", "alpha"), [(0, 1e-6), (1, 0.0), (1, 1.0)])
def test_a_limit_without_meaning_is_refused(tests: int, alpha: float) -> None:
    """A probability of 0 would never report, one of 1 always."""
    with pytest.raises(ValueError, match="tests must be 1 or more and alpha in"):
        limit_of(tests, alpha)


def test_signs_that_are_random_reach_the_limit_no_more_often_than_it_says() -> None:
    """Heavy-tailed sizes, random signs: of 20,000 tallies at most 1 % may reach alpha = 0.01."""
    rng = np.random.default_rng(5)
    sizes = rng.pareto(1.5, 200)
    signs = rng.choice([-1.0, 1.0], (20_000, 200))
    reached = [systematic(tally_of(sizes * row), alpha=0.01) for row in signs]
    assert sum(isinstance(found, Systematic) for found in reached) <= 200


def test_so_few_channels_that_nothing_could_show_are_no_pass() -> None:
    """T never exceeds sqrt(N): 29 equal errors cannot be reported, 30 are."""
    few, enough = tally_of(np.ones(29)), tally_of(np.ones(30))
    assert systematic(few) == TooFew(tally=few, needed=30)
    assert isinstance(systematic(enough), Systematic)


def test_tallies_add_up() -> None:
    """Two cases together are what one with all their channels would be."""
    first, second = np.array([1.0, -2.0]), np.array([3.0])
    together = tally_of(first, 0.5) + tally_of(second, 0.25)
    assert together == tally_of(np.array([1.0, -2.0, 3.0]), np.array([0.5, 0.5, 0.25]))
    assert (together.mean, together.mean_square) == (2 / 3, 14 / 3)
    assert together.statistic == pytest.approx((2 - 1.25) / math.sqrt(14))


def test_errors_of_nothing_have_no_direction() -> None:
    """Exact results everywhere are clean."""
    assert isinstance(systematic(tally_of(np.zeros(100))), Clean)
    assert (Tally().mean, Tally().mean_square, Tally().statistic) == (0.0, 0.0, 0.0)


def test_what_is_one_sided_without_being_wrong_is_allowed_for() -> None:
    """The same errors with an allowance of their size are clean, and the size is what is left."""
    errors = np.full(100, 2.0)
    assert isinstance(systematic(tally_of(errors, 2.0)), Clean)
    found = systematic(tally_of(errors, 0.5))
    assert isinstance(found, Systematic)
    assert found.size == 1.5


def test_an_epsilon_that_must_be_rounded_has_an_allowance() -> None:
    """0.1 in float32 is off by 1.5e-9, and r by half of that over v + epsilon."""
    off = abs(float(np.float32(0.1)) - 0.1)
    trial = make_trial(plain(shape=(16, 1), epsilon=0.1))
    found = signed_errors(trial, answered(perfect_answer(trial)))[Quantity.Y]
    var = trial.inputs.steps[0].x.astype(np.float64).var()
    assert found.allowance == pytest.approx(off / (2 * (var + 0.1)) / 2.0**-24 + 2.0**-23)
    exact = make_trial(plain(shape=(16, 1), epsilon=0.125))
    found = signed_errors(exact, answered(perfect_answer(exact)))[Quantity.Y]
    assert found.allowance == 2.0**-23


@pytest.mark.parametrize(("dtype", "u"), [(DType.BFLOAT16, 2.0**-8), (DType.FLOAT64, 2.0**-53)])
def test_rounding_to_nearest_may_lean_by_two_roundoffs_of_a_roundoff(
    dtype: DType, u: float
) -> None:
    """For every channel, whatever epsilon is."""
    trial = make_trial(plain(shape=(16, 3), epsilon=0.125, dtype=dtype))
    found = signed_errors(trial, answered(perfect_answer(trial)))[Quantity.Y]
    assert found.allowance == pytest.approx(3 * 2 * u)


def test_an_error_is_measured_in_units_of_the_output_and_signed_by_the_normalized_value() -> None:
    """Every output moved by 2^-20 of its size away from zero is 16 u of float32."""
    trial = make_trial(plain(shape=(16, 2), scale=False, center=False))
    exact = trial.expected.steps[0][Quantity.Y].value.to_float64()
    moved = (exact * (1 + 2.0**-20)).astype(np.float32)
    found = signed_errors(trial, answered(spoilt(perfect_answer(trial), 0, y=moved)))
    assert found[Quantity.Y].count == 2
    assert found[Quantity.Y].mean == pytest.approx(16, abs=0.5)


def test_an_error_is_signed_by_what_lies_beyond_beta() -> None:
    """Every y - beta moved by 2^-14 of its size away from zero, whatever the sign of y."""
    trial = make_trial(plain(shape=(16, 1), dtype=DType.FLOAT64))
    beta = trial.inputs.parameters.beta
    exact = trial.expected.steps[0][Quantity.Y].value.to_float64()
    assert beta is not None
    assert (np.sign(exact) != np.sign(exact - beta)).any()
    moved = exact + (exact - beta) * 2.0**-14
    found = signed_errors(trial, answered(spoilt(perfect_answer(trial), 0, y=moved)))
    size = np.abs(exact - beta).sum() / np.abs(exact).sum()
    assert found[Quantity.Y].mean == pytest.approx(2.0**-14 * 2.0**53 * size, rel=1e-9)


def test_in_inference_the_running_variance_decides_what_epsilon_may_do() -> None:
    """The batch's own has no part in it."""
    off = abs(float(np.float32(0.1)) - 0.1)
    trial = make_trial(plain(shape=(16, 1), epsilon=0.1, mode=Mode.INFERENCE))
    found = signed_errors(trial, answered(perfect_answer(trial)))[Quantity.Y]
    var = float(trial.inputs.parameters.running_var[0])
    assert found.allowance == pytest.approx(off / (2 * (var + 0.1)) / 2.0**-24 + 2.0**-23)


def test_the_exact_value_is_known_past_float64() -> None:
    """A correctly rounded float64 answer has errors, of half a unit at most."""
    trial = make_trial(plain(shape=(16, 3), dtype=DType.FLOAT64))
    found = signed_errors(trial, answered(perfect_answer(trial)))[Quantity.Y]
    assert 0 < found.mean_square < 1


def test_every_step_counts() -> None:
    """Two steps of three channels are six independent errors."""
    trial = make_trial(plain(shape=(16, 3), steps=2))
    assert signed_errors(trial, answered(perfect_answer(trial)))[Quantity.Y].count == 6


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"fill": fill(FillKind.CONSTANT)}, id="equal values share one error"),
        pytest.param({"fill": fill(FillKind.EXACT)}, id="few different variances"),
        pytest.param({"shape": (7, 3)}, id="few values are near the ends of xhat's range"),
        pytest.param({"variant": Untracked()}, id="variants have errors of their own"),
        pytest.param({"mode": Mode.FROZEN}, id="what normalizes depends on the dialect"),
        pytest.param(
            {"dtype": DType.FLOAT16, "half_parameters": True}, id="a state in half precision"
        ),
    ],
)
def test_cases_with_errors_that_may_lean_are_left_out(fields: dict[str, Any]) -> None:
    """There symmetry or independence fails, and with it the promise."""
    case: Case = plain(**({"shape": (16, 3)} | fields))
    assert not usable(case)
    trial = make_trial(case)
    assert signed_errors(trial, answered(perfect_answer(trial))) == {}


def test_eight_values_per_channel_are_enough() -> None:
    """At seven they are not, see above."""
    assert usable(plain(shape=(8, 3)))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda y: y[:1], id="wrong shape"),
        pytest.param(lambda y: y.astype(np.float64), id="wrong format"),
        pytest.param(lambda y: np.where(y > 1, np.float32(np.nan), y), id="not finite"),
    ],
)
def test_an_answer_that_the_judge_rejects_anyway_has_no_tally(spoil: Any) -> None:
    """A sum with NaN in it would say nothing of all other cases."""
    trial = make_trial(plain(shape=(16, 3)))
    answer = perfect_answer(trial)
    assert signed_errors(trial, answered(answer))[Quantity.Y].count == 3
    assert signed_errors(trial, answered(spoilt(answer, 0, y=spoil(answer.steps[0].y)))) == {}
