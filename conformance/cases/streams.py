"""The raw streams that fills are made from: PCG64, seeded as NumPy seeds it, many at a time.

Seeding one generator costs as much as a thousand words from it, so the seeds of many are mixed
together; ``SeedSequence`` and PCG64 are NumPy's, whose streams it guarantees never to change.

Source: O'Neill, "PCG", 2014 (HMC-CS-2014-0905); O'Neill, "Developing a seed_seq alternative", 2015,
which NumPy's ``SeedSequence`` follows.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
_ALL = 2**128 - 1
_POOL = 4

State = tuple[int, int]
"""State and increment of a PCG64 before its first word."""

_prepared: dict[str, State] = {}


class _Own(threading.local):
    """A generator for each thread, put into the state of the stream that is read."""

    def __init__(self) -> None:
        self.bits = np.random.PCG64(0)


_own = _Own()


def raw(name: str, count: int) -> npt.NDArray[np.uint64]:
    """The first ``count`` 64-bit words of the stream called ``name``."""
    state = _prepared.get(name) or states([name])[0]
    _own.bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": state[0], "inc": state[1]},
        "has_uint32": 0,
        "uinteger": 0,
    }
    return _own.bits.random_raw(count)


@contextmanager
def prepared(names: Sequence[str]) -> Iterator[None]:
    """Within it, streams of ``names`` cost next to nothing to begin."""
    _prepared.update(zip(names, states(names), strict=True))
    try:
        yield
    finally:
        for name in names:
            _prepared.pop(name, None)


def seed(name: str) -> int:
    """What the stream called ``name`` begins with: the first half of its SHA-256."""
    return int.from_bytes(_digest(name))


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:16]


def states(names: Sequence[str]) -> list[State]:
    """The states of ``PCG64(seed(name))`` for each name."""
    digests = b"".join(map(_digest, names))
    # A seed counts as its 32-bit words, the lowest first.
    seeds = np.frombuffer(digests, ">u4").reshape(len(names), _POOL)[:, ::-1]
    pool = _mixed([np.ascontiguousarray(word) for word in seeds.T.astype(np.uint32)])
    words = np.stack(_generated(pool, 2 * _POOL), axis=1).tolist()
    return [_begun(row) for row in words]


def _begun(words: list[int]) -> State:
    """PCG64 after being given eight words, the high halves of its two numbers first."""
    first, second, third, fourth = (words[k] | words[k + 1] << 32 for k in range(0, 8, 2))
    increment = ((third << 64 | fourth) << 1 | 1) & _ALL
    start = increment + (first << 64 | second)
    return (start * _MULTIPLIER + increment) & _ALL, increment


def _mixed(words: list[Words]) -> list[Words]:
    """Every word of the pool depends on every word of the seed."""
    constants = _constants(0x43B0D7E5, 0x931E8875)
    pool = [_hashed(word, constants) for word in words]
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                added = _hashed(pool[source], constants)
                mixed = np.uint32(0xCA01F9DD) * pool[target] - np.uint32(0x4973F715) * added
                pool[target] = mixed ^ (mixed >> np.uint32(16))
    return pool


def _generated(pool: list[Words], count: int) -> list[Words]:
    constants = _constants(0x8B51F9DD, 0x58F38DED)
    return [_hashed(pool[k % _POOL], constants) for k in range(count)]


def _hashed(words: Words, constants: Iterator[np.uint32]) -> Words:
    words = (words ^ next(constants)) * next(constants)
    return words ^ (words >> np.uint32(16))


def _constants(first: int, factor: int) -> Iterator[np.uint32]:
    """Two for each hash: the constant before and after it is multiplied."""
    while True:
        yield np.uint32(first)
        first = first * factor & 0xFFFFFFFF
        yield np.uint32(first)
