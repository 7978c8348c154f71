"""Sums of float64 arrays whose bits depend on nothing but the terms."""

from __future__ import annotations

import math

import numpy as np

from .doubledouble import Float64


def total(values: Float64, axes: tuple[int, ...]) -> Float64:
    """sum(values) over ``axes``, which are kept with size 1, by halving.

    Adds in an order that depends on the number of terms alone, so that a bound has the same bits
    however the array lies in memory and whatever stands beside it; NumPy's own sum does not.
    """
    kept = [axis for axis in range(values.ndim) if axis not in axes]
    wide = [1 if axis in axes else size for axis, size in enumerate(values.shape)]
    count = math.prod(values.shape[axis] for axis in axes)
    if count == 0:
        return np.zeros(wide)
    terms = values.transpose((*axes, *kept)).reshape(count, math.prod(wide))
    while len(terms) > 1:
        half, last = divmod(len(terms), 2)
        pairs = terms[:half] + terms[half : 2 * half]
        if last:
            pairs[0] += terms[-1]
        terms = pairs
    return terms.reshape(wide)
