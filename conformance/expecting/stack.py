"""Cases of one kind side by side, so that one walk serves all of them.

An array of a stack has the reduction axes first, then the feature axes, and last an axis along the
cases: sums run over leading axes, what a channel has broadcasts over them, and what belongs to a
case (epsilon, decay) broadcasts as it is. No operation of the walk mixes cases, and every one gives
an element the same bits wherever it stands, so a case has the same expectations in any company.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..bounds import Float64
from ..case import Case
from ..cases.fills import Inputs, StepInputs
from ..contract import Array, Parameters, Quantity
from .expectation import Expectation, Expectations, Expected, is_exact_lane, rearranged

_IMAGES = frozenset({Quantity.Y, Quantity.DX, Quantity.Y_INFER})


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What a walk needs to know of its cases.

    ``case`` stands for all of them in what they share, its axes in the stack's order; ``epsilon``
    and ``decay`` have shape (cases,). ``order`` are the cases' axes as they come in a stack.
    """

    case: Case
    epsilon: Float64
    decay: Float64 | None
    exact_lane: bool
    order: tuple[int, ...]

    @classmethod
    def of(cls, cases: Sequence[Case], epsilon_floor: float = 0.0) -> Stack:
        """A stack of ``cases``, which must be of one :func:`kind`."""
        first = cases[0]
        epsilon = np.array([case.epsilon for case in cases], np.float64)
        return cls(
            case=_reordered(first),
            # A malformed call may have a negative one, which no floor of 0 is to mend.
            epsilon=np.maximum(epsilon, epsilon_floor) if epsilon_floor > 0 else epsilon,
            decay=_decays(cases),
            exact_lane=is_exact_lane(first),
            order=_order(first),
        )

    @property
    def count(self) -> int:
        """Number of cases."""
        return len(self.epsilon)

    def inputs(self, every: Sequence[Inputs]) -> Inputs:
        """The arrays of every case, stacked."""
        calls = list(zip(*((*each.steps, each.inference) for each in every), strict=True))
        # One buffer for several calls stays one.
        known: dict[tuple[int, ...], StepInputs] = {}
        for call in calls:
            key = tuple(map(id, call))
            if key not in known:
                known[key] = self.step(call)
        stacked = [known[tuple(map(id, call))] for call in calls]
        parameters = self.parameters([each.parameters for each in every])
        return Inputs(parameters=parameters, steps=tuple(stacked[:-1]), inference=stacked[-1])

    def step(self, every: Sequence[StepInputs]) -> StepInputs:
        """The arrays of one call of every case, stacked."""
        first = every[0]
        named = {
            name: self._stacked([getattr(each, name) for each in every], self.order)
            for name in first.arrays
        }
        return StepInputs(**named)

    def parameters(self, every: Sequence[Parameters]) -> Parameters:
        """Parameters and state of every case, stacked."""
        named: dict[str, Any] = {}
        for field in fields(every[0]):
            arrays = [getattr(each, field.name) for each in every]
            if arrays[0] is not None:
                named[field.name] = self._stacked(arrays, tuple(range(arrays[0].ndim)))
        return replace(_NOTHING, **named)

    def _stacked(self, arrays: Sequence[Array], order: tuple[int, ...]) -> Float64:
        together = np.concatenate([array[np.newaxis] for array in arrays])
        moved = together.transpose(*(axis + 1 for axis in order), 0)
        return np.ascontiguousarray(moved, np.float64)

    def columns(self, name: Quantity, found: Expectation) -> Expectation:
        """What is expected of the cases one after the other, the axes of each in their own order.

        Every array has the cases as its first axis.
        """
        back = self._back(name, found)
        return replace(
            found,
            value=rearranged(found.value, lambda array: _rows(array, back)),
            bound=_rows(found.bound, back),
            vacuous=_rows(found.vacuous, back),
            excluded=_rows(found.excluded, back),
        )

    def shape(self, name: Quantity, found: Expectation) -> tuple[int, ...]:
        """The shape of every case's array."""
        return tuple(found.bound.shape[axis] for axis in self._back(name, found)[1:])

    def _back(self, name: Quantity, found: Expectation) -> tuple[int, ...]:
        """Where the axes of :meth:`columns` are in a stack."""
        rank = len(self.order)
        return (rank, *np.argsort(self.order)) if name in _IMAGES else _last_first(found)

    def opened(self, found: Expectations) -> list[Expectations]:
        """Stacked expectations, case by case."""
        cases: list[Expectations] = [{} for _ in range(self.count)]
        for name, each in found.items():
            columns = self.columns(name, each)
            for place, case in enumerate(cases):
                case[name] = column(columns, place)
        return cases

    def only(self, found: Expected) -> Expected:
        """The expectations of a stack of one case, as its own."""
        return Expected(
            steps=tuple(self.opened(dict(step))[0] for step in found.steps),
            inference=None if found.inference is None else self.opened(dict(found.inference))[0],
        )


def column(columns: Expectation, place: int) -> Expectation:
    """What is expected of one case, of what :meth:`Stack.columns` gave."""
    return replace(
        columns,
        value=rearranged(columns.value, lambda array: array[place]),
        bound=columns.bound[place],
        vacuous=columns.vacuous[place],
        excluded=columns.excluded[place],
    )


_NOTHING = Parameters(gamma=None, beta=None, running_mean=np.zeros(0), running_var=np.zeros(0))


def kind(case: Case) -> Hashable:
    """What the cases of one stack have in common.

    All of a signature that a walk depends on, not how arrays lie in memory; and what makes two
    walks differ in their steps, not their numbers.
    """
    shape, order = case.shape, _order(case)
    return (
        shape,
        # As a stack puts the axes; the arrays of all its cases are turned in the same way.
        order,
        len(case.channel_axes),
        # Whether the batch is reduced over; an axis of features has no smaller last batch.
        order[0] == 0 and case.last_batch,
        case.dtype,
        case.center,
        case.scale,
        case.mode,
        case.steps,
        case.half_parameters,
        case.variant,
        case.decay is None,
        is_exact_lane(case),
    )


def _order(case: Case) -> tuple[int, ...]:
    return (*case.reduction_axes, *case.channel_axes)


def _reordered(case: Case) -> Case:
    """``case`` with its axes in the order of a stack."""
    order, rank = _order(case), case.rank
    if order == tuple(range(rank)):
        return case
    shape = tuple(case.shape[axis] for axis in order)
    features = tuple(range(rank - len(case.channel_axes), rank))
    last_batch = case.last_batch if order[0] == 0 else shape[0]
    return replace(case, shape=shape, feature_axes=features, last_batch=last_batch)


def _decays(cases: Sequence[Case]) -> Float64 | None:
    given = [case.decay for case in cases if case.decay is not None]
    return np.array(given, np.float64) if given else None


def _last_first(found: Expectation) -> tuple[int, ...]:
    dimensions = found.bound.ndim
    return (dimensions - 1, *range(dimensions - 1))


def _rows(stacked: np.ndarray, back: tuple[int, ...]) -> np.ndarray:
    """The cases' arrays one after the other, each in C order; a view where they lie so already."""
    return np.asanyarray(stacked.transpose(back), order="C")
