"""How a channel is cut into tiles, by arithmetic alone: no Triton, no GPU."""

from __future__ import annotations

import pytest

from bnconform.adapters.gpu_kernel.tiling import Budget, Tiling, make_tiling, merge_blocks

BUDGET = Budget(elements=8192, whole=32768)
SHAPES = {
    "small images: a channel is a tile": (32, 64, 784),
    "large images": (64, 256, 3136),
    "very large images": (256, 64, 12544),
    "many channels of few values": (8, 2048, 49),
    "one long row": (1, 3, 1_000_000),
    "many short rows": (100_000, 2, 3),
    "one value": (1, 1, 1),
    "no value": (0, 4, 3),
    "no channel": (4, 0, 3),
    "a prime count": (1, 1, 1_000_003),
}


def _tiling(shape: tuple[int, int, int], *, last: bool = False, itemsize: int = 4) -> Tiling:
    outer, channels, inner = shape
    return make_tiling(outer, channels, inner, channels_last=last, itemsize=itemsize, budget=BUDGET)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("last", [False, True])
def test_tiles_cover_all_values_once(name: str, last: bool) -> None:  # noqa: FBT001
    """Tiles times their rows and columns reach every value, and no tile lies outside."""
    outer, _, inner = SHAPES[name]
    found = _tiling(SHAPES[name], last=last)
    down, across = -(-outer // found.block_o), -(-inner // found.block_i)
    assert found.tiles == 1 if outer * inner == 0 else found.tiles == down * across


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("last", [False, True])
def test_blocks_are_powers_of_two_within_the_budget(
    name: str,
    last: bool,  # noqa: FBT001
) -> None:
    """A tile of several stays within ``elements``, and the only one within ``whole``."""
    found = _tiling(SHAPES[name], last=last)
    for block in (found.block_c, found.block_o, found.block_i):
        assert block.bit_count() == 1
    assert found.elements <= (BUDGET.whole if found.tiles == 1 else BUDGET.elements)


@pytest.mark.parametrize("itemsize", [2, 4, 8])
def test_channels_last_tiles_take_whole_cache_lines(itemsize: int) -> None:
    """With many values a tile has as many neighbouring channels as fill 128 bytes."""
    found = _tiling((1, 256, 200_000), last=True, itemsize=itemsize)
    assert found.block_c * itemsize == 128


def test_rows_are_cut_with_little_to_pad() -> None:
    """784 values would waste a quarter of 1024, so that they are cut by 128."""
    found = _tiling((320, 64, 784))
    assert found.block_i == 128
    assert found.tiles == 5 * 7


def test_few_channels_share_no_program() -> None:
    """Programs are as many as the channels while there are fewer than wanted."""
    assert _tiling((2, 16, 4)).block_c == 1


def test_channels_share_programs_once_there_are_enough() -> None:
    """4096 channels of 8 values make as many programs as wanted, and not twice as many."""
    found = _tiling((2, 4096, 4))
    assert BUDGET.programs <= 4096 // found.block_c < 2 * BUDGET.programs


def test_merging_programs_are_many_where_tiles_are() -> None:
    """A program merges four channels of few tiles and one channel of many."""
    assert merge_blocks(10, 4096) == (4, 16)
    assert merge_blocks(100_000, 4096) == (1, 4096)
