"""What the harness asks of the C library's allocator, so that freed arrays are given back."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Options of glibc's ``mallopt``, from its malloc.h."""

_KEPT = 32 * 2**20
"""Free bytes at the heap's end from which on they are given back."""

_OWN_PAGES = 16 * 2**20
"""Bytes from which on an array gets pages of its own, which are given back with it.

New pages cost more than what is computed in them once, so that these are few.
"""


def keep_small() -> bool:
    """Have one heap for all threads, and large arrays outside of it; whether that was possible.

    Left alone, glibc keeps a heap for each thread and raises both thresholds with every large
    array that is freed, so that a campaign would hold much that it does not use. Other C libraries
    are left as they are. Called before threads start.
    """
    # Arrow's own allocator keeps what it has freed, too.
    pa.set_memory_pool(pa.system_memory_pool())
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    options = {_ARENA_MAX: 1, _TRIM_THRESHOLD: _KEPT, _MMAP_THRESHOLD: _OWN_PAGES}
    taken = [mallopt(option, value) == 1 for option, value in options.items()]
    return all(taken)
