"""Cases in an order whose beginnings already lie in many different corners."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import combinations

from ..case import Case
from ..cases.corners import corners_of
from ..known.divergences import case_facts

_FACTS = (
    "rank", "dtype", "fill", "mode", "layouts", "steps", "epsilon", "decay", "smallest_count",
    "channel_axis", "channels", "batch", "half_parameters", "variant",
)  # fmt: skip


def diverse_first(cases: Iterable[Case]) -> tuple[Case, ...]:
    """All ``cases``, each next one with the most pairs of traits that none before it had.

    Pairs, because a defect shows where two things meet: a layout and a rank, a mode and a dtype.
    Ties go to the case that came first.
    """
    every = tuple(cases)
    pairs = [frozenset(combinations(sorted(traits(case)), 2)) for case in every]
    seen: set[tuple[str, str]] = set()
    waiting = [(-len(mine), index) for index, mine in enumerate(pairs)]
    heapq.heapify(waiting)
    ordered = []
    while waiting:
        promised, index = heapq.heappop(waiting)
        gain = len(pairs[index] - seen)
        # What a case adds only ever shrinks, so the first promise that still holds is the best.
        if gain < -promised:
            heapq.heappush(waiting, (-gain, index))
            continue
        ordered.append(every[index])
        seen |= pairs[index]
    return tuple(ordered)


def traits(case: Case) -> set[str]:
    """The corners that ``case`` lies in, and its facts with few values."""
    facts = case_facts(case)
    return {*corners_of(case), *(f"{name} = {facts[name]}" for name in _FACTS)}
