"""The blog's hand check, the epsilon that explains it, and the homework it leaves open.

The check: after training, in inference mode, ``bn1 = gamma*( (hidden_tmp - m_m)
/math.sqrt( m_v+0.00001) ) + beta``. The post writes 0.00001 for epsilon and has set none, so the
layer used its default. Which epsilon the printed numbers allow is decided here by the bounds.

The homework: "it would be good to confirm that moving_mean is the moving average of the batch means
of hidden_tmp". Here it is confirmed or refuted for any step whose numbers are given, and the moving
variance with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .. import bounds, spec
from ..bounds import Float64, Statistics
from .blog import (
    DECAY,
    NAMES,
    PRINTED,
    PRINTED_HIDDEN,
    PRINTED_OUTPUT,
    Printed,
    Variables,
)
from .rounding import FLOAT32, statistics, stored

CANDIDATES = (1e-3, 1e-4, 1e-5, 1.001e-5, 0.0)
"""The layer's default, a tenth of it, what the blog writes, cuDNN's old floor, and none at all."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """Numbers, and how far the ones that the subject held may be from them."""

    value: Variables
    error: Variables
    hidden: tuple[float, ...]
    hidden_error: tuple[float, ...]
    output: tuple[float, ...]
    output_error: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class HandCheck:
    """The layer in inference mode under one epsilon: exact answers, answers given, bounds."""

    epsilon: float
    expected: tuple[float, ...]
    got: tuple[float, ...]
    bound: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The largest error in units of its bound; above 1 this epsilon cannot be the one."""
        difference = np.array(self.expected) - np.array(self.got)
        return float(np.max(np.abs(difference) / np.array(self.bound)))


def printed() -> Known:
    """What the blog shows, each with half a unit of its last digit as its error."""

    def halves(numbers: Sequence[Printed]) -> tuple[float, ...]:
        return tuple(number.half_unit for number in numbers)

    return Known(
        value=Variables(**{name: number.value for name, number in PRINTED.items()}),
        error=Variables(**{name: number.half_unit for name, number in PRINTED.items()}),
        hidden=tuple(number.value for number in PRINTED_HIDDEN),
        hidden_error=halves(PRINTED_HIDDEN),
        output=tuple(number.value for number in PRINTED_OUTPUT),
        output_error=halves(PRINTED_OUTPUT),
    )


def exactly(value: Variables, hidden: Sequence[float], output: Sequence[float]) -> Known:
    """Numbers taken from the subject itself, which hide nothing."""
    nothing = (0.0,) * len(hidden)
    return Known(
        value=value, error=Variables(**dict.fromkeys(NAMES, 0.0)),
        hidden=tuple(hidden), hidden_error=nothing, output=tuple(output), output_error=nothing,
    )  # fmt: skip


def hand_check(epsilon: float, known: Known) -> HandCheck:
    """y = gamma (x - rm) / sqrt(rv + epsilon) + beta, and how far float32 may be from it.

    ``bounds.output_error`` with what the known running statistics may be off by, and what an input
    x, gamma, beta and the output itself may be off by:
    |gamma| r+ e_x + e_gamma (|x - rm| + e_x + e_rm) r+ + e_beta + e_y.
    """
    x, e_x, e_y = (_column(v) for v in (known.hidden, known.hidden_error, known.output_error))
    value, error = known.value, known.error
    s = Statistics(
        mu=np.array(value.running_mean), v=np.array(value.running_var),
        delta=np.array(error.running_mean), e_v=np.array(error.running_var),
    )  # fmt: skip
    xhat = spec.normalize(x, s.mu, spec.inverse_deviation(s.v, epsilon))
    y = spec.scale_and_shift(xhat, value.gamma, value.beta)
    gamma, beta = np.array(value.gamma + error.gamma), np.array(value.beta + error.beta)
    rounding = stored(bounds.output_error(x, y, gamma, beta, s, epsilon, FLOAT32), y)
    r_max = bounds.deviation(s, epsilon, FLOAT32).r_max
    reach = np.abs(x - s.mu) + e_x + s.delta
    hidden = gamma * r_max * e_x + error.gamma * reach * r_max + error.beta + e_y
    return HandCheck(
        epsilon=epsilon, expected=_row(y), got=known.output, bound=_row(rounding + hidden)
    )


