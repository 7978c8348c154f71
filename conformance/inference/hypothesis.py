"""A Hypothesis: conventions that a subject may follow, and what it would then answer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from ..case import Case
from ..cases.fills import Inputs
from ..contract import Quantity
from ..dialect import (
    Arithmetic,
    Averaging,
    FrozenPolicy,
    GhostGroups,
    HalfGradient,
    HalfOutput,
    RunningVariance,
    SavedStatistics,
    TrainingStatistics,
    VarianceAlgorithm,
)
from ..expecting.expectation import Conventions, Expectation, Expected
from ..reference import expect


class Weight(StrEnum):
    """What becomes of the weight of the old value on its way to the running statistics."""

    AS_GIVEN = "as_given"
    SWAPPED = "swapped"
    """It weighs the new value."""


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """Conventions, and how the decay is read; each of their fields is a convention by its name."""

    conventions: Conventions
    weight: Weight = Weight.AS_GIVEN

    def value(self, name: str) -> Any:
        """The value of the convention called ``name``."""
        return self.weight if name == "weight" else getattr(self.conventions, name)

    def having(self, **values: Any) -> Hypothesis:
        """The same with other values of some conventions."""
        weight = values.pop("weight", self.weight)
        return replace(self, conventions=replace(self.conventions, **values), weight=weight)

    def differences(self, other: Hypothesis) -> tuple[str, ...]:
        """The names of the conventions in which the two differ."""
        names = ["weight", *(field.name for field in fields(Conventions))]
        return tuple(name for name in names if self.value(name) != other.value(name))

    def expect(self, case: Case, inputs: Inputs) -> Expected:
        """What a subject that follows it gives for ``case``."""
        if self.weight is Weight.SWAPPED and case.decay is not None:
            case = replace(case, decay=1.0 - case.decay)
        return expect(case, inputs, self.conventions)


WIDEST = Hypothesis(
    conventions=Conventions(
        running_variance=RunningVariance.BIASED,
        algorithm=VarianceAlgorithm.ONE_PASS,
        frozen=FrozenPolicy.RUNNING_STATISTICS,
        half_output=HalfOutput.INPUT,
        half_gradient=HalfGradient.BY_TERM,
        epsilon_floor=0.0,
        saved_statistics=SavedStatistics.INPUT,
        arithmetic=Arithmetic.TF32,
    )
)
"""Where inference starts: whatever decides bounds alone has its widest value."""

VALUES: Mapping[str, tuple[Any, ...]] = {
    "weight": tuple(Weight),
    "running_variance": (RunningVariance.BIASED, RunningVariance.UNBIASED),
    "averaging": tuple(Averaging),
    "training_statistics": tuple(TrainingStatistics),
    "algorithm": tuple(VarianceAlgorithm),
    "arithmetic": tuple(Arithmetic),
    "frozen": (FrozenPolicy.RUNNING_STATISTICS, FrozenPolicy.BATCH_STATISTICS),
    "half_output": tuple(HalfOutput),
    "half_gradient": tuple(HalfGradient),
    "saved_statistics": (
        SavedStatistics.ACCUMULATION,
        SavedStatistics.PARAMETERS,
        SavedStatistics.INPUT,
    ),
    "ghost_groups": tuple(GhostGroups),
}
"""What each convention can be; of two that give the same values, the narrower bound is first."""


def combinations(base: Hypothesis, names: Sequence[str]) -> tuple[Hypothesis, ...]:
    """``base`` with every combination of values of the conventions called ``names``."""
    every = itertools.product(*(VALUES[name] for name in names))
    return tuple(base.having(**dict(zip(names, values, strict=True))) for values in every)


def each_expectation(
    expected: Expected, exposed: frozenset[Quantity]
) -> dict[tuple[int, Quantity], Expectation]:
    """The expectations of exposed quantities by step, of which -1 is the inference at the end."""
    found = {
        (index, quantity): each
        for index, step in enumerate(expected.steps)
        for quantity, each in step.items()
        if quantity in exposed
    }
    after = (expected.inference or {}).get(Quantity.Y_INFER)
    if after is not None and Quantity.Y_INFER in exposed:
        found[-1, Quantity.Y_INFER] = after
    return found
