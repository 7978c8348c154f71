"""Every function of the spec, run on one set of arrays in any system of numbers.

``number`` turns a float64 array into what the spec computes with: ``np.asarray``, ``DoubleDouble``
or ``Rational``. The results are named by quantity; what belongs to one group of samples ends in its
index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bnconform.conformance import spec
from bnconform.conformance.bounds import Float64

Number: TypeAlias = Callable[[Any], Any]
Results: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A float64 batch and everything that some variant adds to it.

    x and g are images; gamma, beta, the running statistics ``mean`` and ``var`` and the deviation
    ``stddev`` are wide; ``weights`` have size 1 on every feature axis; ``scale`` and ``shift`` have
    size 1 everywhere but on the samples and the feature axes.
    """

    axes: tuple[int, ...]
    x: Float64
    g: Float64
    gamma: Float64
    beta: Float64
    mean: Float64
    var: Float64
    stddev: Float64
    weights: Float64
    scale: Float64
    shift: Float64
    epsilon: float = 1e-3
    decay: float = 0.9
    r_min: float | None = 0.5
    r_max: float | None = 2.0
    d_max: float | None = 0.75
    groups: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3))
    updates: int = 3


def make_setup(
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    seed: int,
    *,
    offset: float = 0.0,
    **fields: Any,
) -> Setup:
    """Ordinary values of unit deviation around ``offset``; a third of the weights is zero."""
    draw = np.random.default_rng(seed)
    wide = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    places = tuple(size if axis in axes else 1 for axis, size in enumerate(shape))
    weights = draw.uniform(0.25, 3, places) * (draw.random(places) > 1 / 3)
    weights.flat[0] = 1.5  # never all of them
    samples = (shape[0], *wide[1:])
    batch = {
        "x": draw.standard_normal(shape) + offset,
        "g": draw.standard_normal(shape),
        "gamma": draw.uniform(-3, 3, wide),
        "beta": draw.uniform(-3, 3, wide),
        "mean": draw.standard_normal(wide) + offset,
        "var": draw.uniform(0.25, 4, wide),
        "stddev": draw.uniform(0.25, 3, wide),
        "weights": weights,
        "scale": draw.uniform(-2, 2, samples),
        "shift": draw.uniform(-2, 2, samples),
    }
    return Setup(axes=axes, **(batch | fields))


def plain(s: Setup, number: Number) -> Results:
    """Training by the statistics of the batch; so are frozen and untracked calls that use them."""
    x, g, gamma, beta = number(s.x), number(s.g), number(s.gamma), number(s.beta)
    mu = spec.batch_mean(x, s.axes)
    v = spec.biased_variance(x, mu, s.axes)
    r = spec.inverse_deviation(v, s.epsilon)
    xhat = spec.normalize(x, mu, r)
    return {
        "mu": mu,
        "v": v,
        "r": r,
        "xhat": xhat,
        "y": spec.scale_and_shift(xhat, gamma, beta),
        "dx": spec.training_dx(g, xhat, r, gamma, s.axes),
        "dgamma": spec.dgamma(g, xhat, s.axes),
        "dbeta": spec.dbeta(g, s.axes),
    }


def inference(s: Setup, number: Number) -> Results:
    """By running statistics, in inference or frozen."""
    x, g, gamma, beta = number(s.x), number(s.g), number(s.gamma), number(s.beta)
    r = spec.inverse_deviation(number(s.var), s.epsilon)
    xhat = spec.normalize(x, number(s.mean), r)
    return {
        "xhat": xhat,
        "y": spec.scale_and_shift(xhat, gamma, beta),
        "dx": spec.inference_dx(g, r, gamma),
        "dgamma": spec.dgamma(g, xhat, s.axes),
        "dbeta": spec.dbeta(g, s.axes),
    }


def weighted(s: Setup, number: Number) -> Results:
    """Statistics weighted by ``s.weights``; a mask has weights 0 and 1."""
    x, g, gamma, beta = number(s.x), number(s.g), number(s.gamma), number(s.beta)
    w = number(s.weights)
    mu = spec.weighted_mean(x, w, s.axes)
    v = spec.weighted_variance(x, w, mu, s.axes)
    r = spec.inverse_deviation(v, s.epsilon)
    xhat = spec.normalize(x, mu, r)
    return {
        "mu": mu,
        "v": v,
        "y": spec.scale_and_shift(xhat, gamma, beta),
        "dx": spec.weighted_training_dx(g, xhat, r, gamma, w, s.axes),
        "dgamma": spec.dgamma(g, xhat, s.axes),
        "dbeta": spec.dbeta(g, s.axes),
    }


