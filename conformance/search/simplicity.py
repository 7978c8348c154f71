"""Which of two cases is simpler, and the ways to make one simpler.

Every simplification gives simpler cases of one respect, the simplest first. Values cannot be
simplified one by one, because a case holds a fill and a seed instead of arrays: a simpler fill, a
smaller offset and a small seed are all that can be tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, replace
from typing import Any, TypeAlias

from ..case import Case, Fill, FillKind, InvalidCaseError, Layout, Mode
from ..cases.case_space import EPSILONS, WIDE_OFFSETS, Signature, fill_kinds
from ..formats import DType
from ..variant import PLAIN, Adjusted, Ghost, Hidden, Masked, Renorm, Synchronized, Variant

Simplification: TypeAlias = Callable[[Case], Iterator[Case]]

_MODES = (Mode.INFERENCE, Mode.TRAIN, Mode.FROZEN)
_DTYPES = (DType.FLOAT32, DType.FLOAT64, DType.FLOAT16, DType.BFLOAT16)
_SIZES = (1, 2, 3, 4)
_SEEDS = range(16)
PLAIN_EPSILON, PLAIN_DECAY = 1e-3, 0.5
# Small integers read best, then ordinary values; after them as fills.py lists them.
_KINDS = tuple(dict.fromkeys((FillKind.EXACT, FillKind.NORMAL, *FillKind)))

REQUESTS = {
    field.name: field.default
    for field in fields(Case)
    if field.default is not MISSING and field.name not in ("half_parameters", "variant")
}
"""What a case may ask for besides, with its plain value; so a new request is simplified too."""


def complexity(case: Case) -> tuple[float, ...]:
    """The order of cases from simple to complicated; compares lexicographically."""
    return (
        *_variant_complexity(case.variant),
        _MODES.index(case.mode),
        case.steps,
        case.last_batch != case.shape[0],
        case.rank,
        len(case.feature_axes),
        math.prod(case.shape),
        sum(case.shape),
        case.upstream_layout is not Layout.CONTIGUOUS,
        case.layout is not Layout.CONTIGUOUS,
        case.half_parameters,
        sum(getattr(case, name) != plain for name, plain in REQUESTS.items()),
        _DTYPES.index(case.dtype),
        case.scale + case.center,
        epsilon_distance(case),
        case.decay != PLAIN_DECAY,
        _KINDS.index(case.fill.kind),
        case.fill != Fill(kind=case.fill.kind, seed=case.fill.seed, offset=case.fill.offset),
        case.fill.offset,
        case.feature_axes != _first_axes(case),
        case.fill.seed,
    )


def epsilon_distance(case: Case) -> float:
    """How many decades epsilon is away from the plain one."""
    return abs(math.log10(case.epsilon / PLAIN_EPSILON)) if case.epsilon else math.inf


def simpler(move: Simplification, case: Case) -> Iterator[Case]:
    """What ``move`` makes of ``case``: only what is really simpler, so that shrinking ends."""
    limit = complexity(case)
    return (candidate for candidate in move(case) if complexity(candidate) < limit)


def _variant_complexity(variant: Variant) -> tuple[float, ...]:
    asked = {name: value for name, value in vars(variant).items() if name != "kind"}
    numbers = [
        value if isinstance(value, (bool, int)) else value is not None for value in asked.values()
    ]
    hides_nan = isinstance(variant, Masked) and variant.hidden is Hidden.NAN
    return variant != PLAIN, hides_nan, sum(numbers), asked.get("decay", PLAIN_DECAY) != PLAIN_DECAY


def _valid(case: Case, **changes: Any) -> Iterator[Case]:
    """The changed case, or nothing where it would contradict itself or its fill."""
    try:
        changed = replace(case, **changes)
    except InvalidCaseError:
        return
    if changed.fill.kind in fill_kinds(_static(changed)) or changed.fill == case.fill:
        yield changed


def _static(case: Case) -> Signature:
    return Signature(**{field.name: getattr(case, field.name) for field in fields(Signature)})


def _first_axes(case: Case) -> tuple[int, ...]:
    """The feature axes as the simplest case has them: axis 1, or what comes next to it."""
    first = min(1, case.rank - 1)
    return tuple(range(first, first + len(case.feature_axes)))


def simpler_variant(case: Case) -> Iterator[Case]:
    """A plain case; else the plainest of its variant."""
    yield from _valid(case, variant=PLAIN)
    match case.variant:
        case Renorm():
            yield from _valid(
                case, variant=Renorm(r_min=None, r_max=None, d_max=None, decay=PLAIN_DECAY)
            )
        case Ghost(size=size):
            for smaller in range(1, size):
                yield from _valid(case, variant=Ghost(size=smaller))
        case Synchronized():
            yield from _valid(case, variant=Synchronized(replicas=2, uneven=False))
            yield from _valid(case, variant=Synchronized(replicas=2, uneven=True))
        case Masked():
            yield from _valid(case, variant=Masked(hidden=Hidden.ORDINARY))
        case Adjusted():
            yield from _valid(case, variant=Adjusted(per_sample=False))
        case _:
            return


def simpler_mode(case: Case) -> Iterator[Case]:
    """Inference before training, training before a frozen layer."""
    for mode in _MODES[: _MODES.index(case.mode)]:
        yield from _valid(case, mode=mode, steps=1, last_batch=case.shape[0])


def fewer_steps(case: Case) -> Iterator[Case]:
    """One training step, of a full batch or of the last one; else fewer."""
    full, last = case.shape[0], (case.last_batch, *case.shape[1:])
    for steps in range(1, case.steps):
        yield from _valid(case, steps=steps, last_batch=full)
        if case.last_batch != full:
            yield from _valid(case, steps=steps, shape=last)
            yield from _valid(case, steps=steps)


def equal_batches(case: Case) -> Iterator[Case]:
    """Every batch as large as the others, the smaller size first."""
    if case.last_batch != case.shape[0]:
        yield from _valid(case, shape=(case.last_batch, *case.shape[1:]))
        yield from _valid(case, last_batch=case.shape[0])


def fewer_axes(case: Case) -> Iterator[Case]:
    """A matrix of samples by channels, without or with the other positions; else an axis less."""
    inner = [axis for axis in case.reduction_axes if axis != 0]
    if inner and 0 not in case.channel_axes and len(case.channel_axes) == 1:
        channels, positions = case.feature_shape[0], math.prod(case.shape[a] for a in inner)
        for times in (1, positions):
            yield from _valid(
                case,
                shape=(case.shape[0] * times, channels),
                last_batch=case.last_batch * times,
                feature_axes=(1,),
            )
    for axis in inner if case.rank > 2 else ():
        yield from _without(case, axis)
    if len(case.channel_axes) > 1:
        for axis in case.channel_axes:
            if axis != 0:
                yield from _without(case, axis)


def _without(case: Case, axis: int) -> Iterator[Case]:
    shape = (*case.shape[:axis], *case.shape[axis + 1 :])
    kept = tuple(each - (each > axis) for each in case.channel_axes if each != axis)
    yield from _valid(case, shape=shape, feature_axes=kept)


def plain_axes(case: Case) -> Iterator[Case]:
    """Feature axes counted from the front, and moved to axis 1."""
    reduced = case.reduction_axes
    if reduced:
        order = [reduced[0], *case.channel_axes, *reduced[1:]]
        shape = tuple(case.shape[axis] for axis in order)
        last = shape[0] if 0 in case.channel_axes else case.last_batch
        yield from _valid(case, shape=shape, last_batch=last, feature_axes=_first_axes(case))
    yield from _valid(case, feature_axes=case.channel_axes)


def fewer_channels(case: Case) -> Iterator[Case]:
    """Smaller feature axes, all at once and one by one."""
    yield from _smaller(case, case.channel_axes)


def smaller_images(case: Case) -> Iterator[Case]:
    """Smaller axes between batch and channels, all at once and one by one."""
    yield from _smaller(case, tuple(axis for axis in case.reduction_axes if axis != 0))


def smaller_batches(case: Case) -> Iterator[Case]:
    """Fewer samples, with the last batch as it is where that is possible."""
    if 0 in case.channel_axes:
        return
    for size in _smaller_sizes(case.shape[0]):
        shape = (size, *case.shape[1:])
        if case.last_batch == case.shape[0]:
            yield from _valid(case, shape=shape, last_batch=size)
        else:
            yield from _valid(case, shape=shape)
            yield from _valid(case, shape=shape, last_batch=max(1, size // 2))
    if case.last_batch != case.shape[0]:
        for size in _smaller_sizes(case.last_batch):
            yield from _valid(case, last_batch=size)


def _smaller(case: Case, axes: tuple[int, ...]) -> Iterator[Case]:
    largest = max((case.shape[axis] for axis in axes), default=0)
    for size in _smaller_sizes(largest):
        yield from _resized(case, axes, size)
    for axis in axes if len(axes) > 1 else ():
        for size in _smaller_sizes(case.shape[axis]):
            yield from _resized(case, (axis,), size)


def _resized(case: Case, axes: tuple[int, ...], size: int) -> Iterator[Case]:
    shape = tuple(min(old, size) if axis in axes else old for axis, old in enumerate(case.shape))
    last = shape[0] if 0 in axes else case.last_batch
    yield from _valid(case, shape=shape, last_batch=last)


def _smaller_sizes(size: int) -> list[int]:
    """Sizes below ``size`` from small to large: the smallest, the half, one less."""
    return sorted({each for each in (*_SIZES, size // 2, size - 1) if 0 < each < size})


def plain_layouts(case: Case) -> Iterator[Case]:
    """Both arrays contiguous, or one of them."""
    straight = Layout.CONTIGUOUS
    yield from _valid(case, layout=straight, upstream_layout=straight)
    yield from _valid(case, upstream_layout=straight)
    yield from _valid(case, layout=straight)


def plain_requests(case: Case) -> Iterator[Case]:
    """Nothing asked for besides, or less."""
    yield from _valid(case, **REQUESTS)
    for name, plain in REQUESTS.items():
        yield from _valid(case, **{name: plain})


def plain_format(case: Case) -> Iterator[Case]:
    """A more ordinary format, float32 before all; full-precision parameters."""
    for dtype in _DTYPES[: _DTYPES.index(case.dtype)]:
        yield from _valid(case, dtype=dtype, half_parameters=False)
    yield from _valid(case, half_parameters=False)


def no_affine(case: Case) -> Iterator[Case]:
    """Neither gamma nor beta, or one of them."""
    yield from _valid(case, scale=False, center=False)
    yield from _valid(case, center=False)
    yield from _valid(case, scale=False)


def plain_epsilon(case: Case) -> Iterator[Case]:
    """Epsilon 1e-3, or one that is nearer to it on the same side."""
    side = [each for each in EPSILONS if (each < PLAIN_EPSILON) == (case.epsilon < PLAIN_EPSILON)]
    for epsilon in (PLAIN_EPSILON, *sorted(side, key=lambda each: abs(math.log10(each) + 3))):
        yield from _valid(case, epsilon=epsilon)


def plain_decay(case: Case) -> Iterator[Case]:
    """Decay 0.5."""
    yield from _valid(case, decay=PLAIN_DECAY)


def simpler_fill(case: Case) -> Iterator[Case]:
    """A simpler kind of values, with decay 0.5 where only the exact lane asks for it."""
    kept = Fill(kind=case.fill.kind, seed=case.fill.seed, offset=case.fill.offset)
    for kind in _KINDS[: _KINDS.index(case.fill.kind)]:
        offset = WIDE_OFFSETS[0] if kind is FillKind.OFFSET else 0.0
        fill = Fill(kind=kind, seed=case.fill.seed, offset=offset)
        decay = PLAIN_DECAY if kind is FillKind.EXACT else case.decay
        yield from _valid(case, fill=fill, decay=decay)
    yield from _valid(case, fill=kept)


def smaller_offset(case: Case) -> Iterator[Case]:
    """A smaller ratio of mean to deviation."""
    for offset in WIDE_OFFSETS:
        if 0 < offset < case.fill.offset:
            yield from _valid(case, fill=replace(case.fill, offset=offset))


def small_seed(case: Case) -> Iterator[Case]:
    """One of the first few seeds."""
    for seed in _SEEDS:
        if seed < case.fill.seed:
            yield from _valid(case, fill=replace(case.fill, seed=seed))


STRUCTURE: tuple[Simplification, ...] = (
    fewer_steps, equal_batches, fewer_axes, fewer_channels, smaller_images, smaller_batches,
    plain_axes, plain_layouts, plain_requests,
)  # fmt: skip
"""What changes the arrays' shapes, and with them the values that a seed gives."""

SCALARS: tuple[Simplification, ...] = (
    simpler_fill, smaller_offset, plain_epsilon, plain_decay, small_seed
)  # fmt: skip

CHARACTER: tuple[Simplification, ...] = (simpler_variant, simpler_mode, plain_format, no_affine)
"""What changes how the layer is asked."""

SIMPLIFICATIONS = (*CHARACTER, *STRUCTURE, *SCALARS)

TO_ANOTHER_CLAUSE: tuple[Simplification, ...] = (
    *CHARACTER, fewer_steps, equal_batches, plain_axes, simpler_fill, plain_decay
)  # fmt: skip
"""What may turn a divergence into evidence for a more ordinary clause; never smaller sizes, because
few values per channel are where other defects begin."""
