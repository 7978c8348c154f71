"""What a corner's name promises holds for the arrays of every case that a plan draws in it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest

from bnconform.conformance.case import Case, Layout, Upstream
from bnconform.conformance.cases.corners import CORNERS, LARGE_COUNT, NOT_IN_QUICK, OFFSETS_NAMED
from bnconform.conformance.cases.fills import Inputs, make_inputs
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Array, Quantity
from bnconform.conformance.dialect import (
    FrozenPolicy,
    HalfGradient,
    HalfOutput,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import FORMATS, NUMPY_DTYPES, DType
from bnconform.conformance.judging.compare import compare
from bnconform.conformance.reference import Conventions, expect
from bnconform.conformance.verdict import Diverges

Check = Callable[[Case, Inputs], bool]


@functools.cache
def _planned(profile: str) -> tuple[Case, ...]:
    return plan_cases(PROFILES[profile], cases=PROFILES[profile].cases, seed=0)


def _drawn(corner: str) -> list[Case]:
    """The cases of a plan in the corner."""
    profile = "nightly" if corner in NOT_IN_QUICK else "quick"
    return [case for case in _planned(profile) if CORNERS[corner](case)]


def _broken(corner: str, check: Check, cases: Sequence[Case]) -> list[str]:
    """Those of ``cases`` that are not what the corner promises."""
    assert cases, f"no case in {corner}"
    return [case.to_json() for case in cases if not check(case, make_inputs(case))]


def _by_channel(case: Case, x: Array) -> Array:
    """(channels, n) values in float64."""
    wide = np.moveaxis(x.astype(np.float64), case.channel_axes, range(len(case.channel_axes)))
    return wide.reshape(math.prod(case.feature_shape), -1)


def _lies(array: Array, layout: Layout) -> bool:
    """Whether the array lies in memory as ``layout`` says and in no other of the ways."""
    last = bool(np.moveaxis(array, 1, -1).flags.c_contiguous)
    found = {
        Layout.CONTIGUOUS: bool(array.flags.c_contiguous),
        Layout.CHANNELS_LAST: last,
        Layout.STRIDED: array.strides[-1] == 2 * array.itemsize and not last,
    }
    return [each for each, holds in found.items() if holds] == [layout]


def _have_layouts(layout: Layout, upstream: Layout) -> Check:
    return lambda _, inputs: all(
        _lies(step.x, layout) and _lies(step.dy, upstream) for step in inputs.steps
    )


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("upstream", Layout)
def test_a_pair_of_layouts_is_one_in_memory(layout: Layout, upstream: Layout) -> None:
    """Input and upstream gradient of every step have the strides that the corner names."""
    corner = f"layouts: {layout} input, {upstream} gradient"
    assert _broken(corner, _have_layouts(layout, upstream), _drawn(corner)) == []


@pytest.mark.parametrize("ratio", OFFSETS_NAMED)
def test_an_offset_is_that_many_deviations(ratio: float) -> None:
    """Values lie within 3.5 deviations of 1 (and their rounding) around a mean of the ratio."""

    def near(case: Case, inputs: Inputs) -> bool:
        off = np.abs(np.abs(_by_channel(case, inputs.steps[0].x)) - ratio)
        limit = 3.5 + ratio * FORMATS[case.dtype].unit_roundoff
        return bool((off[~np.isnan(off)] <= limit).all())  # A mask may hide NaN.

    corner = f"mean / deviation of {ratio:g}"
    assert _broken(corner, near, _drawn(corner)) == []


def _constants(case: Case, inputs: Inputs) -> Array:
    """The value of each channel; NaN for one that is not constant."""
    x = np.concatenate([_by_channel(case, step.x) for step in inputs.steps], axis=1)
    return np.asarray(np.where((x == x[:, :1]).all(axis=1), x[:, 0], np.nan))


def _square_rounds(case: Case, value: float) -> bool:
    square = float(NUMPY_DTYPES[case.dtype].type(value) ** 2)
    return not math.isfinite(square) or Fraction(square) != Fraction(value) ** 2


_LEVELS: dict[str, Callable[[Case, float], bool]] = {
    "constant: square inexact": _square_rounds,
    "constant: subnormal": lambda case, c: 0 < c < FORMATS[case.dtype].smallest_normal,
    "constant: large": lambda case, c: c >= 0.01 / FORMATS[case.dtype].unit_roundoff,
    "constant: normal, its square not": lambda case, c: (
        c > FORMATS[case.dtype].smallest_normal > c * c
    ),
}
"""What channel 0 of the corner holds; a large one is off by far more than any epsilon."""


@pytest.mark.parametrize("corner", _LEVELS)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_constants_are_what_they_are_called(corner: str) -> None:
    """Every channel is constant over all steps, and channel 0 holds a value of the kind."""

    def holds(case: Case, inputs: Inputs) -> bool:
        found = _constants(case, inputs)
        return bool(np.isfinite(found).all()) and _LEVELS[corner](case, float(found[0]))

    assert _broken(corner, holds, _drawn(corner)) == []


def test_constants_are_many() -> None:
    """A quick run holds at least 30 different constants, of both signs."""
    found: set[float] = set()
    for case in _drawn("fill: constant"):
        if 0 not in case.shape and case.variant.kind.value == "plain":
            found.update(_constants(case, make_inputs(case)).tolist())
    assert len(found) >= 30
    assert min(found) < 0 < max(found)


_UPSTREAMS: dict[str, Check] = {
    "upstream gradient: output unused": lambda _, inputs: all(
        not step.dy.any() for step in inputs.steps
    ),
    "upstream gradient: one element used": lambda _, inputs: all(
        np.count_nonzero(step.dy) == 1 for step in inputs.steps
    ),
    "upstream gradient: uniform": lambda _, inputs: all(
        bool((step.dy == 1).all()) for step in inputs.steps
    ),
    "upstream gradient: the input's own buffer": lambda _, inputs: all(
        step.dy is step.x for step in inputs.steps
    ),
    "the same buffers at every call": lambda _, inputs: (
        all(step.x is inputs.inference.x for step in inputs.steps)
        and all(step.dy is inputs.inference.dy for step in inputs.steps)
    ),
}


@pytest.mark.parametrize("corner", _UPSTREAMS)
def test_upstream_gradients_and_buffers_are_what_they_are_called(corner: str) -> None:
    """At every step, by value or by identity of the array."""
    assert _broken(corner, _UPSTREAMS[corner], _drawn(corner)) == []


def test_ordinary_buffers_are_apart() -> None:
    """No array of another case is used twice: only what is asked to be shared is."""
    for case in _planned("quick")[:100]:
        inputs = make_inputs(case)
        arrays = [
            array for step in (*inputs.steps, inputs.inference) for array in (step.x, step.dy)
        ]
        if not case.same_inputs and case.upstream is not Upstream.INPUT:
            assert len({id(array) for array in arrays}) == len(arrays)


def test_an_uneven_upstream_gradient_meets_a_gamma() -> None:
    """In every channel g differs from place to place, and no gamma is 1."""

    def uneven(case: Case, inputs: Inputs) -> bool:
        gamma = inputs.parameters.gamma
        spread = np.ptp(_by_channel(case, inputs.steps[0].dy), axis=1)
        return gamma is not None and bool((gamma != 1).all()) and bool((spread > 0).all())

    corner = "uneven upstream gradient, gamma not 1"
    assert _broken(corner, uneven, _drawn(corner)) == []


def _different(inputs: Inputs) -> int:
    """The number of different upstream gradients: inputs may be constant."""
    return len({step.dy.tobytes() for step in inputs.steps})


_SIZES: dict[str, Check] = {
    "empty batch": lambda _, inputs: inputs.steps[0].x.shape[0] == 0,
    "no spatial positions": lambda case, inputs: (
        inputs.steps[0].x.size == 0 and inputs.steps[0].x.shape[0] > 0 and case.feature_shape[0] > 0
    ),
    "no channels": lambda case, inputs: (
        inputs.parameters.running_mean.size == 0 and case.smallest_count > 0
    ),
    "batch of one": lambda _, inputs: inputs.steps[0].x.shape[0] == 1,
    "batch of two": lambda _, inputs: inputs.steps[0].x.shape[0] == 2,
    "one step": lambda _, inputs: len(inputs.steps) == 1,
    "ten steps": lambda _, inputs: _different(inputs) == 10,
    "a hundred steps": lambda _, inputs: _different(inputs) == 100,
}


@pytest.mark.parametrize("corner", _SIZES)
def test_sizes_and_steps_are_what_they_are_called(corner: str) -> None:
    """By the shapes of the arrays, and by the number of different batches."""
    cases = [
        case
        for case in _drawn(corner)
        if case.upstream is Upstream.ORDINARY and not case.same_inputs
    ]
    assert _broken(corner, _SIZES[corner], cases) == []


def _weights(inputs: Inputs) -> Array:
    found = inputs.steps[0].weights
    assert found is not None
    return found


def _hides_nan(_: Case, inputs: Inputs) -> bool:
    """Whether NaN lies exactly where the mask is False, somewhere at all."""
    x = inputs.steps[0].x
    hidden = ~np.broadcast_to(_weights(inputs), x.shape)
    return bool((np.isnan(x.astype(np.float64)) == hidden).all())


_MASKS: dict[str, Check] = {
    "mask that hides NaN": _hides_nan,
    "mask that keeps nothing": lambda _, inputs: (
        inputs.steps[0].x.size > 0 and not _weights(inputs).any()
    ),
    "mask that broadcasts": lambda case, inputs: (
        _weights(inputs).shape == (case.shape[0],) + (1,) * (case.rank - 1)
        and _weights(inputs).size < case.count(case.shape)
    ),
    "mask, features not on the last axis": lambda case, inputs: (
        _weights(inputs).shape[case.channel_axes[-1]] == 1 and case.channel_axes[-1] < case.rank - 1
    ),
    "mask, one channel": lambda _, inputs: (
        inputs.steps[0].x.shape == _weights(inputs).shape and inputs.steps[0].x.size > 1
    ),
}


@pytest.mark.parametrize("corner", _MASKS)
def test_masks_are_what_they_are_called(corner: str) -> None:
    """By the weights that the layer is given, and by what lies beneath them."""
    cases = [
        case for case in _drawn(corner) if corner == "mask that broadcasts" or not _by_sample(case)
    ]
    assert _broken(corner, _MASKS[corner], cases) == []


def _by_sample(case: Case) -> bool:
    return bool(getattr(case.variant, "by_sample", False))


# Precision.


_PLAIN_WAYS = Conventions(
    running_variance=RunningVariance.BIASED,
    algorithm=VarianceAlgorithm.TWO_PASS,
    frozen=FrozenPolicy.NONE,
    half_output=HalfOutput.INPUT,
    half_gradient=HalfGradient.ONCE,
    epsilon_floor=0.0,
)


def _to_tf32(values: Array) -> Array:
    """Rounded to the 11 significant bits of TF32, in float32."""
    fraction, exponent = np.frexp(values.astype(np.float32))
    return np.asarray(np.ldexp(np.round(fraction * 2**11) / 2**11, exponent), np.float32)


def _lowered(case: Case, x: Array) -> Array:
    """``x`` as the next lower precision sees it, in the format that it would compute in."""
    if case.dtype is DType.FLOAT32:
        return _to_tf32(x)
    return x.astype(np.float32) if case.dtype is DType.FLOAT64 else x


def _output(case: Case, inputs: Inputs) -> Array:
    """y of the first step, computed throughout in what :func:`_lowered` gives."""
    x = _lowered(case, inputs.steps[0].x)
    n, axes = x.dtype.type(case.count(x.shape)), case.reduction_axes

    def wide(values: Array | None, otherwise: float) -> Array:
        if values is None:
            return np.full((), otherwise, x.dtype)
        return np.expand_dims(values, axes).astype(x.dtype)

    d = x - np.sum(x, axis=axes, keepdims=True, dtype=x.dtype) / n
    v = np.sum(d * d, axis=axes, keepdims=True, dtype=x.dtype) / n
    xhat = d / np.sqrt(v + x.dtype.type(case.epsilon))
    gamma, beta = wide(inputs.parameters.gamma, 1.0), wide(inputs.parameters.beta, 0.0)
    return np.asarray((gamma * xhat + beta).astype(NUMPY_DTYPES[case.dtype]))


@pytest.mark.parametrize("dtype", DType)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_lower_precision_shows_in_every_case_that_is_named_after_it(dtype: DType) -> None:
    """TF32 for float32, float32 for float64, and half precision inside for the halves."""

    def shows(case: Case, inputs: Inputs) -> bool:
        want = expect(case, inputs, _PLAIN_WAYS).steps[0][Quantity.Y]
        return isinstance(compare(_output(case, inputs), want), Diverges)

    corner = f"effective precision of {dtype}"
    assert _broken(corner, shows, _drawn(corner)) == []


# Large reductions.


@pytest.mark.parametrize("layout", Layout)
def test_a_large_reduction_has_its_count_and_its_layout(layout: Layout) -> None:
    """2^18 values per channel in an array that lies in memory as it is called."""
    corner = f"large reduction, {layout}"
    case = _drawn(corner)[0]
    inputs = make_inputs(case)
    assert inputs.steps[0].x.size // math.prod(case.feature_shape) >= LARGE_COUNT
    assert _have_layouts(layout, layout)(case, inputs)
