"""The cases that inference chooses from: small, with few signatures, each made to tell something.

Epsilon is so small against the variance that its handling, which is measured apart, plays no part
wherever a case is not about it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..case import Case, Fill, FillKind, Layout, Mode
from ..contract import Capabilities
from ..formats import DType
from ..variant import Ghost

CHANNELS = 3
EPSILONS = (0.0, 1e-12, 1e-8, 1e-5, 1e-3)
"""What a floor or a constant of the subject's own shows itself against."""

DECAYS = (0.9, 0.25)
"""Neither is what the other becomes if old and new value are swapped."""

_NO_EPSILON = 1e-8
_SEED = 2015


def main_dtype(capabilities: Capabilities) -> DType:
    """The format that most is asked in: float32 if it is offered."""
    order = (DType.FLOAT32, DType.FLOAT64, DType.FLOAT16, DType.BFLOAT16)
    return next(dtype for dtype in order if dtype in capabilities.dtypes)


def case_of(capabilities: Capabilities, *, count: int, fill: Fill | FillKind, **other: Any) -> Case:
    """A case with ``count`` values to each of a few channels, of the least rank that is offered.

    ``other`` are fields of the case that differ from one ordinary training step.
    """
    rank = min((rank for rank in capabilities.ranks if rank > 1), default=1)
    shape = (count, CHANNELS, *(1,) * (rank - 2)) if rank > 1 else (CHANNELS,)
    usual: dict[str, Any] = {
        "shape": shape,
        "last_batch": shape[0],
        "feature_axes": (1,) if rank > 1 else (0,),
        "dtype": main_dtype(capabilities),
        "layout": Layout.CONTIGUOUS,
        "upstream_layout": Layout.CONTIGUOUS,
        "center": True,
        "scale": True,
        "mode": Mode.TRAIN,
        "steps": 1,
        "epsilon": _NO_EPSILON,
        "decay": 0.25,
        "fill": fill if isinstance(fill, Fill) else Fill(kind=fill, seed=_SEED),
    }
    if rank == 1:
        # The only axis holds the channels: there is no batch to cut short.
        other.pop("last_batch", None)
    return Case(**{**usual, **other})


def epsilon_cases(capabilities: Capabilities, mode: Mode) -> list[Case]:
    """Values so small that epsilon decides the output, which has no other part."""
    cases = [
        case_of(
            capabilities,
            count=4,
            fill=FillKind.TINY,
            mode=mode,
            epsilon=epsilon,
            center=False,
            scale=False,
        )
        for epsilon in EPSILONS
    ]
    return [case for case in cases if capabilities.unsupported(case) is None]


def decay_cases(capabilities: Capabilities, steps: int) -> list[Case]:
    """Updates with different decays."""
    cases = [
        case_of(capabilities, count=4, fill=FillKind.NORMAL, steps=steps, decay=decay)
        for decay in DECAYS
    ]
    return [case for case in cases if capabilities.unsupported(case) is None]


def value_cases(capabilities: Capabilities) -> list[Case]:
    """Ordinary training: few values to a channel, so that Bessel's correction is large."""
    return [
        case_of(capabilities, count=4, fill=FillKind.NORMAL, steps=2),
        case_of(capabilities, count=6, fill=FillKind.NORMAL, steps=2, last_batch=5, decay=0.6),
        case_of(capabilities, count=2, fill=FillKind.NORMAL, decay=0.9),
    ]


def precision_cases(capabilities: Capabilities) -> list[Case]:
    """Where algorithms differ: exact sums, which only Welford's rounds; and large means."""
    exact = case_of(capabilities, count=64, fill=FillKind.EXACT, decay=0.5)
    large = [
        case_of(capabilities, count=8, fill=Fill(kind=FillKind.OFFSET, seed=seed, offset=offset))
        for seed, offset in ((_SEED, 3e3), (_SEED + 1, 1e3))
    ]
    other = replace(exact, fill=replace(exact.fill, seed=_SEED + 1))
    return [exact, *large, other]


def frozen_cases(capabilities: Capabilities) -> list[Case]:
    """A layer marked as not trainable, in training mode."""
    return [
        case_of(capabilities, count=count, fill=FillKind.NORMAL, mode=Mode.FROZEN)
        for count in (4, 8)
    ]


def half_cases(capabilities: Capabilities, *, large: bool) -> list[Case]:
    """Half-precision input, with parameters in float32 and where possible in half precision.

    ``large`` means lose most of their digits when they are rounded to half precision; else there
    are so many values that the terms of dx nearly cancel somewhere.
    """
    offset = Fill(kind=FillKind.OFFSET, seed=_SEED, offset=100.0)
    count, fill = (8, offset) if large else (64, Fill(kind=FillKind.NORMAL, seed=_SEED))
    return [
        case_of(
            capabilities,
            count=count,
            fill=fill,
            dtype=dtype,
            half_parameters=half_parameters,
        )
        for half_parameters in (False, True)
        for dtype in (DType.FLOAT16, DType.BFLOAT16)
    ]


def ghost_cases(capabilities: Capabilities) -> list[Case]:
    """Virtual batches, of which contiguous and interleaved ones hold different samples."""
    return [
        case_of(capabilities, count=count, fill=FillKind.NORMAL, variant=Ghost(size=size))
        for count, size in ((6, 3), (8, 2))
    ]


def one_value_cases(capabilities: Capabilities) -> list[Case]:
    """One value to a channel."""
    return [case_of(capabilities, count=1, fill=FillKind.NORMAL)]


def empty_cases(capabilities: Capabilities) -> list[Case]:
    """No value to a channel: from the start, and after a full batch."""
    return [
        case_of(capabilities, count=0, fill=FillKind.NORMAL),
        case_of(capabilities, count=4, fill=FillKind.NORMAL, steps=2, last_batch=0),
    ]
