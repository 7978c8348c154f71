"""One training call as the walk through a case sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..bounds import Float64, Moments, Precision, Statistics
from ..bounds_variants import Scale
from .expectation import Number


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One training call: its input and its exact statistics, and how far off a subject's may be.

    ``count`` is n, or W = sum(w) in wide shape where positions have weights.
    """

    x: Number
    g: Number
    mu: Number
    v: Number
    s: Statistics
    m: Moments
    count: int | Float64

    @property
    def total(self) -> Float64 | None:
        """W, or None where means divide by n."""
        return None if isinstance(self.count, int) else self.count

    def variance_is_noise(self, p: Precision) -> np.ndarray:
        """Where its bound exceeds both the variance and the rounding noise of its squares."""
        s, m = self.s, self.m
        return np.asarray((s.e_v >= s.v) & (s.e_v > p.u * m.mean_square_x) & (s.e_v > p.eta))


@dataclass(frozen=True, kw_only=True)
class Transform:
    """y = gamma (scale xhat + shift) + beta; ``errors`` bounds what scale and shift are off by."""

    scale: Number
    shift: Number
    errors: Scale
