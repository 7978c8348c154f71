"""Functions of ``spec.py`` with one thing wrong, by what stands in their place.

Same names, arguments and shapes as there, so that a walk can be given them instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import spec
from ..spec import Numbers

Axes = tuple[int, ...]


def epsilon_outside_root() -> dict[str, Callable[..., Any]]:
    """r = 1 / (sqrt(v) + epsilon), and the gradient that belongs to it."""
    seen: dict[str, Any] = {}

    def inverse_deviation(v: Numbers, epsilon: float) -> Numbers:
        seen["root"] = np.sqrt(v)
        return 1.0 / (seen["root"] + epsilon)

    def training_dx(
        g: Numbers, xhat: Numbers, r: Numbers, gamma: Numbers | None, axes: Axes
    ) -> Any:
        # dr/dv = -r^2 / (2 sqrt(v)): the variance term has xhat / (r sqrt(v)) in place of xhat.
        n = spec.count(g, axes)
        # Where v = 0 there is no derivative, and implementations give that of the values: none.
        stretch = r * seen["root"]
        through = xhat * (spec.dgamma(g, xhat, axes) / n) / (stretch + (stretch.hi == 0))
        return _scaled(g - spec.dbeta(g, axes) / n - through, r, gamma)

    return {"inverse_deviation": inverse_deviation, "training_dx": training_dx}


def inverse_deviation_in_float16(v: Numbers, epsilon: float) -> Any:
    """r = 1 / sqrt(v + epsilon), rounded to float16: infinite where that is above 65504."""
    r: Any = spec.inverse_deviation(v, epsilon)
    return type(r)(r.hi.astype(np.float16))


def unbiased_normalizes() -> dict[str, Callable[..., Any]]:
    """Normalized by v n / (n - 1), and the gradient that belongs to it."""

    def biased_variance(x: Numbers, mu: Numbers, axes: Axes) -> Numbers:
        return spec.unbiased_variance(spec.biased_variance(x, mu, axes), spec.count(x, axes))

    def training_dx(
        g: Numbers, xhat: Numbers, r: Numbers, gamma: Numbers | None, axes: Axes
    ) -> Any:
        n = spec.count(g, axes)
        through = xhat * (spec.dgamma(g, xhat, axes) / max(n - 1, 1))
        return _scaled(g - spec.dbeta(g, axes) / n - through, r, gamma)

    def unbiased_variance(v: Numbers, n: int) -> Numbers:
        del n
        return v

    return {
        "biased_variance": biased_variance,
        "unbiased_variance": unbiased_variance,
        "training_dx": training_dx,
    }


def bessel_at_one(v: Numbers, n: int) -> Numbers:
    """v n / (n - 1), which is 0 / 0 for one value."""
    return v * (n / (n - 1) if n != 1 else np.nan)


def cumulative_off_by_one(average: Numbers, value: Numbers, updates: int) -> Numbers:
    """a' = a + (value - a) / (t + 1)."""
    return average + (value - average) / (updates + 1)


def cumulative_swapped(average: Numbers, value: Numbers, updates: int) -> Numbers:
    """a' = value + (a - value) / t."""
    return value + (average - value) / updates


def dx_without_mean_term(
    g: Numbers, xhat: Numbers, r: Numbers, gamma: Numbers | None, axes: Axes
) -> Numbers:
    """dx = gamma r (g - xhat mean(g xhat))."""
    return _scaled(g - xhat * (spec.dgamma(g, xhat, axes) / spec.count(g, axes)), r, gamma)


def dx_without_variance_term(
    g: Numbers, xhat: Numbers, r: Numbers, gamma: Numbers | None, axes: Axes
) -> Numbers:
    """dx = gamma r (g - mean(g))."""
    del xhat
    return _scaled(g - spec.dbeta(g, axes) / spec.count(g, axes), r, gamma)


def dx_as_in_inference(
    g: Numbers, xhat: Numbers, r: Numbers, gamma: Numbers | None, axes: Axes
) -> Numbers:
    """dx = gamma r g."""
    del xhat, axes
    return spec.inference_dx(g, r, gamma)


def training_dx_without_gamma(
    g: Numbers, xhat: Numbers, r: Numbers, gamma: Numbers | None, axes: Axes
) -> Numbers:
    """dx = r (g - mean(g) - xhat mean(g xhat))."""
    del gamma
    return spec.training_dx(g, xhat, r, None, axes)


def inference_dx_without_gamma(g: Numbers, r: Numbers, gamma: Numbers | None) -> Numbers:
    """dx = r g."""
    del gamma
    return spec.inference_dx(g, r, None)


def dgamma_mean(g: Numbers, xhat: Numbers, axes: Axes) -> Numbers:
    """dgamma = mean(g xhat)."""
    return spec.dgamma(g, xhat, axes) / max(spec.count(g, axes), 1)


def dbeta_mean(g: Numbers, axes: Axes) -> Numbers:
    """dbeta = mean(g)."""
    return spec.dbeta(g, axes) / max(spec.count(g, axes), 1)


def _scaled(centred: Numbers, r: Numbers, gamma: Numbers | None) -> Numbers:
    return r * centred if gamma is None else gamma * r * centred
