"""Discriminating: which of several hypotheses a subject follows, in as few cases as will do.

Two hypotheses are told apart by values where their expectations lie further apart than both bounds
together, by format where that differs, and by precision where they expect the same value within
bounds of very different width. The first two decide between them. By precision only the narrower
can be contradicted: an answer that respects it fits the wider one as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from ..case import Case
from ..contract import Answered, Outcome, Quantity, Unsupported
from ..expecting.expectation import Expectation, Expected
from ..verdict import CALL
from .hypothesis import Hypothesis, each_expectation
from .interrogation import HALF, Interrogation, Misfit

WIDER = 16.0
"""A bound this many times another's width is one that its own algorithms will break the other by.

Rounding errors are seldom below a sixteenth of their bound in the worst of many elements, for the
small counts that are asked.
"""

TRIES = 2
"""Cases with such bounds that a narrower hypothesis must pass before the wider one is left."""


class By(StrEnum):
    """What tells two hypotheses apart."""

    FORMAT = "format"
    VALUES = "values"
    PRECISION = "precision"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """How a case tells two hypotheses apart; ``size`` is how many times over."""

    by: By
    quantity: Quantity
    size: float


@dataclass(frozen=True, kw_only=True)
class Elimination:
    """A hypothesis that an answer contradicted."""

    hypothesis: Hypothesis
    case: Case
    misfit: Misfit


@dataclass(frozen=True, kw_only=True)
class Leeway:
    """A case that fits ``narrow`` although ``wide`` would have allowed ``size`` times the error."""

    narrow: Hypothesis
    wide: Hypothesis
    case: Case
    quantity: Quantity
    size: float


@dataclass(frozen=True, kw_only=True)
class Unexplained:
    """What no hypothesis that other cases leave accounts for.

    ``bears`` names conventions that decide about what is unexplained. Where a hypothesis that
    other cases contradicted accounts for it, ``instead`` holds in what it differs: name and value.
    """

    case: Case
    what: tuple[str, ...]
    message: str
    bears: tuple[str, ...] = ()
    instead: tuple[tuple[str, str], ...] = ()


@dataclass(kw_only=True)
class Discrimination:
    """Hypotheses, the cases that may tell them apart, and what has been found.

    ``confirm`` cases are asked in any event: a convention that holds in one case may fail in
    another.
    """

    subject: Interrogation
    hypotheses: Sequence[Hypothesis]
    candidates: Sequence[Case]
    confirm: int = 0
    eliminations: list[Elimination] = field(default_factory=list)
    leeways: list[Leeway] = field(default_factory=list)
    unexplained: list[Unexplained] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """All hypotheses are alive."""
        self.alive = list(self.hypotheses)
        self.open = [case for case in self.candidates if self.subject.offers(case)]

    def run(self) -> None:
        """Ask until no case tells any two of those alive apart."""
        while (case := self._next()) is not None:
            self._ask(case)
        for case in self.open[: self.confirm]:
            self._ask(case)

    def _next(self) -> Case | None:
        """The case that tells most pairs apart; the first of several."""
        scores = [(sum(1 for _ in self._told_apart(case)), case) for case in self.open]
        best, case = max(scores, key=lambda each: each[0], default=(0, None))
        return case if best else None

    def _told_apart(self, case: Case) -> Iterator[tuple[Hypothesis, Hypothesis, Contrast]]:
        """Pairs of those alive that ``case`` would tell apart and that are not settled."""
        for a, b in itertools.combinations(self.alive, 2):
            found = contrast(self._expected(case, a), self._expected(case, b), self._exposed)
            if found is None:
                continue
            if found.by is By.PRECISION and (len(a.differences(b)) > 1 or self._settled(a, b)):
                continue
            yield a, b, found

    def _settled(self, a: Hypothesis, b: Hypothesis) -> bool:
        """Whether the narrower of the two has passed all that it must."""
        return sum({each.narrow, each.wide} == {a, b} for each in self.leeways) >= TRIES

    def _ask(self, case: Case) -> None:
        """Put ``case`` to the subject and drop what its answer contradicts."""
        self.open.remove(case)
        outcome = self.subject.outcome(case)
        if not isinstance(outcome, Answered):
            self._note_failure(case, outcome)
            return
        misfits = {each: self.subject.misfits(case, outcome, each) for each in self.hypotheses}
        alive = [each for each in self.alive if not misfits[each]]
        if not alive:
            alive = self._least_contradicted(case, misfits)
        else:
            alive = self._plausible(case, misfits, alive)
        told = [
            (a, b, found)
            for a, b, found in self._told_apart(case)
            if found.by is By.PRECISION and a in alive and b in alive
        ]
        for each in self.alive:
            if each not in alive:
                first = _against(misfits[each], misfits[alive[0]])
                self.eliminations.append(Elimination(hypothesis=each, case=case, misfit=first))
        for a, b, found in told:
            narrow, wide = self._by_width(case, a, b)
            if found.quantity in {misfit.quantity for misfit in misfits[narrow]}:
                continue
            self.leeways.append(
                Leeway(
                    narrow=narrow, wide=wide, case=case, quantity=found.quantity, size=found.size
                )
            )
        self.alive = alive

    def _plausible(
        self, case: Case, misfits: dict[Hypothesis, list[Misfit]], alive: list[Hypothesis]
    ) -> list[Hypothesis]:
        """``alive``, and the narrower hypotheses that wide ones cover up for.

        Wide bounds also cover errors of another origin. Where they are wider for statistics in
        single precision, too, but only what is rounded to half precision breaks the narrower ones,
        that rounding is what is wrong.
        """
        spared = []
        for each in self.alive:
            if each in alive:
                continue
            if not all(misfit.half for misfit in misfits[each]):
                continue
            if all(self._widened(case, each, wide) for wide in alive):
                spared.append(each)
        if not spared:
            return alive
        first = misfits[spared[0]]
        what = tuple(dict.fromkeys(misfit.quantity for misfit in first))
        self.unexplained.append(Unexplained(case=case, what=what, message=first[0].message))
        return [each for each in self.alive if each in alive or each in spared]

    def _widened(self, case: Case, narrow: Hypothesis, wide: Hypothesis) -> bool:
        """Whether ``wide`` has far wider bounds for something that is not in half precision."""
        if len(narrow.differences(wide)) > 1 or self._by(case, narrow, wide) is not By.PRECISION:
            return False
        pairs = _pairs(self._expected(case, narrow), self._expected(case, wide), self._exposed)
        return any(a.output.dtype not in HALF and _width(a, b) >= WIDER for _, a, b in pairs)

    def _least_contradicted(
        self, case: Case, misfits: dict[Hypothesis, list[Misfit]]
    ) -> list[Hypothesis]:
        """Who stays when nobody fits: those that leave fewest quantities unaccounted for.

        Whatever is wrong there may be an output's rounding to half precision, which breaks narrow
        bounds of what is in half precision, too, so that nobody is dropped for that.
        """
        marks = {each: (_forms(misfits[each]), len(misfits[each])) for each in self.alive}
        least = [each for each in self.alive if marks[each] == min(marks.values())]
        alive = [
            each
            for each in self.alive
            if each in least
            or any(
                self._by(case, each, other) is By.PRECISION
                and all(misfit.half for misfit in _more(misfits[each], misfits[other]))
                for other in least
            )
        ]
        best = least[0]
        fitting = [each for each in self.hypotheses if not misfits[each]]
        nearest = min(fitting, key=lambda each: len(each.differences(best)), default=None)
        instead = () if nearest is None else nearest.differences(best)
        what = tuple(dict.fromkeys(each.quantity for each in misfits[best]))
        self.unexplained.append(
            Unexplained(
                case=case,
                what=what,
                message=misfits[best][0].message,
                bears=self._bearing(case, frozenset(what)),
                instead=tuple((name, str(nearest.value(name))) for name in instead if nearest),
            )
        )
        return alive

    def _by(self, case: Case, a: Hypothesis, b: Hypothesis) -> By | None:
        """What would tell ``a`` from ``b`` in ``case``."""
        found = contrast(self._expected(case, a), self._expected(case, b), self._exposed)
        return None if found is None else found.by

    def _bearing(self, case: Case, what: frozenset[Quantity]) -> tuple[str, ...]:
        """The conventions whose values differ in what they expect of the quantities ``what``."""
        names = []
        for a, b in itertools.combinations(self.hypotheses, 2):
            apart = a.differences(b)
            if len(apart) > 1 or apart[0] in names:
                continue
            found = contrast(self._expected(case, a), self._expected(case, b), what)
            if found is not None and found.by is not By.PRECISION:
                names.append(apart[0])
        return tuple(names)

    def _note_failure(self, case: Case, outcome: Outcome) -> None:
        """A case that was not answered, although the subject's capabilities have it."""
        if isinstance(outcome, Unsupported):
            self.refused.append(outcome.reason)
            return
        message = getattr(outcome, "error", type(outcome).__name__.lower())
        self.unexplained.append(Unexplained(case=case, what=(CALL,), message=message))

    def _by_width(self, case: Case, a: Hypothesis, b: Hypothesis) -> tuple[Hypothesis, Hypothesis]:
        """The two with the narrower first."""
        one, other = self._expected(case, a), self._expected(case, b)
        return (a, b) if _gap(one, other, self._exposed)[0] >= WIDER else (b, a)

    def _expected(self, case: Case, hypothesis: Hypothesis) -> Expected:
        return self.subject.expected(case, hypothesis)

    @property
    def _exposed(self) -> frozenset[Quantity]:
        return self.subject.exposed


