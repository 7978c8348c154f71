"""The arrays of a case: the same bits everywhere, laid out and stressing as they promise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnconform.conformance.case import Case, FillKind, Layout, Mode
from bnconform.conformance.cases.fills import Inputs, make_inputs, with_layout
from bnconform.conformance.contract import Array
from bnconform.conformance.formats import FORMATS, DType, compute_format

from .cases import fill, plain

IMAGE = plain(shape=(8, 5, 4, 2), steps=2, last_batch=4)


def _named(inputs: Inputs) -> dict[str, Array]:
    """Every array of ``inputs``; the steps' and the inference call's under running numbers."""
    calls = (*inputs.steps, inputs.inference)
    found = {
        f"{name}{i}": getattr(call, name) for i, call in enumerate(calls) for name in ("x", "dy")
    }
    for name in ("gamma", "beta", "running_mean", "running_var"):
        value = getattr(inputs.parameters, name)
        if value is not None:
            found[name] = value
    return found


def _hash(case: Case) -> str:
    """Of all bits, formats and shapes."""
    digest = hashlib.sha256()
    for name, array in sorted(_named(make_inputs(case)).items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _channels(x: Array) -> Array:
    """(channels, n) float64 values of an input whose feature axis is 1."""
    return np.moveaxis(x.astype(np.float64), 1, 0).reshape(x.shape[1], -1)


FROZEN = [
    (FillKind.NORMAL, DType.FLOAT32, "e1d3225a6b5eaf47"),
    (FillKind.NORMAL, DType.FLOAT64, "67c7628857087704"),
    (FillKind.NORMAL, DType.FLOAT16, "ab5a30aaa47d8e68"),
    (FillKind.NORMAL, DType.BFLOAT16, "d65065efae09c0ec"),
    (FillKind.OFFSET, DType.FLOAT32, "500fca6f4ba2d8f9"),
    (FillKind.CONSTANT, DType.FLOAT32, "57744e0bf9b9d0c7"),
    (FillKind.TINY, DType.FLOAT32, "0222154d71f113b0"),
    (FillKind.HUGE, DType.FLOAT32, "824108f8d8d06cd8"),
    (FillKind.HUGE, DType.FLOAT64, "390817c159788603"),
    (FillKind.HUGE, DType.FLOAT16, "9fd384412c330394"),
    (FillKind.HUGE, DType.BFLOAT16, "080aa46e1707aad4"),
    (FillKind.MIXED, DType.FLOAT32, "22485dc15e83e74a"),
    (FillKind.MIXED, DType.FLOAT64, "a7d1d99c1bc1e4fa"),
    (FillKind.MIXED, DType.FLOAT16, "df89b84860e13630"),
    (FillKind.MIXED, DType.BFLOAT16, "f4bcf7d069b19dee"),
    (FillKind.EXACT, DType.FLOAT32, "b4a1a94a577486a1"),
    (FillKind.NAN, DType.FLOAT32, "ace6118b8e1128a4"),
    (FillKind.INF, DType.FLOAT32, "723233b2daad8e01"),
]
"""Recorded with NumPy 2.4 on x86-64; every kind, and every format where the kind depends on it."""


@pytest.mark.parametrize(("kind", "dtype", "expected"), FROZEN)
def test_the_bits_of_every_fill_are_frozen(kind: FillKind, dtype: DType, expected: str) -> None:
    """A change of machine, NumPy or code that changed any value would show here."""
    offset = 1000.0 if kind is FillKind.OFFSET else 0.0
    case = plain(
        shape=(8, 5, 4, 2), steps=2, last_batch=4, dtype=dtype, fill=fill(kind, 20261121, offset)
    )
    assert _hash(case) == expected


def test_making_the_inputs_again_gives_the_same_bits_in_fresh_arrays() -> None:
    """Nothing is shared between two calls, so a subject that overwrites cannot spoil another."""
    first, second = _named(make_inputs(IMAGE)), _named(make_inputs(IMAGE))
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes()
        assert not np.shares_memory(array, second[name])


def test_no_two_arrays_of_a_case_share_memory() -> None:
    """The same buffer never comes in as two arguments."""
    arrays = list(_named(make_inputs(IMAGE)).values())
    for index, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:index])


def test_another_seed_gives_other_values_everywhere() -> None:
    """Every array depends on the seed."""
    one = _named(make_inputs(plain(fill=fill(FillKind.NORMAL, 1))))
    two = _named(make_inputs(plain(fill=fill(FillKind.NORMAL, 2))))
    assert [name for name in one if (one[name] == two[name]).all()] == []


def test_steps_and_inference_have_values_of_their_own() -> None:
    """A subject cannot pass by normalizing the first batch for ever."""
    inputs = make_inputs(plain(steps=3))
    calls = [*inputs.steps, inputs.inference]
    for index, call in enumerate(calls):
        for other in calls[:index]:
            assert not (call.x == other.x).any()
            assert not (call.dy == other.dy).any()
        assert not (call.x == call.dy).any()


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(Layout), st.sampled_from(Layout), st.sampled_from(list(FillKind)[2:]))
def test_layout_changes_no_value(layout: Layout, upstream: Layout, kind: FillKind) -> None:
    """The logical arrays are those of the contiguous case, bit for bit."""
    moved = make_inputs(
        plain(shape=(4, 3, 2, 2), layout=layout, upstream_layout=upstream, fill=fill(kind))
    )
    straight = make_inputs(plain(shape=(4, 3, 2, 2), fill=fill(kind)))
    for name, array in _named(straight).items():
        np.testing.assert_array_equal(_named(moved)[name], array)


def _strides(array: Array) -> tuple[int, ...]:
    return tuple(stride // array.itemsize for stride in array.strides)


@pytest.mark.parametrize(
    ("layout", "shape", "strides"),
    [
        (Layout.CONTIGUOUS, (2, 3, 4, 5), (60, 20, 5, 1)),  # last axis fastest
        (Layout.CHANNELS_LAST, (2, 3, 4, 5), (60, 1, 15, 3)),  # NHWC memory: axis 1 fastest
        (Layout.STRIDED, (2, 3, 4, 5), (120, 40, 10, 2)),  # every second element of a wider array
        (Layout.CHANNELS_LAST, (2, 3, 4), (12, 1, 3)),  # a sequence
        (Layout.CHANNELS_LAST, (2, 3), (3, 1)),  # a matrix is channels-last as it stands
        (Layout.STRIDED, (2, 3), (6, 2)),  # a matrix with gaps
        (Layout.STRIDED, (3,), (1,)),  # one axis: nothing to move
    ],
)
def test_an_array_lies_in_memory_as_its_layout_says(
    layout: Layout, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    """Strides in elements."""
    values = np.arange(float(np.prod(shape))).reshape(shape)
    found = with_layout(values, layout)
    assert _strides(found) == strides
    np.testing.assert_array_equal(found, values)
    assert not np.shares_memory(found, values)


def test_input_and_upstream_gradient_each_follow_their_own_layout() -> None:
    """``layout`` is x's and ``upstream_layout`` is dy's, at every step."""
    case = plain(shape=(2, 3, 4, 5), layout=Layout.CHANNELS_LAST, upstream_layout=Layout.STRIDED)
    inputs = make_inputs(case)
    for call in (*inputs.steps, inputs.inference):
        assert _strides(call.x) == (60, 1, 15, 3)
        assert _strides(call.dy) == (120, 40, 10, 2)


@pytest.mark.parametrize("dtype", DType)
def test_formats_are_those_of_the_contract(dtype: DType) -> None:
    """x and dy in the case's format; parameters and state in float32 or float64."""
    for name, array in _named(make_inputs(plain(dtype=dtype))).items():
        image = name[:-1] in {"x", "dy"}
        assert array.dtype == (FORMATS[dtype] if image else compute_format(dtype)).numpy


