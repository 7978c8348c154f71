"""What experiments are made of: arrays in float32, and expectations of what must be seen.

Arrays are small integers and powers of two, so that sums, means, variances and averages of them are
exact in float32 in any order and their bounds are 0. Only the inverse root is not: where it enters,
the bound is that of ``bounds.py`` with statistics that are known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..bounds import (
    Float64,
    Precision,
    Statistics,
    dgamma_error,
    output_error,
    rounded,
    upstream,
)
from ..contract import Array
from ..dialect import VarianceAlgorithm
from ..expecting.expectation import Expectation, expectation
from ..formats import FORMATS, DType
from ..numbers.doubledouble import DoubleDouble
from ..spec import (
    batch_mean,
    biased_variance,
    dgamma,
    inverse_deviation,
    normalize,
    scale_and_shift,
)

FLOAT32 = FORMATS[DType.FLOAT32]
AXES = (0, 1, 2)
"""All axes but the last are reduced: inputs have rank 4, which every implementation takes."""
MOMENTUM = 0.5
EPSILON = 3.0

_PRECISION = Precision(accumulation=FLOAT32, algorithm=VarianceAlgorithm.TWO_PASS)


def float32(values: npt.ArrayLike) -> Array:
    """An array that a subject is handed."""
    return np.asarray(values, np.float32)


def images(*rows: tuple[float, ...]) -> Array:
    """One pixel a sample, one row a sample: shape (len(rows), 1, 1, channels)."""
    return float32(rows)[:, None, None, :]


SETTINGS = {"momentum": float32(MOMENTUM), "epsilon": float32(EPSILON)}
"""Handed along with every experiment that normalizes."""


def exact(values: npt.ArrayLike | DoubleDouble) -> Expectation:
    """What takes no rounding at all: the bound is 0."""
    number = values if isinstance(values, DoubleDouble) else DoubleDouble(float32(values))
    return expectation(number, np.zeros(number.shape), None, FLOAT32)


def mean_of(x: Array) -> DoubleDouble:
    """The batch's mean, one number a channel."""
    return _narrow(batch_mean(DoubleDouble(x), AXES))


def variance_of(x: Array) -> DoubleDouble:
    """The batch's biased variance, one number a channel."""
    wide = DoubleDouble(x)
    return _narrow(biased_variance(wide, batch_mean(wide, AXES), AXES))


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call with everything that decides its output; statistics have one number a channel.

    The statistics must be exact in float32: no error of theirs enters the bounds.
    """

    x: Array
    gamma: Array
    beta: Array
    mean: DoubleDouble
    variance: DoubleDouble

    @property
    def _statistics(self) -> Statistics:
        nothing = np.zeros(())
        mean, variance = self.mean.to_float64(), self.variance.to_float64()
        return Statistics(mu=mean, v=variance, delta=nothing, e_v=nothing)

    @property
    def _xhat(self) -> DoubleDouble:
        r = inverse_deviation(self.variance, EPSILON)
        found: DoubleDouble = normalize(DoubleDouble(self.x), self.mean, r)
        return found

    def y(self) -> Expectation:
        """The output, within the bound for one root, its division and the affine map."""
        y = scale_and_shift(self._xhat, DoubleDouble(self.gamma), DoubleDouble(self.beta))
        x, gamma, beta = _float64(self.x), _float64(self.gamma), _float64(self.beta)
        size = y.to_float64()
        error = output_error(x, size, gamma, beta, self._statistics, EPSILON, _PRECISION)
        return expectation(y, rounded(error, size, FLOAT32, FLOAT32), None, FLOAT32)

    def dgamma(self, g: Array, added: Array) -> Expectation:
        """The gradient of gamma plus ``added``, one number a channel."""
        total = _narrow(dgamma(DoubleDouble(g), self._xhat, AXES)) + DoubleDouble(added)
        n = self.x.size // self.x.shape[-1]
        s = self._statistics
        up = upstream(_float64(self.x), _float64(g), AXES, n, s, _PRECISION)
        error = dgamma_error(up, n, s, EPSILON, _PRECISION).reshape(total.shape)
        bound = rounded(error, total.to_float64(), FLOAT32, FLOAT32)
        return expectation(total, bound, None, FLOAT32)


def _narrow(wide: DoubleDouble) -> DoubleDouble:
    return wide.reshape(-1)


def _float64(values: Array) -> Float64:
    return values.astype(np.float64)
