r"""The systematic-error test: errors within their bounds that all lean the same way.

A bound on the worst case cannot see an error of one unit in the last place (ULP) that one output
in ten has. Over many independent outputs it shows: if every operation rounds to nearest, the error
of each is as likely to be positive as negative, and their mean must be near zero.

One signed error e to a channel, since all outputs of a channel share the statistics' error:

    e = sum sign(z) (got - exact) / (u_o sum |exact|),    z = exact - beta,

sums over the channel's outputs, u_o the unit roundoff of the output's format. An inverse deviation
that is off by the factor 1 + q moves every output by q z, hence e by q / u_o where beta = 0.

**Statistic.** T = |sum e| / sqrt(sum e^2) over N channels: the mean in units of the root mean
square, times sqrt(N). If the e are independent and symmetric about zero, then given their sizes
only their signs are random, and Hoeffding's inequality (1963, theorem 2) gives

    P(T >= t) <= 2 exp(-t^2 / 2)    for every N and every distribution of sizes

(Efron, "Student's t-test under symmetry conditions", 1969). The limit t = sqrt(2 ln(2 k / alpha))
therefore reports a correct subject with probability alpha at most over all of its k tests. With
alpha = 1e-6 and k = 1, t = 5.39; T never exceeds sqrt(N), so N <= t^2 channels say nothing.

**Power.** With noise of root mean square s and a mean shift m, T is about sqrt(N) m / sqrt(s^2 +
m^2). A correctly rounded product of r = fl(1 / fl(sqrt(v + eps))) has s of about 0.6 u; one ULP is
between u and 2u, 1.44 u on average over mantissas, so that one in ten such errors gives m = 0.14:
N = 4,096 channels give T = 15.

**What is one-sided without being wrong** has an allowance a, in the unit of e: epsilon, rounded to
the subject's format, moves r by up to u eps / (2 (v + eps)) the same way in every channel. It is 0
where epsilon is representable. And rounding to nearest itself leans by a term of second order where
values are not spread evenly between neighbours: towards the side with fewer of them, and at powers
of two, where the spacing doubles. Measured, that is 0.2 u_o of the unit of e for normal values;
2 u_o are allowed, which only bfloat16 would notice, from some ten thousand channels on. T is
computed from max(|sum e| - sum a, 0).

**Where it may be used.** ``signed_errors`` takes ordinary values only (fill ``normal``), since
constant, tiny and huge ones share their mantissas' fate; n >= 8, because at n = 2 every xhat is
just below 1, and rounding up the same for all; plain cases; and outputs in training and inference,
not ``y_infer``, whose decay is rounded once for all channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from ..bounds import Float64
from ..case import Case, FillKind, Mode
from ..contract import Answered, Array, Quantity
from ..expecting.expectation import Expectation
from ..formats import compute_format
from ..variant import PLAIN
from .judge import Trial

ALPHA = 1e-6
"""Probability, at most, that a subject without systematic errors is reported."""

SMALLEST_COUNT = 8
"""Values per channel from which on outputs have mantissas of their own."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Independent signed errors, added up: tallies of different cases may be added.

    ``count`` is N, ``total`` sum e, ``squares`` sum e^2, ``allowance`` sum a; in units of u_o.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    allowance: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            count=self.count + other.count,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            allowance=self.allowance + other.allowance,
        )

    @property
    def mean(self) -> float:
        """Mean signed error in units of u_o; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    @property
    def mean_square(self) -> float:
        """Mean squared error in units of u_o^2; 0 of nothing."""
        return self.squares / self.count if self.count else 0.0

    @property
    def statistic(self) -> float:
        """T; 0 where every error is."""
        beyond = max(abs(self.total) - self.allowance, 0.0)
        return beyond / math.sqrt(self.squares) if beyond else 0.0


class Direction(StrEnum):
    """Which way results are off, on the whole."""

    TOO_LARGE = "too large"
    TOO_SMALL = "too small"


@dataclass(frozen=True, kw_only=True)
class TooFew:
    """Not enough channels for any error to show: no pass."""

    tally: Tally
    needed: int


@dataclass(frozen=True, kw_only=True)
class Clean:
    """No systematic error is shown by ``tally.count`` channels; ``limit`` is what T may be."""

    tally: Tally
    limit: float


@dataclass(frozen=True, kw_only=True)
class Systematic:
    """Results lean one way; ``size`` is by how much on average, in units of u_o."""

    tally: Tally
    limit: float
    direction: Direction
    size: float


Finding: TypeAlias = Clean | Systematic | TooFew


def limit_of(tests: int = 1, alpha: float = ALPHA) -> float:
    """t = sqrt(2 ln(2 k / alpha)) for k = ``tests`` of one subject."""
    if tests < 1 or not 0 < alpha < 1:
        msg = f"tests must be 1 or more and alpha in (0, 1), got {tests} and {alpha}"
        raise ValueError(msg)
    return math.sqrt(2 * math.log(2 * tests / alpha))


def systematic(tally: Tally, tests: int = 1, alpha: float = ALPHA) -> Finding:
    """Whether the errors in ``tally`` lean one way, if ``tests`` such questions are asked."""
    limit = limit_of(tests, alpha)
    needed = math.floor(limit**2) + 1
    if tally.count < needed:
        return TooFew(tally=tally, needed=needed)
    if tally.statistic < limit:
        return Clean(tally=tally, limit=limit)
    direction = Direction.TOO_LARGE if tally.total > 0 else Direction.TOO_SMALL
    size = (abs(tally.total) - tally.allowance) / tally.count
    return Systematic(tally=tally, limit=limit, direction=direction, size=size)


def tally_of(errors: Float64, allowance: Float64 | float = 0.0) -> Tally:
    """Independent signed errors, with what each may be off to one side without being wrong."""
    return Tally(
        count=int(errors.size),
        total=float(errors.sum()),
        squares=float(np.square(errors).sum()),
        allowance=float(np.broadcast_to(allowance, errors.shape).sum()),
    )


def signed_errors(trial: Trial, outcome: Answered) -> Mapping[Quantity, Tally]:
    """The tally of y over the channels of every step of ``outcome``; empty where not usable.

    Answers that have the wrong form, or are not finite somewhere, are left to the judge.
    """
    case = trial.case
    if not usable(case):
        return {}
    found = Tally()
    calls = zip(trial.inputs.steps, outcome.answer.steps, trial.expected.steps, strict=True)
    for inputs, step, expected in calls:
        want = expected[Quantity.Y]
        form = isinstance(step.y, np.ndarray) and step.y.shape == want.value.shape
        if not form or step.y.dtype != want.output.numpy or not np.isfinite(step.y).all():
            return {}
        parameters = trial.inputs.parameters
        errors = _by_channel(case, step.y, want, parameters.beta)
        var = _variance(case, inputs.x, parameters.running_var)
        found += tally_of(*_kept(errors, _allowance(case, var, want)))
    return {Quantity.Y: found}


def usable(case: Case) -> bool:
    """Whether the errors of ``case`` are symmetric and independent if all rounds to nearest."""
    return (
        case.fill.kind is FillKind.NORMAL
        and case.variant == PLAIN
        and not case.half_parameters
        and case.mode is not Mode.FROZEN
        and case.smallest_count >= SMALLEST_COUNT
    )


def _by_channel(case: Case, got: Array, want: Expectation, beta: Array | None) -> Float64:
    """e for each channel, of ``feature_shape``; NaN where nothing was expected but zeros."""
    axes = case.reduction_axes
    exact = want.value.hi
    error = (got.astype(np.float64) - exact) - want.value.lo
    shift = 0.0 if beta is None else np.expand_dims(beta.astype(np.float64), axes)
    size = want.output.unit_roundoff * np.abs(exact).sum(axis=axes)
    total = (np.sign(exact - shift) * error).sum(axis=axes)
    nothing = np.full(size.shape, np.nan)
    return np.asarray(np.divide(total, size, out=nothing, where=size > 0))


def _variance(case: Case, x: Array, running_var: Array) -> Float64:
    """What normalizes: the batch's variance, or the running one; to a few digits."""
    if case.mode is Mode.INFERENCE:
        return np.asarray(running_var, np.float64)
    return np.asarray(x.astype(np.float64).var(axis=case.reduction_axes))


def _allowance(case: Case, var: Float64, want: Expectation) -> Float64:
    """a: what the roundings of epsilon and of the output may lean by, in units of u_o."""
    compute = compute_format(case.dtype)
    off = abs(float(compute.numpy.type(case.epsilon)) - case.epsilon)
    u_o = want.output.unit_roundoff
    return np.asarray(off / (2 * (var + case.epsilon)) / u_o + 2 * u_o)


def _kept(errors: Float64, allowance: Float64) -> tuple[Float64, Float64]:
    defined = np.isfinite(errors)
    return errors[defined], allowance[defined]