@pytest.mark.parametrize(
    ("scale", "center", "missing"),
    [
        (True, True, set()),
        (False, True, {"gamma"}),
        (True, False, {"beta"}),
        (False, False, {"gamma", "beta"}),
    ],
)
def test_parameters_that_a_case_does_not_use_are_none(
    *, scale: bool, center: bool, missing: set[str]
) -> None:
    """gamma belongs to scale and beta to center."""
    names = _named(make_inputs(plain(scale=scale, center=center)))
    assert {"gamma", "beta"} - names.keys() == missing


def test_shapes_follow_the_steps_and_the_feature_axes() -> None:
    """The last step is smaller, inference is a full batch, parameters take the feature shape."""
    case = plain(shape=(6, 3, 2, 4), last_batch=2, steps=3, feature_axes=(-1, 1))
    inputs = make_inputs(case)
    assert [step.x.shape[0] for step in inputs.steps] == [6, 6, 2]
    assert inputs.inference.x.shape == case.shape
    assert inputs.parameters.running_var.shape == (3, 4)


def test_a_channels_values_do_not_depend_on_where_its_axis_stands() -> None:
    """Channels first and channels last hold the same numbers, so that results can be compared."""
    first = make_inputs(plain(shape=(4, 3, 2, 2), feature_axes=(1,), last_batch=4)).steps[0].x
    last = make_inputs(plain(shape=(4, 2, 2, 3), feature_axes=(-1,), last_batch=4)).steps[0].x
    np.testing.assert_array_equal(first, np.moveaxis(last, -1, 1))


