"""The elements of many comparisons in one row, so that one operation serves all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from ..bounds import Float64
from ..contract import Array
from ..expecting.expectation import Expectation, rearranged
from ..expecting.together import Entry, Sheet
from ..formats import Format

Want: TypeAlias = Expectation | Entry
"""What a subject must give, as it is or by its place among others."""

Pair: TypeAlias = tuple[Array, Want]
"""What a subject gave, and what it must give."""

CHUNK = 2**14
"""Elements compared at once: the arrays of so many stay in a core's own cache."""


def shape_of(want: Want) -> tuple[int, ...]:
    """The shape that an answer must have."""
    return want.sheet.shape if isinstance(want, Entry) else want.value.shape


def output_of(want: Want) -> Format:
    """The format that an answer must have."""
    return want.sheet.output if isinstance(want, Entry) else want.output


@dataclass(frozen=True, kw_only=True)
class Block:
    """Comparisons with what stands on one sheet; ``columns`` are theirs alone, in their order.

    ``numbers`` are the comparisons' positions among those that were asked for. A single
    expectation that is on no sheet is a block of its own.
    """

    numbers: Sequence[int]
    gots: Sequence[Array]
    wants: Sequence[Want]
    columns: Expectation

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.columns.bound.size

    @property
    def output(self) -> Format:
        """The format of all answers."""
        return self.columns.output

    def out_of_range(self) -> list[bool]:
        """Whether what each comparison is with left the range of double-double."""
        first = self.wants[0]
        if isinstance(first, Entry) and all(first.sheet.in_range):
            return [False] * len(self.wants)
        return [not _in_range(want) for want in self.wants]


def chunks(pairs: Sequence[Pair]) -> Iterator[list[Block]]:
    """``pairs`` in blocks, so many at a time that ``CHUNK`` elements are not exceeded by two."""
    chunk: list[Block] = []
    elements = 0
    for block in _blocks(pairs):
        if chunk and elements + block.size > CHUNK:
            yield chunk
            chunk, elements = [], 0
        chunk.append(block)
        elements += block.size
    if chunk:
        yield chunk


def _blocks(pairs: Sequence[Pair]) -> Iterator[Block]:
    """Those of one sheet together; none of more than ``CHUNK`` elements if it has two cases."""
    by_sheet: dict[int, list[int]] = defaultdict(list)
    for number, (_, want) in enumerate(pairs):
        # A sheet lives as long as its entries, so that no other one gets its number.
        by_sheet[id(want.sheet) if isinstance(want, Entry) else -1 - number].append(number)
    for numbers in by_sheet.values():
        most = max(1, CHUNK // max(pairs[numbers[0]][0].size, 1))
        for start in range(0, len(numbers), most):
            yield _block(pairs, numbers[start : start + most])


def _block(pairs: Sequence[Pair], numbers: Sequence[int]) -> Block:
    gots = [pairs[number][0] for number in numbers]
    wants = [pairs[number][1] for number in numbers]
    first = wants[0]
    places = [want.place for want in wants if isinstance(want, Entry)]
    columns = _selected(first.sheet, places) if isinstance(first, Entry) else first
    return Block(numbers=numbers, gots=gots, wants=wants, columns=columns)


def _selected(sheet: Sheet, places: Sequence[int]) -> Expectation:
    """Some places of a sheet; as a rule it is all of them, which needs no copy."""
    columns = sheet.columns
    if places == list(range(sheet.stack.count)):
        return columns
    return Expectation(
        value=rearranged(columns.value, lambda array: array[places]),
        bound=columns.bound[places],
        vacuous=columns.vacuous[places],
        excluded=columns.excluded[places],
        output=columns.output,
    )


@dataclass(frozen=True, kw_only=True)
class Elements:
    """All elements of several comparisons in one row; ``ends`` is where each comparison ends.

    ``blocks`` are those that it is made of; ``decided`` is how close to 1 error /
    bound may come for all of them before what is expected is not known closely enough.
    """

    got: Float64
    high: Float64
    low: Float64
    bound: Float64
    vacuous: np.ndarray
    excluded: np.ndarray
    ends: np.ndarray
    blocks: Sequence[Block]
    decided: float

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Elements:
        """The elements of ``blocks`` in order."""
        columns = [block.columns for block in blocks]
        return cls(
            got=_row([got for block in blocks for got in block.gots], np.float64),
            high=_row([each.value.hi for each in columns]),
            low=_row([each.value.lo for each in columns]),
            bound=_row([each.bound for each in columns]),
            vacuous=_row([each.vacuous for each in columns]),
            excluded=_row([each.excluded for each in columns]),
            ends=np.cumsum([got.size for block in blocks for got in block.gots]),
            blocks=blocks,
            decided=max(each.value.DECIDED for each in columns),
        )

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many elements each comparison has."""
        return np.asarray(np.diff(self.ends, prepend=0))

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each comparison begins."""
        return np.asarray(self.ends - self.sizes)

    @property
    def wants(self) -> list[Want]:
        """What the comparisons are with, one each."""
        return [want for block in self.blocks for want in block.wants]

    def spread(self, values: Sequence[bool]) -> np.ndarray:
        """One value for each comparison, repeated for each of its elements."""
        return np.repeat(values, self.sizes)

    def formatted(self, value: Callable[[Format], float]) -> Float64:
        """A number that the format of an answer has, repeated for each of its elements."""
        of_blocks = np.array([value(block.output) for block in self.blocks], np.float64)
        return np.repeat(of_blocks, [block.size for block in self.blocks])

    def reduced(self, operation: np.ufunc, values: np.ndarray) -> np.ndarray:
        """``values`` of each comparison taken together, 0 where it has none."""
        found = np.zeros(self.ends.shape, values.dtype)
        # Empty comparisons take no place, so that the others still lie end to end.
        some = self.sizes > 0
        if some.any():
            found[some] = operation.reduceat(values, self.starts[some])
        return found

    def put(self, where: slice, want: Expectation) -> None:
        """Write what is expected of one comparison over what was."""
        self.high[where], self.low[where] = want.value.hi.ravel(), want.value.lo.ravel()
        self.bound[where], self.vacuous[where] = want.bound.ravel(), want.vacuous.ravel()
        self.excluded[where] = want.excluded.ravel()

    def first_of_largest(self, values: Float64) -> np.ndarray:
        """Where the largest of each comparison's values stands first; anywhere if it has none."""
        largest = np.repeat(self.reduced(np.maximum, values), self.sizes)
        hits = np.flatnonzero(values == largest)
        first = np.searchsorted(hits, self.starts)
        return hits[np.minimum(first, hits.size - 1)]


def _in_range(want: Want) -> bool:
    return want.sheet.in_range[want.place] if isinstance(want, Entry) else want.in_range


def _row(arrays: Sequence[np.ndarray], dtype: type | None = None) -> np.ndarray:
    """All elements, one array after the other; in its own format if no other is asked for."""
    return np.concatenate(arrays, axis=None, dtype=dtype, casting="unsafe")