def _against(misfits: Sequence[Misfit], anyway: Sequence[Misfit]) -> Misfit:
    """The first of ``misfits`` that is not among those that nothing explains ``anyway``."""
    return next(iter(_more(misfits, anyway)), misfits[0])


def _more(misfits: Sequence[Misfit], others: Sequence[Misfit]) -> list[Misfit]:
    """Those of ``misfits`` that are about quantities which ``others`` are not about."""
    known = {misfit.quantity for misfit in others}
    return [misfit for misfit in misfits if misfit.quantity not in known]


def _forms(misfits: Sequence[Misfit]) -> int:
    """How many are a matter of form."""
    return sum(misfit.form for misfit in misfits)


def contrast(a: Expected, b: Expected, exposed: frozenset[Quantity]) -> Contrast | None:
    """How answers tell ``a`` from ``b``: by format, else by values, else by precision."""
    pairs = _pairs(a, b, exposed)
    for quantity, one, other in pairs:
        if one.output is not other.output:
            return Contrast(by=By.FORMAT, quantity=quantity, size=float("inf"))
    distances = ((_distance(one, other), quantity) for quantity, one, other in pairs)
    distance, quantity = max(distances, key=_first, default=(0.0, Quantity.Y))
    if distance > 1.0:
        return Contrast(by=By.VALUES, quantity=quantity, size=distance)
    size, quantity = max(_gap(a, b, exposed), _gap(b, a, exposed), key=_first)
    if size < WIDER:
        return None
    return Contrast(by=By.PRECISION, quantity=quantity, size=size)


