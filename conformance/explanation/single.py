"""float64 arrays that pass for double-double ones: enough to try alternatives with.

An explanation needs no more digits than the subject has; a float64 subject needs more than these.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..numbers.summation import total


class Single(np.ndarray):
    """A float64 array with the face of a ``DoubleDouble``: ``hi`` is all of it."""

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
