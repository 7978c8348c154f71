"""From all that was sighted to what is distinct: shrunk, and equal ends put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ..case import Case
from .examining import Examiner
from .kinship import accounts_for, with_two_values
from .searching import Sighting
from .shrinking import CALLS, Shrunk, shrink
from .signature import Signature
from .simplicity import complexity

ROUNDS = 4
"""Cases of one signature that are shrunk at most, each not accounted for by those before."""


@dataclass(frozen=True, kw_only=True)
class Distinct:
    """One divergence: its simplest case, and everything that was seen of it.

    ``seen_as`` are the signatures that shrank to the one that ``shrunk`` shows, or whose cases all
    have what it could not do without; ``times`` the number of their cases.
    """

    shrunk: Shrunk
    seen_as: tuple[Signature, ...]
    times: int
    worst_ratio: float

    @property
    def known(self) -> str:
        """The known divergence that covers it, '' if none does."""
        return self.shrunk.shows.known


@dataclass(kw_only=True)
class _End:
    """A shrunk case, and the sightings that lead to it; ``single``: it needs its one value."""

    shrunk: Shrunk
    single: bool
    sightings: list[Sighting] = field(default_factory=list)


def distinct(
    examine: Examiner,
    sightings: Iterable[Sighting],
    *,
    calls: int = CALLS,
    advanced: Callable[[int], None] = lambda _: None,
) -> tuple[Distinct, ...]:
    """Every sighting accounted for by a shrunk case, in the order of what those show.

    The simplest case of each is shrunk, with at most ``calls``, and then those that what was
    found so far does not account for. ``advanced`` hears of every sighting.
    """
    ends: list[_End] = []
    for sighting in sorted(sightings, key=lambda each: complexity(each.cases[0])):
        for end in _ends_of(examine, sighting, ends, calls):
            end.sightings.append(sighting)
        advanced(1)
    return tuple(_told(end) for end in sorted(ends, key=_order))


def _ends_of(examine: Examiner, sighting: Sighting, ends: list[_End], calls: int) -> Iterator[_End]:
    """The ends of one signature's cases; new ones are added to ``ends``."""
    left, rounds = sighting.cases, 0
    for end in ends:
        if end.shrunk.shows.kernel == sighting.signature.kernel:
            rest = [case for case in left if not _accounts(end, case)]
            if len(rest) < len(left):
                yield end
            left = rest
    while left and rounds < ROUNDS:
        rounds += 1
        end = _shrunk(examine, sighting.signature, left, calls, ends)
        same = next((each for each in ends if each.shrunk.case == end.shrunk.case
                     and each.shrunk.shows == end.shrunk.shows), None)  # fmt: skip
        if same is None:
            ends.append(end)
        if same is None or sighting not in same.sightings:
            yield same or end
        left = [case for case in left[1:] if not _accounts(end, case)]


def _shrunk(
    examine: Examiner, signature: Signature, left: list[Case], calls: int, ends: list[_End]
) -> _End:
    def avoid(case: Case) -> bool:
        # Any case can be cut down to one value per channel, and so fall for another cause.
        return any(
            end.single and end.shrunk.shows.kernel == signature.kernel and _accounts(end, case)
            for end in ends
        )

    shrunk = shrink(examine, signature, left[0], calls=calls, avoid=avoid)
    larger = with_two_values(shrunk.case)
    single = larger is not None and not any(
        each.kernel == signature.kernel for each in examine(larger).signatures
    )
    return _End(shrunk=shrunk, single=single)


def _accounts(end: _End, case: Case) -> bool:
    return accounts_for(end.shrunk.case, case, single=end.single)


def _order(end: _End) -> tuple[Signature, tuple[float, ...]]:
    return end.shrunk.shows, complexity(end.shrunk.case)


def _told(end: _End) -> Distinct:
    return Distinct(
        shrunk=end.shrunk,
        seen_as=tuple(sorted({each.signature for each in end.sightings})),
        times=sum(len(each.shown) for each in end.sightings),
        worst_ratio=max(each.worst_ratio for each in end.sightings),
    )
