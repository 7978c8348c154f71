"""What a case must give: the way in.

>>> expected = expect(case, make_inputs(case), Conventions.of(dialect))
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import fields

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
    closely,
    enough,
    is_exact_lane,
)
from .expecting.expecter_variants import EXPECTERS
from .expecting.stack import Stack, kind
from .expecting.together import Together
from .numbers.exact import Rational, each_within_range

__all__ = [
    "EXACT_DECAYS",
    "Conventions",
    "Expectation",
    "Expected",
    "closely",
    "enough",
    "expect",
    "expect_many",
    "expect_stacks",
    "is_exact_lane",
    "kept_weights",
    "stacked_at_once",
]

STACKED_BYTES = 2**19
"""The most that one array of a stack may take, unless a single case does.

A walk has some dozens of arrays at a time.
"""


def expect(case: Case, inputs: Inputs, conventions: Conventions) -> Expected:
    """All that ``case`` must give under ``conventions``.

    Evaluated in double-double arithmetic; each expectation can be had by exact arithmetic, too.
    """
    return expect_many([case], [inputs], conventions)[0]


def expect_many(
    cases: Sequence[Case],
    inputs: Sequence[Inputs],
    conventions: Conventions,
    number: Callable[[Case], NumberSystem] = closely,
) -> list[Expected]:
    """:func:`expect` of every case with its inputs, in their order, and far faster.

    The bits are the same; with ``number`` :func:`enough` there are as many as judging needs. Cases
    of one signature are walked through together, where their decays are all given or all None and
    all of them or none are in the exact lane.
    """
    found: dict[int, Expected] = {}
    for together in expect_stacks(cases, inputs, conventions, number):
        found.update((index, together.case(place)) for place, index in enumerate(together.members))
    return [found[index] for index in range(len(cases))]


def expect_stacks(
    cases: Sequence[Case],
    inputs: Sequence[Inputs],
    conventions: Conventions,
    number: Callable[[Case], NumberSystem] = closely,
) -> Iterator[Together]:
    """The same, as the stacks that are walked through."""
    for members in _stacks(cases, inputs):
        some = [cases[i] for i in members]
        yield _expect_stack(
            members, some, [inputs[i] for i in members], conventions, number(some[0])
        )


def _stacks(cases: Sequence[Case], inputs: Sequence[Inputs]) -> Iterator[list[int]]:
    """Which cases to walk through together."""
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for index, (case, given) in enumerate(zip(cases, inputs, strict=True)):
        alike[kind(case), kept_weights(given)].append(index)
    for members in alike.values():
        most = stacked_at_once(cases[members[0]])
        yield from (members[start : start + most] for start in range(0, len(members), most))


def stacked_at_once(case: Case) -> int:
    """How many cases like ``case`` are walked through together."""
    return max(1, STACKED_BYTES // max(8 * math.prod(case.shape), 1))


def kept_weights(inputs: Inputs) -> tuple[bool, ...]:
    """Which calls have any position with a weight."""
    weights = [step.weights for step in inputs.steps]
    return tuple(bool(np.any(each)) for each in weights if each is not None)


def _expect_stack(
    members: Sequence[int],
    cases: Sequence[Case],
    every: Sequence[Inputs],
    conventions: Conventions,
    number: NumberSystem,
) -> Together:
    """What cases of one kind must give."""
    stack = Stack.of(cases, conventions.epsilon_floor)
    inputs = stack.inputs(every)
    finite, in_range = _ranges(inputs)
    exact = [
        # What comes of NaN is no question of precision.
        _Exactly(case, given, conventions) if precise else None
        for case, given, precise in zip(cases, every, finite, strict=True)
    ]
    return Together(
        members=members,
        stack=stack,
        found=_walk(stack, inputs, conventions, number),
        exact=exact,
        in_range=[within or not sure for within, sure in zip(in_range, finite, strict=True)],
    )


class _Exactly:
    """The same by exact arithmetic, walked through when it is first asked for."""

    def __init__(self, case: Case, inputs: Inputs, conventions: Conventions) -> None:
        self.case, self.inputs, self.conventions = case, inputs, conventions

    @functools.cached_property
    def expected(self) -> Expected:
        stack = Stack.of([self.case], self.conventions.epsilon_floor)
        inputs = stack.inputs([self.inputs])
        return stack.only(_walk(stack, inputs, self.conventions, Rational))

    def __call__(self, index: int, name: Quantity) -> Expectation:
        step = self.expected.steps[index] if index >= 0 else self.expected.inference
        if step is None:
            msg = "the exact walk has no inference call where the other one had"
            raise RuntimeError(msg)
        return step[name]


def _ranges(inputs: Inputs) -> tuple[list[bool], list[bool]]:
    """For each case, whether all that enters its equations is finite, and in range."""
    p = inputs.parameters
    calls = {id(step): step for step in (*inputs.steps, inputs.inference)}
    arrays = [array for step in calls.values() for array in step.arrays.values()]
    named = {field.name: getattr(p, field.name) for field in fields(p)}
    # A variance enters by itself and under a root: its own magnitude counts, not its square.
    named["running_var"] = np.sqrt(np.abs(p.running_var))
    arrays += [array for array in named.values() if array is not None]
    flat = np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])
    return np.isfinite(flat).all(axis=0).tolist(), each_within_range(flat).tolist()


def _walk(stack: Stack, inputs: Inputs, conventions: Conventions, number: NumberSystem) -> Expected:
    # Cases that hold NaN or infinity have undefined channels by intention.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        expecter = EXPECTERS[stack.case.variant.kind](stack, inputs.parameters, conventions, number)
        return expecter.run(inputs)
