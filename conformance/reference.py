"""What a case must give: the way in.

>>> expected = expect(case, make_inputs(case), Conventions.of(dialect))
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial

import numpy as np

from .case import Case
from .cases.fills import Inputs
from .contract import Quantity
from .expecting.expectation import (
    EXACT_DECAYS,
    Conventions,
    Expectation,
    Expected,
    NumberSystem,
    is_exact_lane,
)
from .expecting.expecter_variants import EXPECTERS
from .numbers.doubledouble import DoubleDouble
from .numbers.exact import Rational, within_range

__all__ = [
    "EXACT_DECAYS",
    "Conventions",
    "Expectation",
    "Expected",
    "expect",
    "is_exact_lane",
]


def expect(case: Case, inputs: Inputs, conventions: Conventions) -> Expected:
    """All that ``case`` must give under ``conventions``.

    Evaluated in double-double arithmetic; each expectation can be had by exact arithmetic, too.
    """
    case = replace(case, epsilon=max(case.epsilon, conventions.epsilon_floor))
    found = _walk(case, inputs, conventions, DoubleDouble)
    arrays = _arrays(inputs)
    if not all(np.isfinite(array).all() for array in arrays):
        # What comes of NaN is no question of precision.
        return found
    in_range = within_range(*arrays)

    @functools.cache
    def exact() -> Expected:
        return _walk(case, inputs, conventions, Rational)

    def settled(index: int, name: Quantity) -> Expectation:
        step = exact().steps[index] if index >= 0 else exact().inference
        if step is None:
            msg = "the exact walk has no inference call where the other one had"
            raise RuntimeError(msg)
        return step[name]

    def open_(step: Mapping[Quantity, Expectation], index: int) -> dict[Quantity, Expectation]:
        return {
            name: replace(each, exact=partial(settled, index, name), in_range=in_range)
            for name, each in step.items()
        }

    return Expected(
        steps=tuple(open_(step, index) for index, step in enumerate(found.steps)),
        inference=None if found.inference is None else open_(found.inference, -1),
    )


def _arrays(inputs: Inputs) -> list[np.ndarray]:
    """Everything that enters the equations, as float64."""
    p = inputs.parameters
    calls = [array for step in (*inputs.steps, inputs.inference) for array in step.arrays.values()]
    named = [getattr(p, field.name) for field in fields(p)]
    every = [*calls, *(array for array in named if array is not None)]
    return [array.astype(np.float64) for array in every]


def _walk(case: Case, inputs: Inputs, conventions: Conventions, number: NumberSystem) -> Expected:
    # Cases that hold NaN or infinity have undefined channels by intention.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        expecter = EXPECTERS[case.variant.kind](case, inputs.parameters, conventions, number)
        return expecter.run(inputs)