def _sums(values: Array) -> list[Array]:
    """Sums over axis 1 of (channels, n) in five orders, each in the format of ``values``."""
    halves = values
    while halves.shape[1] > 1:
        halves = halves[:, ::2] + halves[:, 1::2]
    shuffled = values[:, np.random.default_rng(0).permutation(values.shape[1])]
    orders = (values, values[:, ::-1], np.sort(values, axis=1), shuffled)
    return [halves[:, 0], *(np.add.accumulate(order, axis=1)[:, -1] for order in orders)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 2, 8, 64, 2048])
def test_the_exact_lane_sums_to_the_same_bits_in_any_order(n: int, seed: int) -> None:
    """Mean, centred and raw squares and the gradients' sum, in float32, against exact integers."""
    inputs = make_inputs(plain(shape=(n, 4), fill=fill(FillKind.EXACT, seed))).steps[0]
    x, g = inputs.x.T.copy(), inputs.dy.T.copy()
    exact = x.astype(np.int64)
    mean = exact.sum(axis=1) // n
    assert (mean * n == exact.sum(axis=1)).all(), "the mean is an integer"
    centred = x - mean[:, None].astype(np.float32)
    for values in (x, g, centred, np.square(centred), np.square(x)):
        expected = values.astype(np.int64).sum(axis=1)
        assert all((found == expected).all() for found in _sums(values))


@pytest.mark.parametrize("dtype", DType)
def test_the_exact_lane_is_exact_in_every_format(dtype: DType) -> None:
    """All values are integers that the format holds, and not all the same."""
    inputs = make_inputs(plain(shape=(64, 4), dtype=dtype, fill=fill(FillKind.EXACT)))
    for values in (inputs.steps[0].x, inputs.steps[0].dy, inputs.parameters.running_mean):
        wide = values.astype(np.float64)
        assert (wide == np.round(wide)).all()
        assert len(np.unique(wide)) > 1
    assert (inputs.parameters.running_var >= 1).all()


@pytest.mark.parametrize("ratio", [10.0, 1e3, 1e6])
def test_offset_puts_the_mean_that_many_deviations_away(ratio: float) -> None:
    """|mean| / deviation is the fill's offset to within a few percent, with both signs."""
    x = _channels(
        make_inputs(plain(shape=(512, 16), fill=fill(FillKind.OFFSET, 3, ratio))).steps[0].x
    )
    found = x.mean(axis=1) / x.std(axis=1)
    assert np.allclose(np.abs(found), ratio, rtol=0.15)
    assert set(np.sign(found)) == {-1.0, 1.0}


def test_a_constant_channel_holds_one_value() -> None:
    """Zero variance, several constants, most of them not exact in binary."""
    x = _channels(make_inputs(plain(shape=(8, 8), fill=fill(FillKind.CONSTANT))).steps[0].x)
    assert (x == x[:, :1]).all()
    assert len(np.unique(x[:, 0])) == 8
    assert (np.mod(x[:, 0] * 1024, 1) != 0).sum() >= 4


