"""Shrinking: the simplest case that still shows one signature.

Greedy and deterministic. First everything is simplified at once, then by halves, until what must
stay is found; then respect by respect until nothing helps. All that time the signature stays what
it was. Only then are the mode, the format, the variant and gamma and beta given up one at a time,
as long as the same quantity of the same kind still diverges: on a case that has nothing else left,
another defect is not likely to take its place.

Not Hypothesis's own shrinker: over the static signatures of a search it can shrink to none but
these, and over all cases it must first find the signature again (``benchmarks/search.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ..case import Case
from ..record import Record, VerdictKind
from .examining import Examiner
from .signature import Signature
from .simplicity import (
    SIMPLIFICATIONS,
    STRUCTURE,
    TO_ANOTHER_CLAUSE,
    Simplification,
    simpler,
    small_seed,
)

CALLS = 150
"""Calls spent at most on shrinking one signature."""

RESEEDED = 3
"""Seeds tried for each simpler structure that does not show the divergence with the old one."""

DEADLY_CALLS = 25
"""The same where each ends the subject's process, which then starts anew."""


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """``signature`` as it was found, and the simplest case with what it shows.

    ``shows`` is the signature of the simplest case, which may be of a more ordinary kind.
    ``record`` is None if the divergence did not show again: then ``case`` is as it was.
    """

    signature: Signature
    shows: Signature
    case: Case
    record: Record | None
    calls: int


def shrink(
    examine: Examiner,
    signature: Signature,
    case: Case,
    *,
    calls: int = CALLS,
    avoid: Callable[[Case], bool] = lambda _: False,
) -> Shrunk:
    """The simplest case that shows ``signature``, found from ``case`` with at most ``calls``.

    Cases that ``avoid`` holds for are not taken: those of another cause, found before.
    """
    if signature.verdict in (VerdictKind.CRASHED, VerdictKind.HUNG):
        calls = min(calls, DEADLY_CALLS)
    return _Shrinker(examine, signature, calls, avoid).run(case)


class _Shrinker:
    """One signature on its way; holds what is left of its calls."""

    def __init__(
        self,
        examine: Examiner,
        signature: Signature,
        calls: int,
        avoid: Callable[[Case], bool],
    ) -> None:
        self.avoid = avoid
        self.examine, self.found, self.target = examine, signature, signature
        self.left = self.limit = calls
        self.repeat = signature.verdict == VerdictKind.UNREPEATABLE

    def run(self, case: Case) -> Shrunk:
        """The whole way, from ``case`` as it was found."""
        if self._shows(case):
            case = self._reduced(case)
            while (plainer := self._plainer(case)) is not None:
                case = self._reduced(plainer)
        shown = self.examine(case, repeat=self.repeat).signatures
        return Shrunk(
            signature=self.found,
            shows=self.target,
            case=case,
            record=shown.get(self.target),
            calls=self.limit - self.left,
        )

    def _reduced(self, case: Case) -> Case:
        """The simplest case of exactly this signature."""
        case = self._together(case, SIMPLIFICATIONS)
        while True:
            before = case
            for move in SIMPLIFICATIONS:
                case = self._along(case, move)
            if case == before:
                case = self._reseeded(case)
            if case == before:
                return case

    def _together(self, case: Case, moves: Sequence[Simplification]) -> Case:
        """All ``moves`` at once, each as far as it goes; or each half of them by itself."""
        candidate = case
        for move in moves:
            candidate = next(self._fitting(candidate, move), candidate)
        if candidate == case or self._shows(candidate):
            return candidate
        if len(moves) == 1:
            return case
        middle = len(moves) // 2
        return self._together(self._together(case, moves[:middle]), moves[middle:])

    def _along(self, case: Case, move: Simplification) -> Case:
        """As far as ``move`` goes."""
        for candidate in self._fitting(case, move):
            if self._shows(candidate):
                return self._along(candidate, move)
        return case

    def _reseeded(self, case: Case) -> Case:
        """A simpler structure with other values: a seed gives others to each shape."""
        for move in STRUCTURE:
            for candidate in self._fitting(case, move):
                seeds = replace(case.fill, seed=2**32)
                for again in islice(small_seed(replace(candidate, fill=seeds)), RESEEDED):
                    if self._shows(again):
                        return again
        return case

    def _plainer(self, case: Case) -> Case | None:
        """A case of a more ordinary kind on which the same goes wrong."""
        for move in TO_ANOTHER_CLAUSE:
            for candidate in simpler(move, case):
                if not self._may_ask(candidate):
                    continue
                for shown in self.examine(candidate, repeat=self.repeat).signatures:
                    if shown.kernel == self.found.kernel and shown.leading:
                        self.target = shown
                        return candidate
        return None

    def _fitting(self, case: Case, move: Simplification) -> Iterator[Case]:
        """What ``move`` makes of ``case`` without changing its signature at first sight."""
        wanted = self.target.dtype, self.target.mode, self.target.variant
        for candidate in simpler(move, case):
            if wanted == (candidate.dtype, candidate.mode, candidate.variant.kind):
                yield candidate

    def _shows(self, case: Case) -> bool:
        return self._may_ask(case) and (
            self.target in self.examine(case, repeat=self.repeat).signatures
        )

    def _may_ask(self, case: Case) -> bool:
        """Whether ``case`` can be asked; counts the call unless the answer is remembered."""
        if self.avoid(case) or not self.examine.offers(case):
            return False
        if not self.examine.knows(case, repeat=self.repeat):
            if self.left <= 0:
                return False
            self.left -= 1
        return True