def _transformed(s: Setup, number: Number, scale: Any, shift: Any) -> Results:
    """y = gamma (scale xhat + shift) + beta with scale and shift held constant."""
    g, gamma, beta = number(s.g), number(s.gamma), number(s.beta)
    base = plain(s, number)
    moved = spec.transform(base["xhat"], scale, shift)
    return {
        "y": spec.scale_and_shift(moved, gamma, beta),
        "dx": spec.training_dx(g * scale, base["xhat"], base["r"], gamma, s.axes),
        "dgamma": spec.dgamma(g, moved, s.axes),
        "dbeta": spec.dbeta(g, s.axes),
    }


def renorm(s: Setup, number: Number) -> Results:
    """Batch renormalization towards ``s.mean`` and ``s.stddev``."""
    base, deviation = plain(s, number), number(s.stddev)
    scale = spec.renorm_scale(base["v"], deviation, s.epsilon, s.r_min, s.r_max)
    shift = spec.renorm_shift(base["mu"], number(s.mean), deviation, s.d_max)
    return {
        "R": scale,
        "D": shift,
        "rv": spec.renorm_running_var(deviation, s.epsilon),
        **_transformed(s, number, scale, shift),
    }


def adjusted(s: Setup, number: Number) -> Results:
    """y = gamma (a xhat + b) + beta."""
    return _transformed(s, number, number(s.scale), number(s.shift))


def ghost(s: Setup, number: Number) -> Results:
    """Each group of samples by itself; the gradients of the parameters are sums over groups."""
    found: dict[str, Any] = {}
    dgamma: Any = 0.0
    dbeta: Any = 0.0
    for k, samples in enumerate(s.groups):
        part = plain(_samples(s, samples), number)
        found |= {f"{name}/{k}": part[name] for name in ("mu", "v", "y", "dx")}
        dgamma, dbeta = part["dgamma"] + dgamma, part["dbeta"] + dbeta
    return found | {"dgamma": dgamma, "dbeta": dbeta}


def _samples(s: Setup, samples: tuple[int, ...]) -> Setup:
    fields = {name: getattr(s, name)[list(samples)] for name in ("x", "g")}
    return Setup(**(vars(s) | fields))


def synchronized(s: Setup, number: Number) -> Results:
    """Partial statistics of the groups merged; the backward pass is that of the whole batch."""
    x, g, gamma, beta = number(s.x), number(s.g), number(s.gamma), number(s.beta)
    parts = [number(s.x[list(samples)]) for samples in s.groups]
    means = [spec.batch_mean(part, s.axes) for part in parts]
    spreads = [spec.biased_variance(part, m, s.axes) for part, m in zip(parts, means, strict=True)]
    counts = [spec.count(part, s.axes) for part in parts]
    mu, v = spec.merged_mean(means, counts), spec.merged_variance(spreads, means, counts)
    r = spec.inverse_deviation(v, s.epsilon)
    xhat = spec.normalize(x, mu, r)
    return {
        "mu": mu,
        "v": v,
        "y": spec.scale_and_shift(xhat, gamma, beta),
        "dx": spec.training_dx(g, xhat, r, gamma, s.axes),
        "dgamma": spec.dgamma(g, xhat, s.axes),
        "dbeta": spec.dbeta(g, s.axes),
    }


def by_updated_state(s: Setup, number: Number) -> Results:
    """Training that normalizes by the running statistics after their update."""
    x, g, gamma, beta = number(s.x), number(s.g), number(s.gamma), number(s.beta)
    base, one = plain(s, number), number(np.ones(()))
    rm = spec.update_running_mean(number(s.mean), base["mu"], s.decay)
    rv = spec.update_running_var(number(s.var), base["v"], s.decay)
    r = spec.inverse_deviation(rv, s.epsilon)
    xhat = spec.normalize(x, rm, r)
    dx = spec.running_training_dx(g, xhat, x - base["mu"], r, gamma, one - s.decay, s.axes)
    return {
        "rm": rm,
        "rv": rv,
        "y": spec.scale_and_shift(xhat, gamma, beta),
        "dx": dx,
        "dgamma": spec.dgamma(g, xhat, s.axes),
        "dbeta": spec.dbeta(g, s.axes),
    }


def averages(s: Setup, number: Number) -> Results:
    """What becomes of the running statistics under every convention."""
    base, n = plain(s, number), spec.count(s.x, s.axes)
    mean, var = number(s.mean), number(s.var)
    unbiased = spec.unbiased_variance(base["v"], n)
    return {
        "unbiased": unbiased,
        "rm": spec.update_running_mean(mean, base["mu"], s.decay),
        "rv": spec.update_running_var(var, unbiased, s.decay),
        "cumulative": spec.cumulative_average(mean, base["mu"], s.updates),
        "debiased": spec.debiased_average(mean, s.decay, s.updates),
    }


VARIANTS: Mapping[str, Callable[[Setup, Number], Results]] = {
    function.__name__: function
    for function in (
        plain,
        inference,
        weighted,
        renorm,
        adjusted,
        ghost,
        synchronized,
        by_updated_state,
        averages,
    )
}
"""Together they call every function of the spec."""
