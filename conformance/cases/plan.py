"""Which cases a campaign runs: a function of profile, number and seed, the same everywhere."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..case import Case, FillKind
from ..corpus import load_corpus
from .case_space import Demand, Signature, draw_case, draw_scalars, draw_signature
from .demands import DEMANDS, LARGE_DEMANDS

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How much a campaign looks at.

    ``signatures`` bounds the number of static signatures, which is what compiling subjects pay
    for; ``cases`` is the default number of cases; ``seconds_per_case`` the limit of one case,
    compilation included; ``large`` whether it looks at large reductions, too.
    """

    name: str
    cases: int
    signatures: int
    seconds_per_case: float
    large: bool = False


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(name="quick", cases=930, signatures=72, seconds_per_case=60.0),
        Profile(name="nightly", cases=5_000, signatures=160, seconds_per_case=120.0, large=True),
        Profile(name="deep", cases=10_000, signatures=400, seconds_per_case=120.0, large=True),
    )
}


class Stream:
    """Choices from the raw stream of PCG64, which NumPy guarantees never to change."""

    def __init__(self, name: str) -> None:
        """A stream of its own for every ``name``."""
        digest = hashlib.sha256(name.encode()).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest[:16]))

    def pick(self, options: Sequence[T]) -> T:
        """One of ``options``."""
        return options[self.integer(0, len(options) - 1)]

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]; the bias of the remainder is below 2^-31 for 32-bit ranges."""
        return low + int(self._bits.random_raw()) % (high - low + 1)


def plan_cases(profile: Profile, *, cases: int, seed: int) -> tuple[Case, ...]:
    """``cases`` different cases: the corpus, then drawn ones.

    A longer plan with the same seed begins with the shorter one.
    """
    corpus = load_corpus()[:cases]
    known = set(corpus)
    drawn = (case for case in draw_cases(profile, cases=cases, seed=seed) if case not in known)
    return corpus + tuple(itertools.islice(drawn, cases - len(corpus)))


def draw_cases(profile: Profile, *, cases: int, seed: int) -> tuple[Case, ...]:
    """``cases`` different cases over at most ``profile.signatures`` signatures.

    Signatures come in rounds and every round goes on to the next fill kind, so that few cases
    already reach many corners.
    """
    demands = plan_demands(profile)
    signatures = plan_signatures(demands, seed)
    scalars = [_scalars(where, seed) for where in range(len(signatures))]
    every = tuple(FillKind)
    found: dict[str, Case] = {}
    index = 0
    while len(found) < cases:
        where, turn = index % len(signatures), index // len(signatures)
        index += 1
        demand = demands[where]
        if demand.most is not None and turn >= demand.most:
            continue
        stream = Stream(f"case/{seed}/{index - 1}")
        kinds = demand.kinds or every
        rounds, kind = divmod(turn + where, len(kinds))
        case = draw_case(
            stream,
            signatures[where],
            kinds[kind],
            scalars[where],
            demand=demand,
            place=where + _STRIDE * rounds,
        )
        found.setdefault(case.id, case)
    return tuple(found.values())


_STRIDE = 3
"""Places in the lists of offsets and levels that a signature moves on from one to its next."""


SCALARS = 4
"""Pairs of epsilon and decay to a signature: some subjects build a graph for each."""


def _scalars(where: int, seed: int) -> list[tuple[float, float | None]]:
    stream = Stream(f"scalars/{seed}/{where}")
    return [draw_scalars(stream) for _ in range(SCALARS)]


def plan_demands(profile: Profile) -> tuple[Demand, ...]:
    """What is demanded of each signature: the profile's demands, then nothing in particular."""
    demands = [*DEMANDS.values(), *(LARGE_DEMANDS.values() if profile.large else ())]
    chance = [Demand()] * (profile.signatures - len(demands))
    return tuple([*demands, *chance][: profile.signatures])


def plan_signatures(demands: Sequence[Demand], seed: int) -> tuple[Signature, ...]:
    """A signature for each demand."""
    return tuple(
        draw_signature(Stream(f"signature/{seed}/{index}"), demand)
        for index, demand in enumerate(demands)
    )
