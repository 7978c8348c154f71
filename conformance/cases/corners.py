"""Named regions of the case space, so that "never looked" is visible in a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product

from ..case import Case, FillKind, Layout, Mode, Upstream
from ..formats import FORMATS, DType
from ..variant import PLAIN, Hidden, VariantKind
from .levels import large_level, small_level

Corner = Callable[[Case], bool]

LARGE_COUNT = 2**18
"""Values per channel from which on a reduction is a large one."""

OFFSETS_NAMED = (10.0, 300.0, 1e3, 3e3, 1e4)
"""Ratios of mean to deviation at which implementations have been seen to change their minds."""

_FEWEST, _MOST = 4, 64
"""Counts at which bounds are so tight that they tell one format from the next lower one."""

_ELEMENTS = 32
"""Elements of which at least one is unlucky enough to show it."""

_NEAR = 100.0
"""Ratio of mean to deviation up to which they still are."""


def _has(field: str, value: object) -> Corner:
    return lambda case: getattr(case, field) is value


def _fills(kind: FillKind) -> Corner:
    return lambda case: case.fill.kind is kind


def _of_kind(kind: VariantKind) -> Corner:
    return lambda case: case.variant.kind is kind


def _trains(case: Case) -> bool:
    """Whether there is a training step with values in it."""
    return case.mode is Mode.TRAIN and case.smallest_count > 0 and 0 not in case.shape


# Memory.


def _laid_out(case: Case) -> bool:
    """Whether the three layouts of the case's arrays really lie in memory in three ways."""
    batch, *others = case.step_shapes[-1]
    return case.rank > 2 and batch > 0 and others[0] > 1 and others[-1] > 1


def _pair(layout: Layout, upstream: Layout) -> Corner:
    return lambda case: (
        _trains(case)
        and _laid_out(case)
        and (case.layout, case.upstream_layout) == (layout, upstream)
    )


def _upstream(kind: Upstream) -> Corner:
    return lambda case: _trains(case) and case.upstream is kind


def _uneven_upstream(case: Case) -> bool:
    """An upstream gradient that differs from place to place, where a gamma scales it."""
    ordinary = case.upstream is Upstream.ORDINARY and case.smallest_count >= _FEWEST
    return _trains(case) and ordinary and case.scale and case.variant == PLAIN


# Values.


def _offset(ratio: float) -> Corner:
    return lambda case: _trains(case) and case.fill.offset == ratio


def _level(case: Case) -> float:
    """The constant of channel 0 as its format holds it, 0 where the case does not say."""
    if getattr(case.variant, "hidden", None) is Hidden.NAN:
        return 0.0
    return float(FORMATS[case.dtype].numpy.type(case.fill.level or 0.0))


def _inexact_square(case: Case) -> bool:
    """Whether the level's significand takes more than half of the bits: its square rounds."""
    numerator, _ = _level(case).as_integer_ratio()
    significand = numerator // (numerator & -numerator) if numerator else 0
    return _trains(case) and significand**2 * FORMATS[case.dtype].unit_roundoff > 1


def _subnormal(case: Case) -> bool:
    return _trains(case) and 0 < _level(case) < FORMATS[case.dtype].smallest_normal


def _large(case: Case) -> bool:
    large = FORMATS[case.dtype].numpy.type(large_level(case.dtype))
    return _trains(case) and _level(case) == float(large)


def _small(case: Case) -> bool:
    small = FORMATS[case.dtype].numpy.type(small_level(case.dtype))
    return _trains(case) and _level(case) == float(small)


def _precision(dtype: DType) -> Corner:
    """Cases in which results of the next lower precision would be beyond their bounds."""
    return lambda case: (
        _trains(case)
        and case.dtype is dtype
        and case.variant == PLAIN
        and not case.half_parameters
        and case.fill.kind in (FillKind.NORMAL, FillKind.OFFSET, FillKind.HUGE)
        and case.fill.offset <= _NEAR
        and min(map(case.count, case.step_shapes)) >= _FEWEST
        and max(map(case.count, case.step_shapes)) <= _MOST
        and min(map(math.prod, case.step_shapes)) >= _ELEMENTS
    )


# Sizes and steps.


def _no_positions(case: Case) -> bool:
    return case.shape[0] > 0 and case.count(case.shape) == 0


def _large_reduction(layout: Layout) -> Corner:
    return lambda case: case.count(case.shape) >= LARGE_COUNT and case.layout is layout


# Masks.


def _masked(case: Case) -> bool:
    return case.variant.kind is VariantKind.MASKED


def _broadcasts(case: Case) -> bool:
    by_sample = getattr(case.variant, "by_sample", False)
    return by_sample and case.count(case.shape) > case.shape[0] > 1


