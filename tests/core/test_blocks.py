"""Large arrays block by block: the same bits as at once."""

from __future__ import annotations

import numpy as np
import pytest

from bnconform.conformance.numbers import blocks as blocks_module
from bnconform.conformance.numbers.blocks import blocks, by_element
from bnconform.conformance.numbers.doubledouble import DoubleDouble


@pytest.mark.parametrize("shape", [(70001,), (3, 70001), (70001, 3), (5, 300, 7, 11), (1, 1, 9)])
def test_blocks_cover_every_element_once(shape: tuple[int, ...]) -> None:
    """Whatever axis is the longest, and whether or not a block divides it."""
    covered = np.zeros(shape, int)
    for where in blocks(shape, range(len(shape))):
        covered[where] += 1
    assert (covered == 1).all()


def test_blocks_keep_to_the_axes_that_they_may_cut() -> None:
    """What a function has of each channel must broadcast against every block."""
    for where in blocks((4, 5, 90000), (0, 1)):
        assert np.zeros((4, 5, 90000))[where].shape[2] == 90000


def test_a_function_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements at their own places, with per-channel factors on the axis that is not cut."""
    monkeypatch.setattr(blocks_module, "LARGE", 10)
    monkeypatch.setattr(blocks_module, "BLOCK", 7)
    one, other = np.arange(60.0).reshape(20, 3), np.arange(60.0)[::-1].reshape(20, 3)
    factor = np.array([[1.0, 10.0, 100.0]])
    calls: list[int] = []

    def function(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        calls.append(a.size)
        return np.asarray(factor * (a - 2 * b))

    assert np.array_equal(by_element(function, one, other, axes=(0,)), factor * (one - 2 * other))
    assert len(calls) > 1


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__mul__", "__truediv__"])
def test_double_double_arithmetic_has_the_same_bits_in_blocks(operator: str) -> None:
    """With operands that broadcast and such as are plain float64, as the equations have them."""
    random = np.random.default_rng(0)
    large = DoubleDouble(random.normal(size=(40, 2, 1000, 1)), random.normal(size=(40, 2, 1000, 1)))
    for other in (
        DoubleDouble(random.normal(size=(1, 2, 1, 1))),
        DoubleDouble(random.normal(size=(1, 2, 1, 1)), 1e-20 * np.ones((1, 2, 1, 1))),
        large / 3.0,
    ):
        whole = getattr(large, operator)(other)
        for i in range(40):
            part = DoubleDouble(large.hi[i : i + 1], large.lo[i : i + 1])
            mine = other
            if other.shape[0] == 40:
                mine = DoubleDouble(other.hi[i : i + 1], other.lo[i : i + 1])
            found = getattr(part, operator)(mine)
            assert np.array_equal(whole.hi[i : i + 1], found.hi)
            assert np.array_equal(whole.lo[i : i + 1], found.lo)
