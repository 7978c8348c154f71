"""The harness's memory: what was freed is given back."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from typing import Any

import pytest

from bnconform.conformance.engine import heap

FREED = """
import sys, numpy, psutil
from bnconform.conformance.engine.heap import keep_small
if sys.argv[1] == "small":
    assert keep_small()
numpy.ones(3 * 2**20)  # freed, after which glibc keeps arrays of up to 24 MiB in the heap
arrays = [numpy.ones(5 * 2**19) for _ in range(16)]
arrays[:-1] = []  # the last one holds the end of the heap
print(psutil.Process().memory_info().rss >> 20)
"""

ARROW = """
import pyarrow
from bnconform.conformance.engine.heap import keep_small
keep_small()
print(pyarrow.default_memory_pool().backend_name)
"""


def _megabytes(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FREED, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is an option of glibc's")
def test_freed_arrays_are_given_back() -> None:
    """Of 320 MB that were freed; left alone, glibc keeps them for one array that is alive."""
    assert _megabytes("left alone") - _megabytes("small") > 250


def test_arrow_keeps_nothing_either() -> None:
    """Its own allocator would hold what every part of a run took to write."""
    told = subprocess.run(
        [sys.executable, "-c", ARROW], capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["system"]


def _without(_: Any) -> Any:
    raise OSError


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A harness runs there, too, with what memory it takes."""
    monkeypatch.setattr(ctypes, "CDLL", _without)
    assert not heap.keep_small()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not heap.keep_small()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not heap.keep_small()