@pytest.mark.parametrize(
    ("kind", "right"),
    [(FillKind.NAN, np.isnan), (FillKind.INF, lambda x: np.isinf(x) & (x > 0))],
)
def test_exactly_one_value_of_each_call_is_not_finite(
    kind: FillKind, right: Callable[[Array], Array]
) -> None:
    """In channel 0 of x; the upstream gradient and the parameters are finite."""
    inputs = make_inputs(plain(shape=(4, 3, 2), steps=2, fill=fill(kind)))
    for call in (*inputs.steps, inputs.inference):
        assert right(call.x).sum() == (~np.isfinite(call.x)).sum() == 1
        assert not np.isfinite(call.x[:, 0]).all()
        assert np.isfinite(call.dy).all()
    parameters = inputs.parameters
    assert all(np.isfinite(p).all() for p in (parameters.running_mean, parameters.running_var))


@pytest.mark.parametrize(
    ("kind", "dtype", "scale"),
    [
        (FillKind.NORMAL, DType.FLOAT32, 1.0),  # ordinary
        (FillKind.TINY, DType.FLOAT32, 1e-9),  # v near 1e-18: epsilon dominates
        (FillKind.TINY, DType.FLOAT16, 1e-3),  # as small as float16 holds in full precision
        (FillKind.TINY, DType.FLOAT64, 1e-60),  # far below epsilon, squares still normal
        (FillKind.HUGE, DType.FLOAT32, 1e9 / 16),  # v near 1e16: epsilon vanishes
        (FillKind.HUGE, DType.FLOAT16, 1e4 / 16),  # within the largest finite value
        (FillKind.HUGE, DType.FLOAT64, 1e60 / 16),  # squares do not overflow
    ],
)
def test_deviations_are_a_quarter_to_four_times_the_promised_scale(
    kind: FillKind, dtype: DType, scale: float
) -> None:
    """Every channel's deviation lies in the range, and not all are alike."""
    case = plain(shape=(64, 16), dtype=dtype, fill=fill(kind))
    deviations = _channels(make_inputs(case).steps[0].x).std(axis=1)
    assert deviations.min() > 0.2 * scale
    assert deviations.max() < 5.0 * scale
    assert deviations.max() > 2.0 * deviations.min()


def test_mixed_has_scales_apart_an_outlier_and_a_constant_channel() -> None:
    """Channel 0 holds a value 50 deviations up, the last channel one value only."""
    x = _channels(make_inputs(plain(shape=(256, 12), fill=fill(FillKind.MIXED, 4))).steps[0].x)
    deviations = np.median(np.abs(x - np.median(x, axis=1, keepdims=True)), axis=1)
    assert deviations[:-1].max() > 1e4 * deviations[:-1].min()
    assert (x[0, 0] - np.median(x[0])) / deviations[0] > 30
    assert deviations[-1] == 0
    assert (x[-1] == x[-1, 0]).all()


@pytest.mark.parametrize("kind", FillKind)
def test_the_upstream_gradient_is_never_uniform(kind: FillKind) -> None:
    """A constant g would make dx vanish and hide a missing term."""
    offset = 10.0 if kind is FillKind.OFFSET else 0.0
    for seed in range(5):
        case = plain(shape=(16, 2), fill=fill(kind, seed, offset))
        g = _channels(make_inputs(case).steps[0].dy)
        assert (g.std(axis=1) > 0.1).all()


@pytest.mark.parametrize("kind", FillKind)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((0, 3), (1,)),  # an empty batch
        ((4, 3, 0), (1,)),  # an empty image
        ((4, 0), (1,)),  # no channel at all
        ((1, 3), (1,)),  # one value per channel
        ((5,), (0,)),  # nothing to reduce
    ],
)
def test_degenerate_shapes_get_arrays_too(
    kind: FillKind, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    """Every kind fills every shape, of the right size."""
    offset = 10.0 if kind is FillKind.OFFSET else 0.0
    inputs = make_inputs(
        plain(shape=shape, feature_axes=axes, mode=Mode.INFERENCE, fill=fill(kind, 0, offset))
    )
    assert inputs.steps[0].x.shape == inputs.steps[0].dy.shape == shape
    assert inputs.parameters.running_mean.shape == tuple(shape[axis] for axis in axes)
