"""The space of cases: one description, drawn from by campaigns and by Hypothesis alike.

``draw_signature`` and ``draw_case`` take their decisions from a :class:`Choices`, so that a
campaign (``plan.py``, a fixed stream, the same on every machine) and the property tests
(``strategies.py``, which shrink) explore the same space. Options are listed simplest first, which
is what Hypothesis shrinks towards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ..case import Case, Fill, FillKind, Layout, Mode, Upstream
from ..formats import DType
from ..variant import (
    PLAIN,
    Adjusted,
    FixedGamma,
    Ghost,
    Hidden,
    Masked,
    Renorm,
    Synchronized,
    Untracked,
    Variant,
    Weighted,
)
from .levels import levels

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
UPSTREAMS = (
    *(Upstream.ORDINARY,) * 8,
    Upstream.UNUSED,
    Upstream.SINGLE,
    Upstream.UNIFORM,
    Upstream.INPUT,
)


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
    """What a signature must be; None leaves it to chance.

    ``shape`` is taken as it is, and may be larger than any that is drawn. With ``no_single`` no
    axis has size 1, so that a layout is really another one. The last four are about its cases:
    ``kinds`` of fills to choose from, the ``upstream`` gradient, ``same_inputs``, and the ``most``
    cases that a campaign may spend on it.
    """

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
    half_parameters: bool | None = None
    variant: Variant | None = None
    shape: tuple[int, ...] | None = None
    last_batch: int | None = None
    no_single: bool = False
    kinds: tuple[FillKind, ...] | None = None
    upstream: Upstream | None = None
    same_inputs: bool | None = None
    most: int | None = None


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
    half_parameters: bool
    variant: Variant


def draw_signature(choices: Choices, demand: Demand | None = None) -> Signature:
    """A signature that meets ``demand``; what it leaves open is drawn."""
    want = demand or Demand()
    rank = want.rank or choices.pick(RANKS)
    axes = want.feature_axes or _draw_axes(choices, rank)
    mode = want.mode or choices.pick(MODES)
    batch_is_feature = 0 in {axis % rank for axis in axes}
    shape = want.shape or _draw_shape(choices, rank, axes, want)
    steps = want.steps or choices.pick((1, 2, 3, 4, 1, 2, 3, 4, 10))
    if mode is not Mode.TRAIN or 0 in shape:
        steps = 1
    last_batch = shape[0]
    if want.last_batch is not None:
        last_batch = want.last_batch
    elif steps > 1 and not batch_is_feature and shape[0] > 1:
        last_batch = _draw_last_batch(choices, shape[0], powers=bool(want.powers_of_two))
    scale, center = want.affine or choices.pick(_AFFINE)
    layout, upstream_layout = want.layouts or (choices.pick(LAYOUTS), choices.pick(LAYOUTS))
    dtype = want.dtype or choices.pick(DTYPES)
    half_parameters = want.half_parameters
    if half_parameters is None:
        half_parameters = dtype in _HALVES and choices.pick((False, False, True))
    variant = want.variant
    if variant is None:
        batches = {shape[0], last_batch} if steps > 1 else {last_batch}
        offered = _variants(shape, batches, axes, mode, scale=scale)
        variant = choices.pick((*(PLAIN,) * (2 * len(offered)), *offered))
    return Signature(
        shape=shape,
        last_batch=last_batch,
        feature_axes=axes,
        dtype=dtype,
        layout=layout,
        upstream_layout=upstream_layout,
        center=center,
        scale=scale,
        mode=mode,
        steps=steps,
        half_parameters=half_parameters,
        variant=variant,
    )


_HALVES = (DType.FLOAT16, DType.BFLOAT16)


def _variants(
    shape: tuple[int, ...],
    batches: set[int],
    axes: tuple[int, ...],
    mode: Mode,
    *,
    scale: bool,
) -> list[Variant]:
    """The variants that a signature can have; PLAIN always comes first."""
    if 0 in shape or mode is Mode.FROZEN:
        return [PLAIN]
    if mode is Mode.INFERENCE:
        return [PLAIN, Untracked()]
    found: list[Variant] = [
        PLAIN,
        *RENORMS,
        Masked(hidden=Hidden.ORDINARY),
        Masked(hidden=Hidden.NAN),
        Masked(hidden=Hidden.ORDINARY, everything=True),
        Weighted(),
        Untracked(),
    ]
    if scale:
        found.append(FixedGamma())
    if 0 in {axis % len(shape) for axis in axes}:
        return found
    found += [
        Masked(hidden=Hidden.ORDINARY, by_sample=True),
        Masked(hidden=Hidden.ORDINARY, nothing=True),
    ]
    found += [Adjusted(per_sample=True), Adjusted(per_sample=False)]
    common = math.gcd(*batches)
    found += [Ghost(size=size) for size in (2, 3, 4) if common % size == 0]
    if common % 2 == 0:
        found.append(Synchronized(replicas=2, uneven=False))
    if min(batches) >= _UNEVEN_SHARES:
        found.append(Synchronized(replicas=2, uneven=True))
    return found


RENORMS = (
    Renorm(r_min=None, r_max=None, d_max=None, decay=0.9),
    Renorm(r_min=0.75, r_max=1.5, d_max=0.5, decay=0.5),
    Renorm(r_min=None, r_max=3.0, d_max=5.0, decay=0.99),
)
_UNEVEN_SHARES = 3
"""Samples that two replicas with shares of 1 : 2 need."""

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
    batches: Sequence[int] = (4, 2, 8, 16, 1) if powers else (3, 5, 2, 7, 12, 32)
    inners: Sequence[int] = (2, 4, 1, 8) if powers else (3, 1, 5, 2, 7)
    channels: Sequence[int] = (3, 2, 1, 5, 8)
    if want.no_single:
        batches, inners, channels = map(_above_one, (batches, inners, channels))
    sizes: list[int] = []
    for axis in range(rank):
        if axis in features:
            sizes.append(_draw_size(choices, channels, want.channels, want))
        elif axis == 0:
            sizes.append(_draw_size(choices, batches, want.batch, want))
        else:
            sizes.append(_draw_size(choices, inners, want.inner, want))
    return _within_limit(sizes, features)


def _above_one(sizes: Sequence[int]) -> Sequence[int]:
    return [size for size in sizes if size > 1]


_SELDOM = 39
"""Sizes for each that is 0 instead."""


def _draw_size(choices: Choices, sizes: Sequence[int], wanted: int | None, want: Demand) -> int:
    """The size that is wanted, or one of ``sizes``, or now and then 0 where no axes are wanted.

    Who asks for axes asks for values on them.
    """
    if wanted is not None:
        return wanted
    if want.feature_axes is not None:
        return choices.pick(sizes)
    # Both decisions are always drawn: were 0 the shorter draw, Hypothesis would shrink towards it.
    size = choices.pick(sizes)
    return 0 if choices.integer(0, _SELDOM) == _SELDOM else size


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
    *,
    demand: Demand | None = None,
    place: int | None = None,
) -> Case:
    """A case of ``signature``: its epsilon, decay and fill, of ``kind`` where that is possible.

    With ``scalars`` epsilon and decay are one of these pairs; the exact lane has its own decays.
    With a ``place`` the offset or the level is the one there in its list, not one by chance, so
    that a campaign comes by all of them.
    """
    want = demand or Demand()
    kinds = fill_kinds(signature)
    if want.kinds is not None:
        kinds = tuple(each for each in want.kinds if each in kinds) or kinds
    kind = kind if kind in kinds else choices.pick(kinds)
    offset, level = 0.0, None
    if kind is FillKind.OFFSET:
        offset = _taken(choices, OFFSETS.get(signature.dtype, WIDE_OFFSETS), place)
    if kind is FillKind.CONSTANT:
        fraction, exponent = choices.integer(0, 2**23 - 1), choices.integer(-8, 8)
        level = _taken(choices, levels(signature.dtype, fraction, exponent), place)
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
        half_parameters=signature.half_parameters,
        variant=signature.variant,
        fill=Fill(kind=kind, seed=choices.integer(0, 2**32 - 1), offset=offset, level=level),
        upstream=_draw_upstream(choices, signature, kind)
        if want.upstream is None
        else want.upstream,
        same_inputs=_draw_same_inputs(choices, signature, want),
    )


def _taken(choices: Choices, options: Sequence[T], place: int | None) -> T:
    """The option at ``place``, counted round and round, or any."""
    return choices.pick(options) if place is None else options[place % len(options)]


def _draw_upstream(choices: Choices, signature: Signature, kind: FillKind) -> Upstream:
    """An upstream gradient; the input itself only where that is an ordinary gradient."""
    found = choices.pick(UPSTREAMS)
    plain = signature.variant == PLAIN and not signature.half_parameters
    one_layout = signature.layout is signature.upstream_layout
    finite = kind not in (FillKind.NAN, FillKind.INF)
    if found is Upstream.INPUT and not (plain and one_layout and finite):
        return Upstream.ORDINARY
    return found


def _draw_same_inputs(choices: Choices, signature: Signature, want: Demand) -> bool:
    """Now and then the same buffers for every call."""
    drawn = choices.pick((*(False,) * 7, True))
    possible = signature.mode is Mode.TRAIN and signature.last_batch == signature.shape[0]
    return possible and (drawn if want.same_inputs is None else want.same_inputs)


_PLACES = (FillKind.NORMAL, FillKind.OFFSET, FillKind.TINY, FillKind.HUGE)


def draw_scalars(choices: Choices) -> tuple[float, float | None]:
    """An epsilon and a decay."""
    return choices.pick(EPSILONS), choices.pick(DECAYS)


_EXACT_STEPS = 4
"""Updates with decay 1/2 after which running statistics still are exact."""


def fill_kinds(signature: Signature) -> tuple[FillKind, ...]:
    """The kinds that make sense: the exact lane needs power-of-two counts at every step.

    An empty batch has no value to be extreme; its kind only places the running statistics.
    """
    if 0 in signature.shape:
        return _PLACES
    if signature.variant != PLAIN or signature.half_parameters:
        return _kinds_of_variant(signature.variant)
    features = {axis % len(signature.shape) for axis in signature.feature_axes}
    sizes = [math.prod(size for a, size in enumerate(signature.shape) if a not in features)]
    if 0 not in features:
        sizes.append(signature.last_batch)
    powers_of_two = all(size > 0 and size & (size - 1) == 0 for size in sizes)
    exact = powers_of_two and signature.steps <= _EXACT_STEPS
    return tuple(kind for kind in FillKind if exact or kind is not FillKind.EXACT)


def _kinds_of_variant(variant: Variant) -> tuple[FillKind, ...]:
    """No exact lane: variants take other sums; and one reason for NaN at a time."""
    unfit = {FillKind.EXACT}
    if isinstance(variant, Masked) and (variant.hidden is Hidden.NAN or variant.nothing):
        unfit |= {FillKind.NAN, FillKind.INF}
    return tuple(kind for kind in FillKind if kind not in unfit)