def solved_epsilons(known: Known) -> tuple[float, ...]:
    """epsilon = (gamma (x - rm) / (y - beta))^2 - rv, from each sample alone."""
    value = known.value
    pairs = zip(known.hidden, known.output, strict=True)
    return tuple(
        (value.gamma * (x - value.running_mean) / (y - value.beta)) ** 2 - value.running_var
        for x, y in pairs
    )


def epsilon_interval(known: Known) -> tuple[float, float]:
    """The least and the greatest epsilon for which every sample is within its bound.

    The answer moves one way as epsilon grows, so what is allowed is one interval around the
    solution; its ends are found by halving, to the last bit. The greatest is infinite where the
    numbers set no limit. :class:`ValueError` when no epsilon explains the numbers.
    """
    inside = float(np.mean(solved_epsilons(known)))

    def allowed(epsilon: float) -> bool:
        return hand_check(epsilon, known).ratio <= 1

    if inside <= 0 or not allowed(inside):
        msg = f"no epsilon explains the numbers: the best, {inside:g}, leaves a bound exceeded"
        raise ValueError(msg)
    beyond = 2 * inside
    while beyond < math.inf and allowed(beyond):
        beyond *= 2
    lowest = 0.0 if allowed(0.0) else _edge(allowed, inside, 0.0)
    return lowest, beyond if beyond == math.inf else _edge(allowed, inside, beyond)


def _edge(allowed: Callable[[float], bool], inside: float, outside: float) -> float:
    """The last allowed number on the way from ``inside`` to ``outside``."""
    while (middle := (inside + outside) / 2) not in (inside, outside):
        if allowed(middle):
            inside = middle
        else:
            outside = middle
    return inside


@dataclass(frozen=True, kw_only=True)
class Average:
    """One convention for a running statistic: what it should be after a step, and what it was."""

    convention: str
    expected: float
    got: float
    bound: float

    @property
    def ratio(self) -> float:
        """Error in units of the bound; at most 1 if the convention explains the number."""
        return abs(self.expected - self.got) / self.bound


def running_mean_checks(
    before: Variables, hidden: Sequence[float], after: Variables
) -> tuple[Average, ...]:
    """The homework for one step, by the two senses of momentum 0.9."""
    mu, _, s = statistics(_column(hidden))
    old = np.array(before.running_mean)
    return tuple(
        Average(
            convention=convention,
            expected=float(spec.update_running_mean(old, mu, decay).item()),
            got=after.running_mean,
            bound=float(bounds.running_mean_error(old, np.zeros(()), s, decay, FLOAT32).item()),
        )
        for convention, decay in (("0.9 old + 0.1 new", DECAY), ("0.1 old + 0.9 new", 1 - DECAY))
    )


def running_var_checks(
    before: Variables, hidden: Sequence[float], after: Variables
) -> tuple[Average, ...]:
    """The same for the variance, biased and with Bessel's correction."""
    _, v, s = statistics(_column(hidden))
    n, old = len(hidden), np.array(before.running_var)
    return tuple(
        Average(
            convention=convention,
            expected=float(spec.update_running_var(old, variance, DECAY).item()),
            got=after.running_var,
            bound=float(
                bounds.running_var_error(old, np.zeros(()), s, bessel, DECAY, FLOAT32).item()
            ),
        )
        for convention, variance, bessel in (
            ("biased, sum / n", v, 1.0),
            ("unbiased, sum / (n - 1)", spec.unbiased_variance(v, n), n / (n - 1)),
        )
    )


def _column(values: Sequence[float]) -> Float64:
    return np.array(values, np.float64).reshape(1, -1, 1)


def _row(values: Float64) -> tuple[float, ...]:
    return tuple(float(value) for value in values.ravel())
