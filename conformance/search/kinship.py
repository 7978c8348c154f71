"""Which sightings a shrunk case accounts for, so that no second cause hides behind a first.

Two causes can share a signature: ``y`` may be wrong for a small epsilon and, elsewhere, for
images. What a shrunk case has kept is what its cause needs; a sighting that lacks some of it must
have another cause, and is shrunk by itself. One that has all of it is taken for the same: if two
causes need the same, or one is always there, they are told apart only when the first is mended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..case import Case, FillKind, Layout, Mode
from ..formats import DType
from ..variant import PLAIN
from .simplicity import PLAIN_DECAY, PLAIN_EPSILON, REQUESTS, epsilon_distance

_ORDINARY_FILLS = (FillKind.EXACT, FillKind.NORMAL)


def accounts_for(shrunk: Case, case: Case, *, single: bool) -> bool:
    """Whether ``case`` has everything that ``shrunk`` could not do without.

    With ``single`` the shrunk case needs the one value per channel that it has.
    """
    if single and case.smallest_count != 1:
        return False
    if (shrunk.smallest_count == 0) != (case.smallest_count == 0):
        return False
    kept, there = dict(_kinds(shrunk)), dict(_kinds(case))
    if any(there.get(name) != value for name, value in kept.items()):
        return False
    return all(least <= found for least, found in zip(_sizes(shrunk), _sizes(case), strict=True))


def with_two_values(shrunk: Case) -> Case | None:
    """The same case with two samples in place of one; None where it has not one value a channel."""
    if shrunk.smallest_count != 1 or shrunk.mode is not Mode.TRAIN or 0 in shrunk.channel_axes:
        return None
    return replace(shrunk, shape=(2, *shrunk.shape[1:]), last_batch=2)


def _kinds(case: Case) -> Iterator[tuple[str, Any]]:
    """What is not plain about ``case``, but for sizes; of epsilon and decay only on which side.

    Which value they have says less: a cause that needs a small epsilon shows for several.
    """
    told: dict[str, tuple[Any, bool]] = {
        "mode": (case.mode, case.mode is Mode.INFERENCE),
        "dtype": (case.dtype, case.dtype is DType.FLOAT32),
        "variant": (case.variant.kind, case.variant == PLAIN),
        "half_parameters": (True, not case.half_parameters),
        "layout": (case.layout, case.layout is Layout.CONTIGUOUS),
        "upstream_layout": (case.upstream_layout, case.upstream_layout is Layout.CONTIGUOUS),
        "scale": (True, not case.scale),
        "center": (True, not case.center),
        "last_batch": (True, case.last_batch == case.shape[0]),
        "batch is a feature": (True, 0 not in case.channel_axes),
        "epsilon": (case.epsilon < PLAIN_EPSILON, case.epsilon == PLAIN_EPSILON),
        "decay": (
            None if case.decay is None else case.decay < PLAIN_DECAY,
            case.decay == PLAIN_DECAY or case.mode is not Mode.TRAIN,
        ),
        "fill": (case.fill.kind, case.fill.kind in _ORDINARY_FILLS),
        **{name: (getattr(case, name), getattr(case, name) == REQUESTS[name]) for name in REQUESTS},
    }
    return ((name, value) for name, (value, plain) in told.items() if not plain)


def _sizes(case: Case) -> tuple[float, ...]:
    """Sizes of which a cause may need so many at least."""
    return (
        case.steps,
        case.rank,
        len(case.feature_axes),
        max(case.count(shape) for shape in case.step_shapes),
        max(case.feature_shape),
        case.fill.offset,
        epsilon_distance(case),
    )
