"""An Alternative: batch normalization with one thing done another way, and what it then gives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import spec
from ..case import Case
from ..cases.fills import Inputs
from ..contract import GRADIENTS, RUNNING_STATISTICS, Quantity
from ..expecting.expectation import Conventions, Expected
from ..expecting.expecter import Expecter
from ..expecting.expecter_variants import EXPECTERS
from ..expecting.stack import Stack, kind
from ..reference import enough, kept_weights
from .names import Why

EVERYTHING = frozenset(Quantity)
STATE = RUNNING_STATISTICS | {Quantity.Y_INFER}
FORWARD_AND_GRADIENTS = frozenset({Quantity.Y, Quantity.Y_INFER}) | GRADIENTS


def _always(case: Case) -> bool:
    del case
    return True


def _same_case(case: Case) -> Case:
    return case


def _same_conventions(conventions: Conventions) -> Conventions:
    return conventions


def _same_inputs(inputs: Inputs) -> Inputs:
    return inputs


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """One thing done another way.

    ``quantities`` are those that it can change, ``concerns`` the cases in which it can, ``within``
    what those have in common, in the grammar of a known divergence's ``where``. The request is
    misread by ``case`` and ``inputs``, another documented convention is followed by
    ``conventions``, functions of ``spec.py`` are exchanged by ``equations``, and the order of
    things is changed by ``walk``, a class that is put before the case's own Expecter. ``wider``
    ones give the same values with wider bounds, so that nothing can contradict them;
    ``any_value`` says that they promise nothing where their bounds are vacuous, not even that the
    answer is finite.
    """

    why: Why
    sentence: str
    quantities: frozenset[Quantity] = EVERYTHING
    concerns: Callable[[Case], bool] = _always
    within: Mapping[str, Any] = field(default_factory=dict)
    case: Callable[[Case], Case] = _same_case
    inputs: Callable[[Inputs], Inputs] = _same_inputs
    conventions: Callable[[Conventions], Conventions] = _same_conventions
    equations: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    walk: type | None = None
    wider: bool = False
    any_value: bool = False

    def expect(self, case: Case, inputs: Inputs, conventions: Conventions) -> Expected:
        """What a subject that does it this way would give; bounds are those of the spec's way."""
        stack, found = walk([self.reading(case, inputs, conventions)])
        return stack.only(found)

    def reading(self, case: Case, inputs: Inputs, conventions: Conventions) -> Reading:
        """The case as such a subject reads it."""
        conventions = self.conventions(conventions)
        case = self.case(case)
        floor = conventions.epsilon_floor
        if case.epsilon < floor:
            # Of the case, so that those with other floors can be walked through beside it.
            case = replace(case, epsilon=floor)
        return Reading(
            case=case,
            inputs=self.inputs(inputs),
            conventions=replace(conventions, epsilon_floor=0.0),
            walker=self._walker(case),
        )

    def _walker(self, case: Case) -> type[Expecter]:
        return _walker(case.variant.kind.value, self.walk, self._namespace)

    @functools.cached_property
    def _namespace(self) -> Any:
        if not self.equations:
            return spec
        return SimpleNamespace(**{**vars(spec), **self.equations})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A case as it was read, its arrays, and who walks through it under which conventions."""

    case: Case
    inputs: Inputs
    conventions: Conventions
    walker: type[Expecter]

    @property
    def sort(self) -> Hashable:
        """What readings that are walked through together have in common."""
        return kind(self.case), kept_weights(self.inputs), self.conventions, self.walker


def walk(readings: Sequence[Reading]) -> tuple[Stack, Expected]:
    """What readings of one sort give, stacked."""
    first = readings[0]
    stack = Stack.of([each.case for each in readings])
    inputs = stack.inputs([each.inputs for each in readings])
    with np.errstate(all="ignore"):
        number = enough(first.case)
        walker = first.walker(stack, inputs.parameters, first.conventions, number)
        return stack, walker.run(inputs)


_walkers: dict[tuple[str, type | None, int], type[Expecter]] = {}


def _walker(kind: str, walk: type | None, equations: Any) -> type[Expecter]:
    """The variant's Expecter with ``walk`` before it and ``equations`` in it."""
    key = (kind, walk, id(equations))
    if key not in _walkers:
        base = next(each for name, each in EXPECTERS.items() if name.value == kind)
        bases = (base,) if walk is None else (walk, base)
        _walkers[key] = type("AlternativeExpecter", bases, {"equations": equations})
    return _walkers[key]
