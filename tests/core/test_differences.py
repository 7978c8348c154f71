"""Gradients against second-order central differences in exact arithmetic.

Forwards of one channel, written here in scalar loops over fractions, are differenced with a step of
2^-60: the truncation (2^-120) and the roots' rounding (2^-256 / 2^-60) leave 2^-100, which a wrong
term of any size would exceed. Nothing here needs a framework.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bnconform.conformance import spec
from bnconform.conformance.numbers.exact import Rational, root

Forward = Callable[[Sequence[Fraction], Fraction, Fraction], list[Fraction]]

STEP = Fraction(1, 2**60)
AGREEMENT = Fraction(1, 2**100)
EPSILON: Any = Fraction(1, 1024)
AXES = (0,)

X = [Fraction(v, 8) for v in (3, -11, 20, 6, -2)]
G = [Fraction(v, 4) for v in (5, -3, 2, 7, -6)]
W = [Fraction(v, 2) for v in (3, 0, 5, 1, 0)]
GAMMA, BETA = Fraction(-7, 4), Fraction(2, 3)
MEAN, VAR, STDDEV = Fraction(1, 2), Fraction(9, 4), Fraction(3, 4)
DECAY: Any = Fraction(3, 4)


def _moments(x: Sequence[Fraction], w: Sequence[Fraction] | None = None) -> tuple[Fraction, ...]:
    """Mean and variance, by E x^2 - (E x)^2; any weights."""
    weights = [Fraction(1)] * len(x) if w is None else w
    total = sum(weights, Fraction(0))
    mean = sum((k * v for k, v in zip(weights, x, strict=True)), Fraction(0)) / total
    square = sum((k * v * v for k, v in zip(weights, x, strict=True)), Fraction(0)) / total
    return mean, square - mean * mean


def _affine(x: Sequence[Fraction], mean: Fraction, var: Fraction) -> Forward:
    """The words of the paper for given statistics."""

    def forward(_: Sequence[Fraction], gamma: Fraction, beta: Fraction) -> list[Fraction]:
        return [gamma * (v - mean) / root(var + EPSILON) + beta for v in x]

    return forward


def _plain(x: Sequence[Fraction], gamma: Fraction, beta: Fraction) -> list[Fraction]:
    return _affine(x, *_moments(x))(x, gamma, beta)


def _inference(x: Sequence[Fraction], gamma: Fraction, beta: Fraction) -> list[Fraction]:
    return _affine(x, MEAN, VAR)(x, gamma, beta)


def _weighted(x: Sequence[Fraction], gamma: Fraction, beta: Fraction) -> list[Fraction]:
    return _affine(x, *_moments(x, W))(x, gamma, beta)


def _by_updated_state(x: Sequence[Fraction], gamma: Fraction, beta: Fraction) -> list[Fraction]:
    mean, var = _moments(x)
    mean, var = DECAY * MEAN + (1 - DECAY) * mean, DECAY * VAR + (1 - DECAY) * var
    return _affine(x, mean, var)(x, gamma, beta)


def _moved(scale: Fraction, shift: Fraction) -> Forward:
    """y = gamma (scale xhat + shift) + beta with scale and shift held constant."""

    def forward(x: Sequence[Fraction], gamma: Fraction, beta: Fraction) -> list[Fraction]:
        xhat = _plain(x, Fraction(1), Fraction(0))
        return [gamma * (scale * v + shift) + beta for v in xhat]

    return forward


def _differences(
    forward: Forward, x: Sequence[Fraction] = X, step: Fraction = STEP
) -> list[Fraction]:
    """dx (one for each value), dgamma, dbeta of sum(g y)."""
    point = [*x, GAMMA, BETA]

    def loss(arguments: list[Fraction]) -> Fraction:
        y = forward(arguments[:-2], arguments[-2], arguments[-1])
        return sum((g * v for g, v in zip(G, y, strict=True)), Fraction(0))

    def along(index: int) -> Fraction:
        up, down = list(point), list(point)
        up[index] += step
        down[index] -= step
        return (loss(up) - loss(down)) / (2 * step)

    return [along(index) for index in range(len(point))]


def _column(values: Sequence[Fraction]) -> Any:
    return Rational(np.array([[v] for v in values], object))


def _one(value: Fraction) -> Any:
    return _column([value])


def _gradients(dx: Any, xhat: Any) -> list[Fraction]:
    dgamma, dbeta = spec.dgamma(_column(G), xhat, AXES), spec.dbeta(_column(G), AXES)
    return [v for array in (dx, dgamma, dbeta) for v in array.values.ravel()]


def _assert_close(found: Sequence[Fraction], expected: Sequence[Fraction]) -> None:
    assert len(found) == len(expected)
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= AGREEMENT


def _trained(x: Sequence[Fraction] = X) -> tuple[Any, Any, Any, Any]:
    """mu, v, r and xhat by the spec."""
    mu = spec.batch_mean(_column(x), AXES)
    v = spec.biased_variance(_column(x), mu, AXES)
    r = spec.inverse_deviation(v, EPSILON)
    return mu, v, r, spec.normalize(_column(x), mu, r)


def test_training_gradients_are_central_differences() -> None:
    """dx, dgamma and dbeta of plain batch normalization."""
    _, _, r, xhat = _trained()
    dx = spec.training_dx(_column(G), xhat, r, _one(GAMMA), AXES)
    _assert_close(_gradients(dx, xhat), _differences(_plain))


def test_the_differences_are_of_second_order() -> None:
    """Half the step, a quarter of the error: what is left is truncation, not a wrong term."""
    _, _, r, xhat = _trained()
    dx = spec.training_dx(_column(G), xhat, r, _one(GAMMA), AXES).values.ravel()
    coarse, fine = (_differences(_plain, step=Fraction(1, 2**k))[: len(X)] for k in (10, 11))
    for exact, far, near in zip(dx, coarse, fine, strict=True):
        assert 3.99 < (far - exact) / (near - exact) < 4.01


def test_inference_gradients_are_central_differences() -> None:
    """The statistics are constants."""
    r = spec.inverse_deviation(_one(VAR), EPSILON)
    xhat = spec.normalize(_column(X), _one(MEAN), r)
    dx = spec.inference_dx(_column(G), r, _one(GAMMA))
    _assert_close(_gradients(dx, xhat), _differences(_inference))


def test_weighted_gradients_are_central_differences() -> None:
    """Two of the five positions have no weight."""
    w = _column(W)
    mu = spec.weighted_mean(_column(X), w, AXES)
    v = spec.weighted_variance(_column(X), w, mu, AXES)
    assert (mu.values[0, 0], v.values[0, 0]) == _moments(X, W)
    r = spec.inverse_deviation(v, EPSILON)
    xhat = spec.normalize(_column(X), mu, r)
    dx = spec.weighted_training_dx(_column(G), xhat, r, _one(GAMMA), w, AXES)
    _assert_close(_gradients(dx, xhat), _differences(_weighted))
    bare = spec.weighted_training_dx(_column(G), xhat, r, None, w, AXES)
    _assert_close((GAMMA * bare).values.ravel(), dx.values.ravel())


def test_gradients_of_training_by_the_updated_state_are_central_differences() -> None:
    """The batch reaches rm' and rv' with the weight 1 - decay."""
    mu, v, _, _ = _trained()
    rm = spec.update_running_mean(_one(MEAN), mu, DECAY)
    rv = spec.update_running_var(_one(VAR), v, DECAY)
    r = spec.inverse_deviation(rv, EPSILON)
    xhat, d = spec.normalize(_column(X), rm, r), _column(X) - mu
    share = 1 - DECAY
    dx = spec.running_training_dx(_column(G), xhat, d, r, _one(GAMMA), share, AXES)
    _assert_close(_gradients(dx, xhat), _differences(_by_updated_state))
    bare = spec.running_training_dx(_column(G), xhat, d, r, None, share, AXES)
    _assert_close((GAMMA * bare).values.ravel(), dx.values.ravel())


@pytest.mark.parametrize(
    ("r_min", "r_max", "d_max"),
    [
        (None, None, None),  # nothing is clipped
        (3.0, 4.0, 0.0),  # R from below, D to nothing
        (0.0, 0.5, 0.125),  # R from above, D to a side
    ],
)
def test_renormalization_gradients_are_central_differences_with_r_and_d_held(
    r_min: float | None, r_max: float | None, d_max: float | None
) -> None:
    """R and D are constants of the differentiation, on either side of their limits."""
    mu, v, r, xhat = _trained()
    scale = spec.renorm_scale(v, _one(STDDEV), EPSILON, r_min, r_max)
    shift = spec.renorm_shift(mu, _one(MEAN), _one(STDDEV), d_max)
    mean, var = _moments(X)
    ratio, offset = root(var + EPSILON) / STDDEV, (mean - MEAN) / STDDEV
    low = Fraction(0) if r_min is None else Fraction(r_min)
    high = ratio if r_max is None else Fraction(r_max)
    assert scale.values[0, 0] == min(max(ratio, low), high)
    reach = abs(offset) if d_max is None else Fraction(d_max)
    assert shift.values[0, 0] == max(-reach, min(offset, reach))
    dx = spec.training_dx(_column(G) * scale, xhat, r, _one(GAMMA), AXES)
    forward = _moved(scale.values[0, 0], shift.values[0, 0])
    moved = spec.transform(xhat, scale, shift)
    _assert_close(_gradients(dx, moved), _differences(forward))


def test_at_the_limit_of_the_clipping_there_is_no_kink() -> None:
    """R exactly r_max: both one-sided differences with R held give the same dx."""
    _, v, r, xhat = _trained()
    ratio = spec.renorm_scale(v, _one(STDDEV), EPSILON, None, None).values[0, 0]
    scale = spec.renorm_scale(v, _one(STDDEV), EPSILON, None, ratio)
    assert scale.values[0, 0] == ratio
    dx = spec.training_dx(_column(G) * scale, xhat, r, _one(GAMMA), AXES).values.ravel()
    forward = _moved(ratio, Fraction(0))
    step = Fraction(1, 2**120)
    for index in range(len(X)):
        for side in (step, -step):
            moved = [v + side * (i == index) for i, v in enumerate(X)]
            y0, y1 = forward(X, GAMMA, BETA), forward(moved, GAMMA, BETA)
            slope = sum(g * (b - a) for g, a, b in zip(G, y0, y1, strict=True)) / side
            assert abs(slope - dx[index]) < AGREEMENT


def test_without_the_stop_gradient_renormalization_would_have_another_gradient() -> None:
    """R and D that move with x cancel the batch statistics: dx = gamma g / s, unclipped."""

    def moving(x: Sequence[Fraction], gamma: Fraction, beta: Fraction) -> list[Fraction]:
        mean, var = _moments(x)
        return _moved(root(var + EPSILON) / STDDEV, (mean - MEAN) / STDDEV)(x, gamma, beta)

    found = _differences(moving)[: len(X)]
    _assert_close(found, [GAMMA * g / STDDEV for g in G])
    _, v, r, xhat = _trained()
    scale = spec.renorm_scale(v, _one(STDDEV), EPSILON, None, None)
    dx = spec.training_dx(_column(G) * scale, xhat, r, _one(GAMMA), AXES).values.ravel()
    assert max(abs(a - b) for a, b in zip(dx, found, strict=True)) > Fraction(1, 10)


def test_a_variance_clamped_at_zero_is_smooth_in_exact_arithmetic() -> None:
    """max(0, E x^2 - (E x)^2) touches 0 with slope 0: dx = gamma r (g - gbar) there."""
    x = [Fraction(5, 4)] * 5

    def clamped(values: Sequence[Fraction], gamma: Fraction, beta: Fraction) -> list[Fraction]:
        mean, var = _moments(values)
        return _affine(values, mean, max(var, Fraction(0)))(values, gamma, beta)

    _, v, r, xhat = _trained(x)
    assert v.values[0, 0] == 0
    dx = spec.training_dx(_column(G), xhat, r, _one(GAMMA), AXES)
    _assert_close(_gradients(dx, xhat), _differences(clamped, x))
