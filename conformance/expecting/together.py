"""What a stack of cases must give, together and case by case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from ..contract import Quantity
from .expectation import Expectation, Expected
from .stack import Column, Stack

Exactly: TypeAlias = Callable[[int, Quantity], Expectation]
"""A quantity of a case's step, -1 for the inference call, by exact arithmetic."""

Columns: TypeAlias = dict[tuple[int, Quantity], list[Column]]


@dataclass(frozen=True, kw_only=True)
class Together:
    """The expectations of a stack: ``found`` holds them stacked, :meth:`case` one case's.

    ``members`` are the cases' positions among those that were asked about; ``exact`` and
    ``in_range`` are theirs as in :class:`~.expectation.Expectation`.
    """

    members: Sequence[int]
    stack: Stack
    found: Expected
    exact: Sequence[Exactly | None]
    in_range: Sequence[bool]
    _columns: Columns = field(default_factory=dict, init=False, repr=False, compare=False)

    def case(self, place: int) -> Expected:
        """What the case at ``place`` of the stack must give; taken out as it is looked at."""
        steps = tuple(Opened(self, index, place) for index in range(len(self.found.steps)))
        inference = None if self.found.inference is None else Opened(self, -1, place)
        return Expected(steps=steps, inference=inference)

    def step(self, index: int) -> Mapping[Quantity, Expectation]:
        """The stacked expectations of a step, -1 for the inference call."""
        step = self.found.steps[index] if index >= 0 else self.found.inference
        return {} if step is None else step

    def expectation(self, index: int, place: int, name: Quantity) -> Expectation:
        """One quantity of one case; KeyError where the step has none of it."""
        stacked = self.step(index)[name]
        if (index, name) not in self._columns:
            self._columns[index, name] = list(self.stack.columns(name, stacked))
        value, bound, vacuous, excluded = self._columns[index, name][place]
        exactly = self.exact[place]
        return Expectation(
            value=value,
            bound=bound,
            vacuous=vacuous,
            excluded=excluded,
            output=stacked.output,
            exact=None if exactly is None else partial(exactly, index, name),
            in_range=self.in_range[place],
        )


class Opened(Mapping[Quantity, Expectation]):
    """The expectations of one case's step."""

    __slots__ = ("_index", "_known", "_place", "_together")

    def __init__(self, together: Together, index: int, place: int) -> None:
        """Of step ``index`` of the case at ``place``; nothing is taken out yet."""
        self._together, self._index, self._place = together, index, place
        self._known: dict[Quantity, Expectation] = {}

    def __getitem__(self, name: Quantity) -> Expectation:
        """The expectation of ``name``."""
        found = self._known.get(name)
        if found is None:
            found = self._together.expectation(self._index, self._place, name)
            self._known[name] = found
        return found

    def __iter__(self) -> Iterator[Quantity]:
        """The quantities that are expected."""
        return iter(self._together.step(self._index))

    def __len__(self) -> int:
        """How many they are."""
        return len(self._together.step(self._index))
