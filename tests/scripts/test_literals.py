"""Arrays as source give every bit back."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bnconform.conformance.contract import Array
from bnconform.conformance.scripts.literals import LARGEST_LIST, array_source

DTYPES = ("float16", "float32", "float64", "int32", "bool")


def evaluated(source: str) -> Array:
    """What the expression gives in a script."""
    found: Array = eval(source, {"np": np, "base64": base64})  # noqa: S307 -- what is under test
    return found


def assert_same_bits(found: Array, array: Array) -> None:
    """Equal in shape, format and bytes: NaN, -0.0 and all."""
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert found.tobytes() == array.tobytes()


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
    )
)
def test_every_bit_comes_back(array: Array) -> None:
    """Whatever the format, the shape and the values, NaN payloads and empty arrays included."""
    assert_same_bits(evaluated(array_source(array)), array)


def test_a_small_array_is_readable_numbers() -> None:
    """The shortest decimals of the array's own format: 0.1, not 0.10000000149011612."""
    source = array_source(np.array([[0.1, np.nan], [-np.inf, 3.0]], np.float32))
    assert source == "np.array([[0.1, np.nan], [-np.inf, 3.0]], np.float32)"


def test_a_large_array_is_base64() -> None:
    """Nobody reads a thousand numbers, and their bytes take less room."""
    many = np.arange(LARGEST_LIST + 1, dtype=np.float64) / 3
    source = array_source(many)
    assert "base64.b64decode" in source
    assert_same_bits(evaluated(source), many)
    assert "base64" not in array_source(many[:-1])


def test_a_nan_with_a_payload_is_base64() -> None:
    """No decimal number says which NaN it is."""
    odd = np.array([0x7FC00123], np.uint32).view(np.float32)
    assert_same_bits(evaluated(array_source(odd)), odd)


@pytest.mark.parametrize("size", [3, 500], ids=["numbers", "bytes"])
def test_what_comes_back_can_be_written_to(size: int) -> None:
    """Frameworks warn of read-only memory, which np.frombuffer gives."""
    assert evaluated(array_source(np.ones(size))).flags.writeable


def test_no_line_is_too_long_to_read() -> None:
    """A list is broken between its numbers."""
    wide = np.random.default_rng(0).normal(size=(2, 30))
    assert max(map(len, array_source(wide).splitlines())) <= 100


def test_equal_numbers_are_said_once() -> None:
    """A bound is often the same everywhere."""
    assert array_source(np.full((9, 30), 0.25)) == "np.full((9, 30), 0.25, np.float64)"
    assert "np.full" not in array_source(np.array([0.0] * 9 + [-0.0]))
