"""Scenes of conversion and export: a layer's settings and numbers, chosen to get lost on the way.

Parameters have as many significant bits as their format holds, so that a detour through a narrower
one shows. Initial statistics have a few less, for two updates with decay 3/4 and batches of small
integers to stay exact: what comes back, and what one more step makes of it, has a bound of 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..contract import Array
from ..formats import FORMATS, DType, Format

Row = tuple[float, ...]

_BITS = {DType.FLOAT16: 10, DType.BFLOAT16: 7, DType.FLOAT32: 23, DType.FLOAT64: 52}
"""Binary digits after the point of a parameter between 1 and 2."""

_BITS_OF_STATISTICS = {DType.FLOAT16: 3, DType.FLOAT32: 15, DType.FLOAT64: 44}
"""The same of an initial statistic: two updates need the rest, all that bfloat16 has."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One layer of three channels; names are suffixes of the arrays' names.

    ``gamma`` and ``beta`` are None without scale and center, ``decay`` None for a cumulative
    average, ``axis`` None for what the way's framework takes by default. Where ``trains`` is False
    the layer is only used in inference, because its training is rejected or not in question.
    ``fine`` lets numbers carry the last digits of their format.
    """

    name: str
    dtype: DType = DType.FLOAT32
    axis: int | None = None
    epsilon: float = 0.0625
    decay: float | None = 0.75
    gamma: Row | None = (1.5, -0.75, 0.25)
    beta: Row | None = (-1.25, 0.5, 3.0)
    mean: Row = (1.5, -2.0, 0.5)
    variance: Row = (1.0, 3.0, 0.5)
    tracked: bool = True
    trains: bool = True
    fine: bool = True

    @property
    def format(self) -> Format:
        """The format of input, parameters and statistics."""
        return FORMATS[self.dtype]

    def parameter(self, values: Row | None) -> Array | None:
        """``values`` with the last digit of the format added to each."""
        return None if values is None else self._array(values, _BITS[self.dtype])

    def statistic(self, values: Row) -> Array:
        """``values`` with the last digit added that two updates leave exact."""
        return self._array(values, _BITS_OF_STATISTICS.get(self.dtype))

    def _array(self, values: Row, bits: int | None) -> Array:
        exact = np.array(values)
        if self.fine and bits is not None:
            _, exponent = np.frexp(exact)
            exact = np.where(exact == 0, 0.0, exact + np.ldexp(1.0, exponent - 1 - bits))
        return exact.astype(self.format.numpy)

    def images(self, *rows: Row) -> Array:
        """One pixel a sample, features last."""
        return np.asarray(rows, self.format.numpy)[:, None, None, :]

    @property
    def x(self) -> Array:
        """What inference is asked; at least 1/2, so that no affine map before it cancels."""
        return self.images((1.0, 5.0, 0.5), (3.0, 2.0, 8.0))

    @property
    def first(self) -> Array:
        """The batch before the journey."""
        return self.images((1.0, 4.0, 1.0), (3.0, -4.0, 5.0))

    @property
    def second(self) -> Array:
        """The batch after it."""
        return self.images((-4.0, 2.0, 5.0), (0.0, 6.0, 3.0))


PLAIN = Scene(name="")
FLOAT64 = Scene(name="float64", dtype=DType.FLOAT64)
FLOAT16 = Scene(name="float16", dtype=DType.FLOAT16)
BFLOAT16 = Scene(name="bfloat16", dtype=DType.BFLOAT16)
AXIS_1 = Scene(name="axis_1", axis=1)
NO_AFFINE = Scene(name="no_affine", gamma=None, beta=None)
NO_SCALE = Scene(name="no_scale", gamma=None)
NO_CENTER = Scene(name="no_center", beta=None)
CUMULATIVE = Scene(name="cumulative", decay=None)
UNTRACKED = Scene(name="untracked", tracked=False, trains=False)
GAMMA = Scene(name="gamma", gamma=(0.0, -1.5, 2.0**-20))
"""Nothing, negative, and so small that 1 and it are alike."""
NO_VARIANCE = Scene(
    name="no_variance", variance=(0.0, 2.0**-32, 2.0**-10), epsilon=2.0**-30, trains=False
)
"""All of the deviation is epsilon's, and epsilon is below every floor."""
HALF_NO_VARIANCE = Scene(
    name="half_no_variance", dtype=DType.FLOAT16, gamma=(0.0625, -0.125, 0.25),
    variance=(0.0, 2.0**-20, 1.0), epsilon=2.0**-26, trains=False,
)  # fmt: skip
"""In float16, which does not hold epsilon, but the inverse of its root, 8192."""
NO_EPSILON = Scene(name="no_epsilon", epsilon=0.0, trains=False)
LARGE_EPSILON = Scene(name="large_epsilon", epsilon=1024.0)
TINY_EPSILON = Scene(
    name="tiny_epsilon", epsilon=2.0**-30, variance=(2.0**-28, 2.0**-20, 1.0), trains=False
)
EQUAL = Scene(
    name="equal", gamma=(1.0, 1.0, 1.0), beta=(0.0, 0.0, 0.0), mean=(0.0, 0.0, 0.0),
    variance=(1.0, 1.0, 1.0), fine=False,
)  # fmt: skip
"""Pairs of constants that hold the same numbers, which a tool may think are one."""

SCENES: Mapping[str, str] = {
    "": "float32, settings and numbers that are nobody's default",
    "float64": "float64 throughout",
    "float16": "float16 throughout",
    "bfloat16": "bfloat16 throughout",
    "axis_1": "features on axis 1",
    "no_affine": "neither gamma nor beta",
    "no_scale": "no gamma",
    "no_center": "no beta",
    "cumulative": "a cumulative average",
    "untracked": "no running statistics",
    "gamma": "gamma of 0, negative, and tiny",
    "no_variance": "running variances of 0 and near it, epsilon 2^-30",
    "half_no_variance": "float16 throughout, a running variance of 0, epsilon 2^-26",
    "no_epsilon": "epsilon 0",
    "large_epsilon": "epsilon 1024",
    "tiny_epsilon": "epsilon 2^-30 beside small variances",
    "equal": "gamma equal to the variance, beta to the mean",
}
"""Suffix of an array's name -> what is special about the layer that it is from."""
