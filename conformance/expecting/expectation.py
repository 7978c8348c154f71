"""What is expected of a subject: exact values with bounds, and the conventions they are under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import numpy as np

from ..bounds import Float64, Precision, underflow_unit
from ..case import Case, FillKind
from ..contract import Quantity
from ..dialect import (
    Arithmetic,
    Averaging,
    Dialect,
    FrozenPolicy,
    GhostGroups,
    HalfGradient,
    HalfOutput,
    RunningVariance,
    SavedStatistics,
    TrainingStatistics,
    VarianceAlgorithm,
)
from ..formats import FORMATS, DType, Format, compute_format
from ..numbers.doubledouble import DoubleDouble
from ..numbers.exact import Rational
from ..numbers.single import Single
from ..variant import PLAIN

Number: TypeAlias = DoubleDouble | Rational
"""An array in one of the number systems that the equations are evaluated in.

``Single`` is one of them, too: it has the face of a ``DoubleDouble``, and passes for one here.
"""

NumberSystem: TypeAlias = type[DoubleDouble] | type[Rational]

_TF32_UNIT_ROUNDOFF = 2.0**-11

EXACT_DECAYS = (0.0, 0.5, 1.0)
"""Decays for which the exact lane's running averages need no rounding in any format."""


def is_exact_lane(case: Case) -> bool:
    """Whether mean, variance and dbeta of every step are exact in any order of summation.

    Values stay below 16, so that n squares sum to less than 2^8 n, which 24 bits hold up to
    n = 2^16; every update with decay 1/2 needs one more bit. Variants take other sums, and a state
    in half precision has too few bits.
    """
    if case.fill.kind is not FillKind.EXACT or case.steps > 4:
        return False
    if case.variant != PLAIN or case.half_parameters:
        return False
    counts = [case.count(shape) for shape in case.step_shapes]
    return all(0 < n <= 2**12 and n & (n - 1) == 0 for n in counts)


def closely(_: Case) -> NumberSystem:
    """The number system in which every case is known to about 100 bits."""
    return DoubleDouble


def enough(case: Case) -> NumberSystem:
    """The number system in which ``case`` can be judged at the least cost; see ``single.py``."""
    coarse = compute_format(case.dtype).unit_roundoff >= 2.0**-24
    single = cast("NumberSystem", Single)
    return single if coarse and not is_exact_lane(case) else DoubleDouble


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """The part of a dialect that decides what is expected and how closely."""

    running_variance: RunningVariance
    algorithm: VarianceAlgorithm
    frozen: FrozenPolicy
    half_output: HalfOutput
    half_gradient: HalfGradient
    epsilon_floor: float
    averaging: Averaging = Averaging.EXPONENTIAL
    training_statistics: TrainingStatistics = TrainingStatistics.BATCH
    ghost_groups: GhostGroups = GhostGroups.CONTIGUOUS
    saved_statistics: SavedStatistics = SavedStatistics.ACCUMULATION
    arithmetic: Arithmetic = Arithmetic.IEEE

    @classmethod
    def of(cls, dialect: Dialect) -> Conventions:
        """The conventions that ``dialect`` claims."""
        return cls(
            running_variance=dialect.running_variance.value,
            algorithm=dialect.variance.value,
            frozen=dialect.frozen.value,
            half_output=dialect.half_output.value,
            half_gradient=dialect.half_gradient.value,
            epsilon_floor=dialect.epsilon_floor.value,
            averaging=dialect.averaging.value,
            training_statistics=dialect.training_statistics.value,
            ghost_groups=dialect.ghost_groups.value,
            saved_statistics=dialect.saved_statistics.value,
            arithmetic=dialect.arithmetic.value,
        )

    def precision(self, case: Case) -> Precision:
        """What a subject with these conventions computes ``case`` in."""
        lower = {
            SavedStatistics.ACCUMULATION: False,
            SavedStatistics.INPUT: case.dtype in (DType.FLOAT16, DType.BFLOAT16),
            SavedStatistics.PARAMETERS: case.half_parameters,
        }
        tf32 = self.arithmetic is Arithmetic.TF32 and case.dtype is not DType.FLOAT64
        plain = Precision(
            accumulation=compute_format(case.dtype),
            algorithm=self.algorithm,
            factors=_TF32_UNIT_ROUNDOFF if tf32 else 0.0,
        )
        if not lower[self.saved_statistics]:
            return plain
        saved = FORMATS[case.dtype]
        return replace(
            plain,
            saved=saved.unit_roundoff,
            saved_least=underflow_unit(saved, plain.accumulation),
            saved_largest=saved.largest,
        )


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Exact values of one quantity, the bound of each element, and which bounds say nothing.

    ``value`` is hi + lo of a double-double; ``vacuous`` marks elements that any finite answer
    would satisfy; ``excluded`` those that are not looked at; ``output`` is the format the subject
    must answer in. ``exact`` gives the same by exact arithmetic, which decides where double-double
    cannot: None where that is no question. ``in_range`` is False where the inputs left its range.
    """

    value: Number
    bound: Float64
    vacuous: np.ndarray
    excluded: np.ndarray
    output: Format
    exact: Callable[[], Expectation] | None = None
    in_range: bool = True

    def without(self, places: np.ndarray) -> Expectation:
        """The same, not looking at ``places``, which must have the value's shape."""
        return replace(self, vacuous=self.vacuous | places, excluded=self.excluded | places)

    def reshape(self, *shape: int) -> Expectation:
        """The same in another shape."""
        return replace(
            self,
            value=self.value.reshape(shape),
            bound=self.bound.reshape(shape),
            vacuous=self.vacuous.reshape(shape),
            excluded=self.excluded.reshape(shape),
        )


Expectations: TypeAlias = dict[Quantity, Expectation]
"""Of one call, or of the state."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Expectations of every quantity, step by step, then of the inference call after training."""

    steps: tuple[Mapping[Quantity, Expectation], ...]
    inference: Mapping[Quantity, Expectation] | None


def expectation(
    value: Number, bound: Float64, vacuous: np.ndarray | None, output: Format
) -> Expectation:
    """An expectation that is looked at everywhere; an infinite bound is vacuous."""
    nothing_known = ~np.isfinite(bound)
    if nothing_known.any():
        nothing_known = nothing_known & np.isfinite(value.hi)
    if vacuous is not None and vacuous.any():
        nothing_known = nothing_known | vacuous
    return Expectation(
        value=value,
        bound=_filling(bound, value.shape),
        vacuous=_filling(nothing_known, value.shape),
        excluded=np.zeros(value.shape, bool),
        output=output,
    )


def _filling(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return values if values.shape == shape else np.asarray(np.broadcast_to(values, shape))


def chosen(first: np.ndarray, one: Number, other: Number) -> Number:
    """``one`` where ``first`` says so, ``other`` elsewhere."""
    if isinstance(one, DoubleDouble) and isinstance(other, DoubleDouble):
        return DoubleDouble(np.where(first, one.hi, other.hi), np.where(first, one.lo, other.lo))
    if isinstance(one, Rational) and isinstance(other, Rational):
        return Rational(np.where(first, one.values, other.values))
    return type(one)(np.where(first, one.hi, other.hi))


def rearranged(value: Number, order: Callable[[np.ndarray], np.ndarray]) -> Number:
    """``value`` with its elements put in another order or shape by ``order``."""
    match value:
        case Rational():
            return Rational(order(value.values))
        case DoubleDouble():
            return DoubleDouble(order(value.hi), order(value.lo))
        case _:
            return order(value)
