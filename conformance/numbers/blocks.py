"""Large arrays block by block, so that what an expression needs on its way fits into a cache.

An expression of a dozen operations makes as many arrays. Where each is larger than the cache, they
cost more than the arithmetic, and all their memory at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

BLOCK = 2**14
"""Elements to a block."""

LARGE = 2**16
"""Elements from which on an array is taken in blocks."""


def blocks(shape: tuple[int, ...], axes: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Slices that cover an array of ``shape``, not empty, along the longest of ``axes``."""
    axis = max(axes, key=shape.__getitem__)
    longest = shape[axis]
    step = max(1, BLOCK * longest // math.prod(shape))
    before = (slice(None),) * axis
    return ((*before, slice(start, start + step)) for start in range(0, longest, step))


def by_element(
    function: Callable[..., Float64], *arrays: Float64, axes: tuple[int, ...]
) -> Float64:
    """``function(*arrays)`` of arrays of one shape, an element of which depends on no other one.

    Whatever else the function uses must have size 1 along ``axes``.
    """
    shape = arrays[0].shape
    if math.prod(shape) < LARGE:
        return function(*arrays)
    found = np.empty(shape)
    for where in blocks(shape, axes):
        found[where] = function(*(array[where] for array in arrays))
    return found