CORNERS: Mapping[str, Corner] = {
    "rank 2": lambda case: case.rank == 2,
    "rank 3": lambda case: case.rank == 3,
    "rank 4": lambda case: case.rank == 4,
    "rank 5": lambda case: case.rank == 5,
    "empty batch": lambda case: case.shape[0] == 0,
    "no spatial positions": _no_positions,
    "no channels": lambda case: 0 in case.feature_shape,
    "batch of one": lambda case: _trains(case) and case.shape[0] == 1,
    "batch of two": lambda case: _trains(case) and case.shape[0] == 2,
    "one value per channel": lambda case: case.smallest_count == 1,
    "two values per channel": lambda case: case.smallest_count == 2,
    "one channel": lambda case: math.prod(case.feature_shape) == 1,
    "smaller last batch": lambda case: case.last_batch < case.shape[0],
    "one step": lambda case: _trains(case) and case.steps == 1,
    "several steps": lambda case: case.steps > 1,
    "ten steps": lambda case: case.steps == 10,
    "a hundred steps": lambda case: case.steps == 100,
    "two feature axes": lambda case: len(case.feature_axes) > 1,
    "negative axis": lambda case: any(axis < 0 for axis in case.feature_axes),
    "batch axis as feature axis": lambda case: 0 in case.channel_axes,
    "layouts differ": lambda case: _laid_out(case) and case.layout is not case.upstream_layout,
    **{
        f"layouts: {layout} input, {upstream} gradient": _pair(layout, upstream)
        for layout, upstream in product(Layout, Layout)
    },
    "no scale": lambda case: not case.scale,
    "no center": lambda case: not case.center,
    "cumulative average": lambda case: case.mode is Mode.TRAIN and case.decay is None,
    "inference": lambda case: case.mode is Mode.INFERENCE,
    "frozen": lambda case: case.mode is Mode.FROZEN,
    "epsilon below 1e-6": lambda case: case.epsilon < 1e-6,
    "uneven upstream gradient, gamma not 1": _uneven_upstream,
    "upstream gradient: output unused": _upstream(Upstream.UNUSED),
    "upstream gradient: one element used": _upstream(Upstream.SINGLE),
    "upstream gradient: uniform": _upstream(Upstream.UNIFORM),
    "upstream gradient: the input's own buffer": _upstream(Upstream.INPUT),
    "the same buffers at every call": lambda case: _trains(case) and case.same_inputs,
    **{f"mean / deviation of {ratio:g}": _offset(ratio) for ratio in OFFSETS_NAMED},
    "mean / deviation of 1e3 and more": lambda case: case.fill.offset >= 1e3,
    "constant: square inexact": _inexact_square,
    "constant: subnormal": _subnormal,
    "constant: large": _large,
    "constant: normal, its square not": _small,
    **{f"{dtype}": _has("dtype", dtype) for dtype in DType},
    **{f"effective precision of {dtype}": _precision(dtype) for dtype in DType},
    **{f"{layout} input": _has("layout", layout) for layout in Layout},
    **{f"fill: {kind}": _fills(kind) for kind in FillKind},
    **{f"variant: {kind}": _of_kind(kind) for kind in VariantKind},
    "parameters in half precision": lambda case: case.half_parameters,
    "uneven replicas": lambda case: getattr(case.variant, "uneven", False),
    "mask that hides NaN": lambda case: getattr(case.variant, "hidden", None) is Hidden.NAN,
    "mask that keeps nothing": lambda case: getattr(case.variant, "nothing", False),
    "mask that broadcasts": _broadcasts,
    "mask, features not on the last axis": lambda case: (
        _masked(case) and case.channel_axes[-1] != case.rank - 1
    ),
    "mask, one channel": lambda case: _masked(case) and math.prod(case.feature_shape) == 1,
    "correction clipped": lambda case: getattr(case.variant, "d_max", None) is not None,
    **{f"large reduction, {layout}": _large_reduction(layout) for layout in Layout},
}
"""A name, and whether a case lies there."""

NOT_IN_QUICK = frozenset(f"large reduction, {layout}" for layout in Layout)
"""Corners that only the profiles 'nightly' and 'deep' look at, as they cost seconds a case."""


MALFORMED_CALLS = "malformed calls"
EXPERIMENTS = "experiments"
SECOND_ORDER = "gradients of gradients"
FORWARD_OVER_REVERSE = "forward over reverse gradients"
REVERSE_OVER_FORWARD = "reverse over forward gradients"
VECTORIZED_REVERSE = "gradients of vectorized gradients"
CONVERSION = "conversion and export, there and back"
INPUTS_KEPT = "inputs compared with what they were before"
RUN_AGAIN = "the same case from a fresh layer, bits compared"

BESIDES = (
    INPUTS_KEPT,
    RUN_AGAIN,
    MALFORMED_CALLS,
    EXPERIMENTS,
    SECOND_ORDER,
    FORWARD_OVER_REVERSE,
    REVERSE_OVER_FORWARD,
    VECTORIZED_REVERSE,
    CONVERSION,
)
"""What no property of a case tells, by name; a report counts these by its records instead."""


def corners_of(case: Case) -> tuple[str, ...]:
    """Names of the corners that ``case`` lies in."""
    return tuple(name for name, holds in CORNERS.items() if holds(case))
