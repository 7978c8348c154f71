"""A format so coarse that every term of a bound shows, and the pieces that its proofs share.

With u = 2^-9 and a smallest normal of 2^-7 every term of a bound is at least a thousandth of it, so
that none can be lost, doubled or given another sign unnoticed: the real formats' 1e-8 hides most of
them. Everything is about one channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from bnconform.conformance.bounds import Moments, Precision, Statistics, Upstream
from bnconform.conformance.dialect import VarianceAlgorithm
from bnconform.conformance.formats import DType, Format

ONE_PASS, TWO_PASS = VarianceAlgorithm.ONE_PASS, VarianceAlgorithm.TWO_PASS

U, ETA, SAVED = 2.0**-9, 2.0**-7, 2.0**-6
COARSE = Format(
    dtype=DType.FLOAT32,
    unit_roundoff=U,
    smallest_normal=ETA,
    smallest_subnormal=2.0**-16,
    largest=2.0**20,
)
HALF = Format(
    dtype=DType.FLOAT16,
    unit_roundoff=2.0**-4,
    smallest_normal=2.0**-3,
    smallest_subnormal=2.0**-5,
    largest=2.0**12,
)
"""Coarser than ``COARSE``, with a larger smallest normal, as float16 is beside float32."""

EPSILON = 0.5
X, G = [1.5, -0.75, 2.0, 0.25, -3.0], [0.5, 1.25, -2.0, 0.75, 1.0]
GAMMA, BETA = -1.75, 0.625


def precision(algorithm: VarianceAlgorithm = TWO_PASS, **fields: Any) -> Precision:
    """In the coarse format, with saved statistics coarser still unless told otherwise."""
    return Precision(accumulation=COARSE, algorithm=algorithm, **({"saved": SAVED} | fields))


def wide(*values: float) -> Any:
    """One value for each channel, wide."""
    return np.array([values])


def column(values: list[float]) -> Any:
    """Values of one channel, (n, 1)."""
    return np.array([[value] for value in values])


def only(array: Any) -> float:
    """The one value of an array."""
    return float(np.asarray(array).reshape(()))


def theta(k: float, u: float = U) -> float:
    """theta(k) of the coarse format."""
    return k * u / (1 - k * u)


@dataclass(frozen=True)
class Stats:
    """Statistics as plain floats, off by a share that is seen."""

    mu: float = 0.375
    v: float = 2.25
    delta: float = 0.125
    e_v: float = 0.75

    @property
    def wide(self) -> Statistics:
        """As the bounds take them."""
        return Statistics(
            mu=wide(self.mu), v=wide(self.v), delta=wide(self.delta), e_v=wide(self.e_v)
        )

    @property
    def low(self) -> float:
        """The least v + eps may be."""
        return max(self.v - self.e_v, 0) + EPSILON * (1 - 2 * U)

    @property
    def high(self) -> float:
        """The most it may be."""
        return self.v + self.e_v + EPSILON * (1 + 2 * U)

    @property
    def r(self) -> float:
        """Exact."""
        return 1 / math.sqrt(self.v + EPSILON)

    @property
    def top(self) -> float:
        """The largest r."""
        return 1 / math.sqrt(self.low)

    def e_r(self, saved: float = SAVED) -> float:
        """Dr."""
        bottom = 1 / math.sqrt(self.high)
        return max(self.top - self.r, self.r - bottom) + 4 * (U + saved) * self.top

    def e_r2(self, saved: float = SAVED) -> float:
        """D(r^2)."""
        square = 1 / (self.v + EPSILON)
        return max(1 / self.low - square, square - 1 / self.high) + 8 * (U + saved) / self.low


S = Stats()
BATCH = Stats(mu=-0.5, v=1.5, delta=0.0625, e_v=0.25)


def close(found: Any, expected: float | list[float]) -> None:
    """Assert agreement to twelve digits, element by element."""
    assert np.asarray(found).ravel().tolist() == pytest.approx(
        expected if isinstance(expected, list) else [expected], rel=1e-12
    )


M = Moments(mean_abs_x=wide(1.25), mean_square_x=wide(3.5), n=5)
K = 5 + 2 * 3 + 6

UP = {"mean_abs_g": 1.1, "mean_g": -0.3, "c": -0.7, "e_c": 0.2, "mean_abs_d": 1.6}


def upstream_of(**changes: float) -> Upstream:
    """The sums of ``UP`` with some replaced."""
    return Upstream(**{name: wide(value) for name, value in (UP | changes).items()})


def dgamma_bound(c: float, e_c: float, n: float, s: Stats) -> float:
    """n [Dr |c| + r+ E_c + 4u r+ (|c| + E_c)]."""
    size = abs(c) + e_c
    return n * (s.e_r() * abs(c) + s.top * e_c + 4 * U * s.top * size)
