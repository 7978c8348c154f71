"""How a channel's values are cut into tiles: fixed tables, so that bits depend on the shape alone.

Pure functions of shape, order in memory and format: not of the card, and nothing is tuned at run
time, because another split means another order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass

_CACHE_LINE = 128
_SECTOR = 32
_LONGEST_ROW = 1024
"""Of a tile with several rows: enough for long stretches of memory, and little to pad."""
_PADDING = 1.15
"""Largest share by which rows may be cut longer than they are."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many values a tile may have: ``elements`` of several, ``whole`` of the only one.

    ``programs`` is how many there should be before one takes more channels than it must.
    """

    elements: int
    whole: int
    programs: int = 128


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """A tile's size along each dimension, and how many ``tiles`` each channel has."""

    block_c: int
    block_o: int
    block_i: int
    tiles: int

    @property
    def elements(self) -> int:
        """Values in a tile, padding included."""
        return self.block_c * self.block_o * self.block_i


def make_tiling(
    outer: int, channels: int, inner: int, *, channels_last: bool, itemsize: int, budget: Budget
) -> Tiling:
    """The tiles of an (outer, channels, inner) array.

    One tile to a channel where it fits the budget. ``channels_last``: neighbouring channels are
    neighbours in memory, so that a tile takes enough of them for whole cache lines.
    """
    rows, row = power_of_two(outer), power_of_two(inner)
    least = min(power_of_two(channels), _CACHE_LINE // itemsize) if channels_last else 1
    sector = min(least, _SECTOR // itemsize)
    if rows * row * sector <= budget.whole:
        block_c = _channels(channels, rows * row, least, sector, budget)
        return Tiling(block_c=block_c, block_o=rows, block_i=row, tiles=1)
    room = max(budget.elements // least, 1)
    row = _row(inner, max(min(_LONGEST_ROW, room), room // rows))
    rows = min(rows, room // row)
    tiles = -(-outer // rows) * -(-inner // row)
    return Tiling(block_c=least, block_o=rows, block_i=row, tiles=tiles)


def merge_blocks(tiles: int, elements: int) -> tuple[int, int]:
    """Channels and tiles in a block of the merging programs: few channels, so that many merge."""
    block_t = min(power_of_two(tiles), elements)
    return max(1, min(4, elements // block_t)), block_t


def power_of_two(count: int) -> int:
    """The least power of two that is >= ``count``, and 1 for none."""
    return 1 << max(count - 1, 0).bit_length()


def _channels(channels: int, values: int, least: int, sector: int, budget: Budget) -> int:
    """Channels in a tile that holds all of their ``values``."""
    block_c = least
    while block_c > sector and (
        block_c * values > budget.whole or -(-channels // block_c) < budget.programs
    ):
        block_c //= 2
    while (
        2 * block_c * values <= budget.elements
        and block_c < channels
        and -(-channels // (2 * block_c)) >= budget.programs
    ):
        block_c *= 2
    return block_c


def _row(inner: int, longest: int) -> int:
    """The longest power of two, up to ``longest``, that cuts rows of ``inner`` with little to pad.

    Where all that are not too short pad much, the longest.
    """
    first = row = min(power_of_two(inner), longest)
    while row >= _SECTOR:
        if -(-inner // row) * row <= _PADDING * inner:
            return row
        row //= 2
    return first
