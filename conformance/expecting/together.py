"""What a stack of cases must give, together and case by case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from ..contract import Quantity
from ..formats import Format
from .expectation import Expectation, Expected
from .stack import Stack, column

Exactly: TypeAlias = Callable[[int, Quantity], Expectation]
"""A quantity of a case's step, -1 for the inference call, by exact arithmetic."""


@dataclass(kw_only=True, eq=False)
class Sheet:
    """A quantity of one step of all cases of a stack; an :class:`Entry` is one case's."""

    index: int
    name: Quantity
    stack: Stack
    stacked: Expectation
    exact: Sequence[Exactly | None]
    in_range: Sequence[bool]
    shape: tuple[int, ...] = field(init=False)
    """Of every case's array."""
    _columns: Expectation | None = field(default=None, init=False, repr=False)
    _parts: tuple[Sheet, Sheet] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Everybody asks for the shape."""
        self.shape = self.stack.shape(self.name, self.stacked)

    @property
    def columns(self) -> Expectation:
        """All of the expectations, the cases along the first axis."""
        if self._columns is not None:
            return self._columns
        found = self.stack.columns(self.name, self.stacked)
        if self.stack.count > 1:
            # That of a single case may be large, and is looked at once.
            self._columns = found
        return found

    def parts(self, inside: np.ndarray) -> tuple[Sheet, Sheet]:
        """The same, looked at only where ``inside``, of a case's shape, is true, and elsewhere.

        Kept: every call must be about the same elements.
        """
        if self._parts is None:
            self._parts = self._without(~inside), self._without(inside)
        return self._parts

    def _without(self, places: np.ndarray) -> Sheet:
        found, columns = replace(self), self.columns
        found._columns = columns.without(np.broadcast_to(places, columns.value.shape))  # noqa: SLF001 -- its own kind
        return found

    @property
    def output(self) -> Format:
        """The format that a subject must answer in."""
        return self.stacked.output

    def opened(self, place: int) -> Expectation:
        """What one case must give."""
        exactly = self.exact[place]
        return replace(
            column(self.columns, place),
            exact=None if exactly is None else partial(exactly, self.index, self.name),
            in_range=self.in_range[place],
        )


class Entry(NamedTuple):
    """One case's place on a sheet: its expectation, not yet taken out."""

    sheet: Sheet
    place: int


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
    _sheets: dict[tuple[int, Quantity], Sheet] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def case(self, place: int) -> Expected:
        """What the case at ``place`` of the stack must give; taken out as it is looked at."""
        steps = tuple(Opened(self, index, place) for index in range(len(self.found.steps)))
        inference = None if self.found.inference is None else Opened(self, -1, place)
        return Expected(steps=steps, inference=inference)

    def step(self, index: int) -> Mapping[Quantity, Expectation]:
        """The stacked expectations of a step, -1 for the inference call."""
        step = self.found.steps[index] if index >= 0 else self.found.inference
        return {} if step is None else step

    def sheet(self, index: int, name: Quantity) -> Sheet:
        """One quantity of a step; KeyError where the step has none of it."""
        found = self._sheets.get((index, name))
        if found is None:
            found = Sheet(
                index=index,
                name=name,
                stack=self.stack,
                stacked=self.step(index)[name],
                exact=self.exact,
                in_range=self.in_range,
            )
            self._sheets[index, name] = found
        return found


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
            found = self._together.sheet(self._index, name).opened(self._place)
            self._known[name] = found
        return found

    def entry(self, name: Quantity) -> Entry:
        """Where the expectation of ``name`` stands, to be compared without taking it out."""
        return Entry(self._together.sheet(self._index, name), self._place)

    def __iter__(self) -> Iterator[Quantity]:
        """The quantities that are expected."""
        return iter(self._together.step(self._index))

    def __len__(self) -> int:
        """How many they are."""
        return len(self._together.step(self._index))
