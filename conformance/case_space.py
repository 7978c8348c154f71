"""The space of cases: one description, drawn from by campaigns and by Hypothesis alike.

``draw_signature`` and ``draw_case`` take their decisions from a :class:`Choices`, so that a
campaign (``plan.py``, a fixed stream, the same on every machine) and the property tests
(``strategies.py``, which shrink) explore the same space. Options are listed simplest first, which
is what Hypothesis shrinks towards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from .case import Case, Fill, FillKind, Layout, Mode
from .formats import DType

T = TypeVar("T")

MAX_ELEMENTS = 2048
"""Largest input: what matters is structure, and time is better spent on more cases."""

DTYPES = (DType.FLOAT32, DType.FLOAT32, DType.FLOAT32, DType.FLOAT64, DType.FLOAT16, DType.BFLOAT16)
RANKS = (2, 4, 3, 5)
MODES = (Mode.TRAIN, Mode.TRAIN, Mode.TRAIN, Mode.TRAIN, Mode.INFERENCE, Mode.FROZEN)
LAYOUTS = (Layout.CONTIGUOUS, Layout.CHANNELS_LAST, Layout.STRIDED)
EPSILONS = (1e-3, 1e-5, 1.001e-5, 1e-7, 1e-12, 0.1)
DECAYS = (0.9, 0.5, 0.99, 0.999, 0.0, 1.0, None)
OFFSETS = {DType.FLOAT16: (10.0, 100.0, 1e3), DType.BFLOAT16: (10.0, 100.0, 1e3)}
WIDE_OFFSETS = (10.0, 100.0, 300.0, 1e3, 3e3, 1e4, 1e5, 1e6)


class Choices(Protocol):
    """Where decisions come from."""

    def pick(self, options: Sequence[T]) -> T:
        """One of ``options``."""
        ...

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a signature must be; None leaves it to chance."""

    rank: int | None = None
    feature_axes: tuple[int, ...] | None = None
    batch: int | None = None
    inner: int | None = None
    channels: int | None = None
    dtype: DType | None = None
    layouts: tuple[Layout, Layout] | None = None
    affine: tuple[bool, bool] | None = None
    mode: Mode | None = None
    steps: int | None = None
    powers_of_two: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The static part of a case: all fields that a compiler specializes on."""

    shape: tuple[int, ...]
    last_batch: int
    feature_axes: tuple[int, ...]
    dtype: DType
    layout: Layout
    upstream_layout: Layout
    center: bool
    scale: bool
    mode: Mode
    steps: int


def draw_signature(choices: Choices, demand: Demand | None = None) -> Signature:
    """A signature that meets ``demand``; what it leaves open is drawn."""
    want = demand or Demand()
    rank = want.rank or choices.pick(RANKS)
    axes = want.feature_axes or _draw_axes(choices, rank)
    mode = want.mode or choices.pick(MODES)
    batch_is_feature = 0 in {axis % rank for axis in axes}
    shape = _draw_shape(choices, rank, axes, want)
    steps = want.steps or choices.pick((1, 2, 3, 4))
    if mode is not Mode.TRAIN or 0 in shape:
        steps = 1
    last_batch = shape[0]
    if steps > 1 and not batch_is_feature and shape[0] > 1:
        last_batch = _draw_last_batch(choices, shape[0], powers=bool(want.powers_of_two))
    scale, center = want.affine or choices.pick(_AFFINE)
    layout, upstream_layout = want.layouts or (choices.pick(LAYOUTS), choices.pick(LAYOUTS))
    return Signature(
        shape=shape,
        last_batch=last_batch,
        feature_axes=axes,
        dtype=want.dtype or choices.pick(DTYPES),
        layout=layout,
        upstream_layout=upstream_layout,
        center=center,
        scale=scale,
        mode=mode,
        steps=steps,
    )


_AFFINE = ((True, True), (True, True), (True, True), (True, False), (False, True), (False, False))


def _draw_axes(choices: Choices, rank: int) -> tuple[int, ...]:
    """Mostly axis 1 or the last, as layers are used; sometimes any axis, or two."""
    style = choices.pick(("channel", "channel", "last", "last", "any", "set"))
    if style == "channel":
        return (1,)
    if style == "last":
        return (-1,)
    if style == "any" or rank < 3:
        return (choices.integer(-rank, rank - 1),)
    first = choices.integer(1, rank - 2)
    return (first, choices.integer(first + 1, rank - 1))


def _draw_shape(
    choices: Choices, rank: int, axes: tuple[int, ...], want: Demand
) -> tuple[int, ...]:
    """Sizes by role; the reduced sizes are powers of two when asked or by chance."""
    features = {axis % rank for axis in axes}
    powers = want.powers_of_two
    if powers is None:
        powers = choices.pick((False, True))
    batches = (4, 2, 8, 16, 1) if powers else (3, 5, 2, 7, 12, 32)
    inners = (2, 4, 1, 8) if powers else (3, 1, 5, 2, 7)
    sizes = []
    for axis in range(rank):
        if axis in features:
            size = choices.pick((3, 2, 1, 5, 8)) if want.channels is None else want.channels
        elif axis == 0:
            size = _draw_batch(choices, batches) if want.batch is None else want.batch
        else:
            size = choices.pick(inners) if want.inner is None else want.inner
        sizes.append(size)
    return _within_limit(sizes, features)


def _draw_batch(choices: Choices, batches: Sequence[int]) -> int:
    """A batch size; now and then an empty batch."""
    # Both decisions are always drawn: were an empty batch the shorter draw, Hypothesis would
    # shrink towards it.
    size = choices.pick(batches)
    return 0 if choices.integer(0, 24) == 24 else size


def _within_limit(sizes: list[int], features: set[int]) -> tuple[int, ...]:
    """Halve the largest reduced size until the input has at most MAX_ELEMENTS."""
    while math.prod(sizes) > MAX_ELEMENTS:
        axis = max(set(range(len(sizes))) - features, key=lambda a: sizes[a])
        sizes[axis] //= 2
    return tuple(sizes)


def _draw_last_batch(choices: Choices, batch: int, *, powers: bool) -> int:
    """Size of the last batch: as a rule smaller than the others."""
    if powers or batch & (batch - 1) == 0:
        smaller: list[int] = [1 << k for k in range(batch.bit_length()) if 1 << k < batch]
        return choices.pick([*reversed(smaller), batch])
    return choices.pick([batch - 1, 1, batch // 2, batch])


def draw_case(
    choices: Choices,
    signature: Signature,
    kind: FillKind | None = None,
    scalars: Sequence[tuple[float, float | None]] | None = None,
) -> Case:
    """A case of ``signature``: its epsilon, decay and fill, of ``kind`` where that is possible.

    With ``scalars`` epsilon and decay are one of these pairs; the exact lane has its own decays.
    """
    kinds = fill_kinds(signature)
    kind = kind if kind in kinds else choices.pick(kinds)
    offset = 0.0
    if kind is FillKind.OFFSET:
        offset = choices.pick(OFFSETS.get(signature.dtype, WIDE_OFFSETS))
    epsilon, decay = choices.pick(scalars) if scalars else draw_scalars(choices)
    if kind is FillKind.EXACT:
        decay = choices.pick((0.5, 0.0, 1.0))
    return Case(
        shape=signature.shape,
        last_batch=signature.last_batch,
        feature_axes=signature.feature_axes,
        dtype=signature.dtype,
        layout=signature.layout,
        upstream_layout=signature.upstream_layout,
        center=signature.center,
        scale=signature.scale,
        mode=signature.mode,
        steps=signature.steps,
        epsilon=epsilon,
        decay=decay,
        fill=Fill(kind=kind, seed=choices.integer(0, 2**32 - 1), offset=offset),
    )


_PLACES = (FillKind.NORMAL, FillKind.OFFSET, FillKind.TINY, FillKind.HUGE)


def draw_scalars(choices: Choices) -> tuple[float, float | None]:
    """An epsilon and a decay."""
    return choices.pick(EPSILONS), choices.pick(DECAYS)


def fill_kinds(signature: Signature) -> tuple[FillKind, ...]:
    """The kinds that make sense: the exact lane needs power-of-two counts at every step.

    An empty batch has no value to be extreme; its kind only places the running statistics.
    """
    if 0 in signature.shape:
        return _PLACES
    reduced = [
        size
        for axis, size in enumerate(signature.shape)
        if axis not in {a % len(signature.shape) for a in signature.feature_axes}
    ]
    sizes = [math.prod(reduced), signature.last_batch]
    if all(size > 0 and size & (size - 1) == 0 for size in sizes):
        return tuple(FillKind)
    batch_is_feature = 0 in {a % len(signature.shape) for a in signature.feature_axes}
    if batch_is_feature and math.prod(reduced) & (math.prod(reduced) - 1) == 0:
        return tuple(FillKind)
    return tuple(kind for kind in FillKind if kind is not FillKind.EXACT)


DEMANDS: Mapping[str, Demand] = {
    "image, channels first": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=3,
                                    dtype=DType.FLOAT32, affine=(True, True)),
    "image, channels last": Demand(rank=4, feature_axes=(-1,), mode=Mode.TRAIN, steps=3,
                                   dtype=DType.FLOAT32, affine=(True, True)),
    "matrix": Demand(rank=2, feature_axes=(1,), mode=Mode.TRAIN, steps=4, dtype=DType.FLOAT32),
    "exact lane, image": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=2,
                                dtype=DType.FLOAT32, powers_of_two=True),
    "exact lane, matrix": Demand(rank=2, feature_axes=(-1,), mode=Mode.TRAIN, steps=2,
                                 dtype=DType.FLOAT32, powers_of_two=True),
    "inference, image": Demand(rank=4, feature_axes=(1,), mode=Mode.INFERENCE,
                               dtype=DType.FLOAT32),
    "inference, matrix": Demand(rank=2, feature_axes=(-1,), mode=Mode.INFERENCE,
                                dtype=DType.FLOAT32),
    "frozen, image": Demand(rank=4, feature_axes=(-1,), mode=Mode.FROZEN, dtype=DType.FLOAT32),
    "frozen, matrix": Demand(rank=2, feature_axes=(1,), mode=Mode.FROZEN, dtype=DType.FLOAT32),
    "one value per channel": Demand(rank=2, feature_axes=(1,), batch=1, mode=Mode.TRAIN, steps=1,
                                    dtype=DType.FLOAT32),
    "one value per channel, image": Demand(rank=4, feature_axes=(-1,), batch=1, inner=1,
                                           mode=Mode.TRAIN, steps=2, dtype=DType.FLOAT32),
    "two values per channel": Demand(rank=2, feature_axes=(1,), batch=2, mode=Mode.TRAIN, steps=1,
                                     dtype=DType.FLOAT32),
    "empty batch": Demand(rank=4, feature_axes=(1,), batch=0, mode=Mode.TRAIN, steps=1,
                          dtype=DType.FLOAT32),
    "empty batch, matrix": Demand(rank=2, feature_axes=(-1,), batch=0, mode=Mode.TRAIN, steps=1,
                                  dtype=DType.FLOAT32),
    "float64, image": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=2,
                             dtype=DType.FLOAT64),
    "float64, matrix": Demand(rank=2, feature_axes=(-1,), mode=Mode.TRAIN, steps=2,
                              dtype=DType.FLOAT64),
    "float16, image": Demand(rank=4, feature_axes=(-1,), mode=Mode.TRAIN, steps=2,
                             dtype=DType.FLOAT16),
    "bfloat16, image": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=2,
                              dtype=DType.BFLOAT16),
    "sequence": Demand(rank=3, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32),
    "volume": Demand(rank=5, feature_axes=(-1,), mode=Mode.TRAIN, dtype=DType.FLOAT32),
    "two feature axes": Demand(rank=4, feature_axes=(1, 3), mode=Mode.TRAIN, dtype=DType.FLOAT32),
    "batch axis as feature axis": Demand(rank=2, feature_axes=(0,), mode=Mode.TRAIN,
                                         dtype=DType.FLOAT32),
    "layouts differ": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                             layouts=(Layout.CHANNELS_LAST, Layout.CONTIGUOUS)),
    "strided": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                      layouts=(Layout.STRIDED, Layout.CHANNELS_LAST)),
    "neither scale nor center": Demand(mode=Mode.TRAIN, affine=(False, False), rank=4,
                                       feature_axes=(1,), dtype=DType.FLOAT32),
    "one channel": Demand(rank=4, feature_axes=(1,), channels=1, mode=Mode.TRAIN,
                          dtype=DType.FLOAT32),
}  # fmt: skip
"""Signatures that every campaign holds before it draws any by chance."""


def _has(field: str, value: object) -> Callable[[Case], bool]:
    return lambda case: getattr(case, field) is value


def _fills(kind: FillKind) -> Callable[[Case], bool]:
    return lambda case: case.fill.kind is kind


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
}
"""Named regions of the space, so that "never looked" is visible in a report."""


def corners_of(case: Case) -> tuple[str, ...]:
    """Names of the corners that ``case`` lies in."""
    return tuple(name for name, holds in CORNERS.items() if holds(case))
