"""Search: cases are drawn and climbed, nothing stops it, distinct signatures are collected.

The cases come from a bounded set of static signatures (``plan_signatures``), because a subject
that compiles pays for each one; everything else varies within them. Half of the cases are drawn as
a campaign draws them. For the rest Hypothesis runs, only in its generating phases, and climbs
log(error / bound) of each quantity and format. What it generates depends on its version: a search
can be repeated only on the same versions. What is to be repeated everywhere is what it finds,
shrunk and frozen (``conformance/corpus``).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings

from ..case import Case, FillKind
from ..cases.case_space import Demand, draw_case
from ..cases.case_space import Signature as StaticSignature
from ..cases.demands import DEMANDS
from ..cases.plan import Stream, plan_signatures
from ..cases.strategies import cases_of
from ..engine.answering import repeats
from ..record import Record
from .examining import Examination, Examiner
from .signature import Signature
from .simplicity import complexity

STATIC_SIGNATURES = 80
"""Static signatures that a search draws from, about as many as a quick campaign."""

DRAWN = 0.5
"""Share of the calls for cases that are merely drawn. These find rare conjunctions that Hypothesis,
which varies what it had before, comes by less often (``benchmarks/search.py``)."""

_FINITE = 1e30
"""What stands for an infinite error ratio: scores must be finite."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a search ends: after so many calls of the subject, or seconds, whichever is first."""

    calls: int
    seconds: float = math.inf


@dataclass(kw_only=True)
class Sighting:
    """One signature: every case that showed it with its record, and the worst ratio."""

    signature: Signature
    shown: dict[Case, Record] = field(default_factory=dict)
    worst_ratio: float = 0.0

    @property
    def cases(self) -> list[Case]:
        """The cases, the simplest first."""
        return sorted(self.shown, key=lambda case: (complexity(case), case.id))


@dataclass(kw_only=True)
class Collection:
    """What a search has seen: every signature, and the worst ratio of every quantity and format.

    ``ratios`` counts conforming answers too: below 1 it says how near the worst one came.
    """

    sightings: dict[Signature, Sighting] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)

    def add(self, found: Examination) -> None:
        """Take up what one case showed."""
        for signature, record in found.signatures.items():
            sighting = self.sightings.setdefault(signature, Sighting(signature=signature))
            sighting.shown[found.case] = record
            sighting.worst_ratio = max(sighting.worst_ratio, _number(record.error_ratio))
        for label, ratio in ratios_of(found).items():
            self.ratios[label] = max(self.ratios.get(label, 0.0), ratio)

    @property
    def leading(self) -> list[Sighting]:
        """Divergences that no other of their case explains, in a fixed order."""
        return [self.sightings[each] for each in sorted(self.sightings) if each.leading]

    @property
    def following(self) -> list[Sighting]:
        """Divergences that came only behind others."""
        return [self.sightings[each] for each in sorted(self.sightings) if not each.leading]


def ratios_of(found: Examination) -> dict[str, float]:
    """The largest error / bound of each judged quantity, by quantity and format."""
    worst: dict[str, float] = {}
    for record in found.records:
        if not math.isnan(record.error_ratio) and not record.vacuous:
            label = f"{record.quantity} {record.dtype}"
            worst[label] = max(worst.get(label, 0.0), record.error_ratio)
    return worst


def static_signatures(
    examine: Examiner, seed: int, number: int = STATIC_SIGNATURES
) -> tuple[StaticSignature, ...]:
    """At most ``number`` static signatures that the subject offers, the demanded ones first.

    Demands of which a campaign takes only a few cases, because each is dear, are left to it.
    """
    demands = [demand for demand in DEMANDS.values() if demand.most is None]
    chance = [Demand()] * (4 * number)
    drawn = plan_signatures([*demands, *chance], seed)
    return tuple(signature for signature in drawn if examine.offers(_ordinary(signature)))[:number]


def _ordinary(signature: StaticSignature) -> Case:
    return draw_case(Stream("ordinary"), signature, FillKind.NORMAL, [(1e-3, 0.5)])


class _EnoughError(BaseException):
    """Ends Hypothesis's loop; no Exception, which it would take for a failing test."""


def search(
    examine: Examiner,
    signatures: Sequence[StaticSignature],
    budget: Budget,
    *,
    seed: int = 0,
    drawn: float = DRAWN,
    targeted: bool = True,
    advanced: Callable[[int], None] = lambda _: None,
) -> Collection:
    """Everything that ``budget`` lets us find over ``signatures``.

    The share ``drawn`` of the calls goes to cases drawn as a campaign draws them, the rest to
    Hypothesis; without ``targeted`` nothing is climbed. ``advanced`` hears of every call.
    """
    found = Collection()
    first, began = examine.calls, time.monotonic()

    def look(case: Case, calls: int) -> Examination:
        before = examine.calls
        if before - first >= calls or time.monotonic() - began >= budget.seconds:
            raise _EnoughError
        examined = examine(case, repeat=repeats(case))
        found.add(examined)
        advanced(examine.calls - before)
        return examined

    with contextlib.suppress(_EnoughError):
        for case in _drawn(examine, signatures, budget.calls, seed):
            look(case, round(drawn * budget.calls))
    if signatures:
        with contextlib.suppress(_EnoughError):
            _climb(examine, signatures, lambda case: look(case, budget.calls),
                   budget=budget, seed=seed, targeted=targeted)  # fmt: skip
    return found


def _drawn(
    examine: Examiner, signatures: Sequence[StaticSignature], number: int, seed: int
) -> Iterator[Case]:
    """Cases from a stream of their own; fewer than ``number`` where few are offered."""
    for index in range(number if signatures else 0):
        stream = Stream(f"search/{seed}/{index}")
        case = draw_case(stream, stream.pick(signatures))
        if examine.offers(case):
            yield case


def _climb(
    examine: Examiner,
    signatures: Sequence[StaticSignature],
    look: Callable[[Case], Examination],
    *,
    budget: Budget,
    seed: int,
    targeted: bool,
) -> None:
    """Let Hypothesis generate and look at case after case, until ``look`` has had enough."""
    phases = (Phase.generate, Phase.target) if targeted else (Phase.generate,)

    @hypothesis.seed(seed)
    @settings(
        max_examples=4 * budget.calls,
        phases=phases,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases_of(signatures).filter(examine.offers))
    def generated(case: Case) -> None:
        examined = look(case)
        if targeted:
            for label, ratio in ratios_of(examined).items():
                hypothesis.target(_score(ratio), label=label)

    generated()


def _score(ratio: float) -> float:
    """log(error / bound), with the infinite and zero errors within reach."""
    return math.log(min(max(ratio, 1 / _FINITE), _FINITE))


def _number(ratio: float) -> float:
    return 0.0 if math.isnan(ratio) else ratio
