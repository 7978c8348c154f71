"""float64 arrays that pass for double-double ones: enough to judge what has half of their digits.

The equations of ``spec.py``, evaluated in float64 as they are written, are a two-pass
implementation whose accumulation has u = 2^-53: the bounds of ``bounds.py`` hold for it, too. Every
term of every bound is proportional to u, or to a higher power of it. So what these values lack is,
to first order, at most 2^-53 / 2^-24 = 2^-29 of the bound of a subject that accumulates in float32,
whose own algorithm and output format only add to that bound. ``benchmarks/closeness.py`` measures
it over the case space, under the conventions of every subject. ``DECIDED`` leaves a factor of 32;
where error / bound is closer to 1 than that, exact arithmetic decides, as it does for
double-double.

It is not enough where a bound is zero, as in the exact lane, nor for subjects that accumulate in
float64.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .summation import total


class Single(np.ndarray):
    """A float64 array with the face of a ``DoubleDouble``: ``hi`` is all of it."""

    DECIDED = 2.0**-24
    """How close to 1 error / bound may come before these values cannot tell the side."""

    def __new__(cls, values: npt.ArrayLike) -> Self:
        """``values`` as float64."""
        return np.asarray(values, np.float64).view(cls)

    def __array_wrap__(self, array: Any, *protocol: Any) -> Any:
        """An array even without dimensions, where NumPy would give a scalar."""
        del protocol
        return np.asarray(array).view(type(self))

    def sum(  # type: ignore[override]  # equations give no other arguments
        self, axis: tuple[int, ...], *, keepdims: bool = False
    ) -> Self:
        """Sum over the axes ``axis``: the same bits whatever stands beside the terms."""
        found = total(self.hi, axis)
        kept = [size for dim, size in enumerate(self.shape) if dim not in axis]
        return (found if keepdims else found.reshape(kept)).view(type(self))

    @property
    def hi(self) -> np.ndarray:
        """The values, as a plain array."""
        return self.view(np.ndarray)

    @property
    def lo(self) -> np.ndarray:
        """What is beyond float64: nothing is kept."""
        return np.zeros(self.shape)

    def to_float64(self) -> np.ndarray:
        """The values."""
        return self.hi