def _pairs(
    a: Expected, b: Expected, exposed: frozenset[Quantity]
) -> list[tuple[Quantity, Expectation, Expectation]]:
    """The expectations of what is expected under both."""
    others = each_expectation(b, exposed)
    found = each_expectation(a, exposed).items()
    return [(key[1], each, others[key]) for key, each in found if key in others]


def _first(pair: tuple[float, Quantity]) -> float:
    return pair[0]


def _distance(a: Expectation, b: Expectation) -> float:
    """How many times the sum of their bounds two expectations lie apart, at the best element."""
    if a.value.shape != b.value.shape:
        return float("inf")
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        apart = np.abs((a.value.hi - b.value.hi) + (a.value.lo - b.value.lo))
        ratio = np.where(apart == 0, 0.0, apart / (a.bound + b.bound))
    return float(np.where(a.vacuous | b.vacuous, 0.0, np.nan_to_num(ratio)).max(initial=0.0))


def _gap(narrow: Expected, wide: Expected, exposed: frozenset[Quantity]) -> tuple[float, Quantity]:
    """How many times as wide the second's bounds are, at the best element."""
    widths = (
        (_width(one, other), quantity) for quantity, one, other in _pairs(narrow, wide, exposed)
    )
    return max(widths, key=_first, default=(0.0, Quantity.Y))


def _width(narrow: Expectation, wide: Expectation) -> float:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = np.where(wide.bound == 0, 0.0, wide.bound / narrow.bound)
    ratio = np.where(wide.vacuous, np.inf, ratio)
    # An element that is not looked at under either says nothing about its bounds.
    silent = narrow.vacuous | narrow.excluded | wide.excluded | np.isnan(ratio)
    return float(np.where(silent, 0.0, ratio).max(initial=0.0))
