"""The constants that constant channels take: each is there for what it does to a sum of squares."""

from __future__ import annotations

import math

from ..formats import FORMATS, DType

ORDINARY_LEVELS = (0.1, 1 / 3, 0.7, 1e-3, 1000.1, 12345.678, 1.0, 0.0)
"""Values of everyday size; the squares of all but the last two are inexact in every format."""

MULTIPLES = 64
"""Channels that cases have at most, and thus the largest multiple of a level."""

_SUBNORMAL = {DType.FLOAT16: 3e-6, DType.BFLOAT16: 1e-39, DType.FLOAT32: 1e-40,
              DType.FLOAT64: 1e-310}  # fmt: skip
_LARGE = {DType.FLOAT16: 1e3, DType.BFLOAT16: 1e15, DType.FLOAT32: 1e15, DType.FLOAT64: 1e30}
_SMALL = {DType.FLOAT16: 2e-4, DType.BFLOAT16: 1e-25, DType.FLOAT32: 1e-25, DType.FLOAT64: 1e-200}


def subnormal_level(dtype: DType) -> float:
    """A value below the smallest normal one, which some hardware flushes to zero."""
    return _SUBNORMAL[dtype]


def large_level(dtype: DType) -> float:
    """A value so large that its rounding error exceeds any epsilon by far.

    Sums of squares of many of its multiples still are finite in float32 (for half precision, too,
    which is computed with in float32), so that no algorithm may overflow.
    """
    return _LARGE[dtype]


def small_level(dtype: DType) -> float:
    """A normal value whose square is not."""
    return _SMALL[dtype]


def levels(dtype: DType, fraction: int, exponent: int) -> tuple[float | None, ...]:
    """All that are taken in turn: None (the fill's own choice) first, then by size, then any.

    The last is the arbitrary (1 + ``fraction`` 2^-23) 2^``exponent``.
    """
    return (
        None,
        *(level for level in ORDINARY_LEVELS if MULTIPLES * level < FORMATS[dtype].largest),
        subnormal_level(dtype),
        large_level(dtype),
        small_level(dtype),
        math.ldexp(1 + fraction * 2.0**-23, exponent),
    )
