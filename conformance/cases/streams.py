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
    return stacked([name], count).reshape(count)


def stacked(names: Sequence[str], count: int) -> npt.NDArray[np.uint64]:
    """:func:`raw` of every name, of shape (names, count)."""
    words = np.empty((len(names), count), np.uint64)
    bits = _own.bits
    for row, (state, increment) in enumerate(_begin(names)):
        bits.state = {
            "bit_generator": "PCG64",
            "state": {"state": state, "inc": increment},
            "has_uint32": 0,
            "uinteger": 0,
        }
        words[row] = bits.random_raw(count)
    return words


def _begin(names: Sequence[str]) -> list[State]:
    """:func:`states`, those that are prepared as they are."""
    try:
        return [_prepared[name] for name in names]
    except KeyError:
        return states(names)


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
    seeds = np.frombuffer(digests, ">u4").reshape(len(names), _POOL).T[::-1].astype(np.uint32)
    words = _generated(_mixed(seeds)).astype(np.uint64)
    halves = words[::2] | words[1::2] << np.uint64(32)
    return [_begun(*four) for four in halves.T.tolist()]


def _begun(first: int, second: int, third: int, fourth: int) -> State:
    """PCG64 after being given the halves of its two numbers, the high ones first."""
    increment = ((third << 64 | fourth) << 1 | 1) & _ALL
    start = increment + (first << 64 | second)
    return (start * _MULTIPLIER + increment) & _ALL, increment


def _mixed(seeds: Words) -> Words:
    """Pools whose every word depends on every word of the seed; both are (words, names)."""
    pool = _hashed(seeds, _MIXING[: _POOL + 1])
    for source in range(_POOL):
        # The three others take in this one, each with constants of its own.
        first = _POOL + source * (_POOL - 1)
        others = [word for word in range(_POOL) if word != source]
        added = _hashed(pool[source], _MIXING[first : first + _POOL])
        mixed = np.uint32(0xCA01F9DD) * pool[others] - np.uint32(0x4973F715) * added
        pool[others] = mixed ^ (mixed >> np.uint32(16))
    return pool


def _generated(pool: Words) -> Words:
    """Eight words of each pool, (8, names)."""
    return _hashed(np.concatenate([pool, pool]), _GENERATING)


def _hashed(words: Words, constants: Words) -> Words:
    """One row for each of ``constants`` but the last: a hash takes its own and the next one."""
    words = (words ^ constants[:-1]) * constants[1:]
    return words ^ (words >> np.uint32(16))


def _constants(first: int, factor: int, hashes: int) -> Words:
    """What so many hashes take in a row, (hashes + 1, 1)."""
    powers = [first * pow(factor, k, 2**32) % 2**32 for k in range(hashes + 1)]
    return np.array(powers, np.uint32)[:, None]


_MIXING = _constants(0x43B0D7E5, 0x931E8875, _POOL * _POOL)
_GENERATING = _constants(0x8B51F9DD, 0x58F38DED, 2 * _POOL)
