"""Named regions of the case space, so that "never looked" is visible in a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from .case import Case, FillKind, Layout, Mode
from .formats import DType
from .variant import Hidden, VariantKind


def _has(field: str, value: object) -> Callable[[Case], bool]:
    return lambda case: getattr(case, field) is value


def _fills(kind: FillKind) -> Callable[[Case], bool]:
    return lambda case: case.fill.kind is kind


def _of_kind(kind: VariantKind) -> Callable[[Case], bool]:
    return lambda case: case.variant.kind is kind


CORNERS: Mapping[str, Callable[[Case], bool]] = {
    "rank 2": lambda case: case.rank == 2,
    "rank 3": lambda case: case.rank == 3,
    "rank 4": lambda case: case.rank == 4,
    "rank 5": lambda case: case.rank == 5,
    "empty batch": lambda case: case.smallest_count == 0,
    "one value per channel": lambda case: case.smallest_count == 1,
    "two values per channel": lambda case: case.smallest_count == 2,
    "one channel": lambda case: math.prod(case.feature_shape) == 1,
    "smaller last batch": lambda case: case.last_batch < case.shape[0],
    "several steps": lambda case: case.steps > 1,
    "two feature axes": lambda case: len(case.feature_axes) > 1,
    "negative axis": lambda case: any(axis < 0 for axis in case.feature_axes),
    "batch axis as feature axis": lambda case: 0 in case.channel_axes,
    "layouts differ": lambda case: case.layout is not case.upstream_layout,
    "no scale": lambda case: not case.scale,
    "no center": lambda case: not case.center,
    "cumulative average": lambda case: case.mode is Mode.TRAIN and case.decay is None,
    "inference": lambda case: case.mode is Mode.INFERENCE,
    "frozen": lambda case: case.mode is Mode.FROZEN,
    "epsilon below 1e-6": lambda case: case.epsilon < 1e-6,
    "mean / deviation of 1e3 and more": lambda case: case.fill.offset >= 1e3,
    **{f"{dtype}": _has("dtype", dtype) for dtype in DType},
    **{f"{layout} input": _has("layout", layout) for layout in Layout},
    **{f"fill: {kind}": _fills(kind) for kind in FillKind},
    **{f"variant: {kind}": _of_kind(kind) for kind in VariantKind},
    "parameters in half precision": lambda case: case.half_parameters,
    "uneven replicas": lambda case: getattr(case.variant, "uneven", False),
    "mask that hides NaN": lambda case: getattr(case.variant, "hidden", None) is Hidden.NAN,
    "correction clipped": lambda case: getattr(case.variant, "d_max", None) is not None,
}
"""A name, and whether a case lies there."""


def corners_of(case: Case) -> tuple[str, ...]:
    """Names of the corners that ``case`` lies in."""
    return tuple(name for name, holds in CORNERS.items() if holds(case))
