"""One training call as the walk through a case sees it."""

from __future__ import annotations

from dataclasses import dataclass

from ..bounds import Float64, Moments, Statistics
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


@dataclass(frozen=True, kw_only=True)
class Transform:
    """y = gamma (scale xhat + shift) + beta; ``errors`` bounds what scale and shift are off by."""

    scale: Number
    shift: Number
    errors: Scale
