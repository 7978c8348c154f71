"""Findings: what was inferred about each convention, and how it was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..case import Case
from ..contract import Outcome, Quantity
from ..dialect import Dialect, MomentumSense
from .discriminating import Discrimination, Leeway, Unexplained
from .hypothesis import VALUES, Hypothesis
from .measuring import Interval

SHOWN = 8
"""Digits of a case's id that a sentence shows."""


class Standing(StrEnum):
    """How sure a finding is."""

    TOLD = "told"
    """Answers contradict every other value."""
    NARROWEST = "narrowest"
    """Other values would fit too, but allow far greater errors than were made."""
    AMBIGUOUS = "ambiguous"
    """Nothing that can be asked tells the inferred values apart."""
    INCONSISTENT = "inconsistent"
    """No single value explains the answers."""
    NOT_OFFERED = "not offered"
    """The subject does not have what the convention is about."""


class Agreement(StrEnum):
    """How a finding compares with what the subject declares."""

    AGREES = "agrees"
    LOOSER = "looser"
    """What is declared fits, but allows far greater errors than were made."""
    DIFFERS = "differs"
    UNTESTED = "untested"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One convention: ``inferred`` values, all values that fit, and how that was told.

    ``convention`` is a field of the dialect, ``cases`` are ids, and ``interval`` holds a number's
    bounds where it was measured.
    """

    convention: str
    inferred: tuple[str, ...]
    fits: tuple[str, ...]
    standing: Standing
    told: str
    cases: tuple[str, ...] = ()
    interval: Interval | None = None

    def agreement(self, dialect: Dialect) -> Agreement:
        """Whether ``dialect`` claims what was found."""
        if self.standing is Standing.INCONSISTENT:
            return Agreement.DIFFERS
        claimed = declared(dialect, self.convention)
        if self.standing is Standing.NOT_OFFERED and "none" not in self.inferred:
            return Agreement.UNTESTED
        if self.interval is not None:
            inside = float(claimed) in self.interval
            return Agreement.AGREES if inside else Agreement.DIFFERS
        if claimed in self.inferred:
            return Agreement.AGREES
        return Agreement.LOOSER if claimed in self.fits else Agreement.DIFFERS


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Everything that was found out about one subject, and all that it was asked for it."""

    findings: tuple[Finding, ...]
    unexplained: tuple[Unexplained, ...]
    asked: dict[Case, Outcome]
    seconds: float

    def surprises(self, dialect: Dialect) -> tuple[Finding, ...]:
        """Findings that contradict ``dialect``."""
        return tuple(each for each in self.findings if each.agreement(dialect) is Agreement.DIFFERS)


def declared(dialect: Dialect, convention: str) -> str:
    """What ``dialect`` claims about ``convention``, in the words of a finding.

    Adapters are given the weight of the old value and convert it, so that whatever the sense of the
    subject's own momentum is, the weight must come out as given.
    """
    claim = getattr(dialect, convention)
    if convention == "momentum":
        return "none" if claim.value is MomentumSense.NONE else "as_given"
    if convention == "epsilon_floor":
        return f"{claim.value:g}"
    return str(claim.value)


_DIALECT_NAMES = {"algorithm": "variance", "weight": "momentum"}


def dialect_name(convention: str) -> str:
    """What a dialect calls the convention that hypotheses call ``convention``."""
    return _DIALECT_NAMES.get(convention, convention)


def not_offered(convention: str, why: str, inferred: str = "-") -> Finding:
    """A convention about something that the subject does not have."""
    return Finding(
        convention=dialect_name(convention),
        inferred=(inferred,),
        fits=(inferred,),
        standing=Standing.NOT_OFFERED,
        told=why,
    )


def finding_of(name: str, work: Discrimination) -> Finding:
    """What ``work`` found out about the convention called ``name``."""
    alive = work.alive
    fits = [value for value in VALUES[name] if any(each.value(name) == value for each in alive)]
    leeways = [each for each in work.leeways if _concerns(each, name, alive)]
    left = {each.wide.value(name) for each in leeways}
    inferred = [value for value in fits if value not in left] or fits
    against = [each for each in work.unexplained if name in dict(each.instead)]
    if against:
        return _inconsistent(name, inferred, against[0])
    without = [each for each in work.unexplained if name in each.bears]
    if len(inferred) > 1 and without:
        return _without_value(name, inferred, without[0])
    told, cases = _how(name, inferred, leeways, work)
    standing = Standing.AMBIGUOUS
    if len(inferred) == 1:
        standing = Standing.TOLD if len(fits) == 1 else Standing.NARROWEST
    return Finding(
        convention=dialect_name(name),
        inferred=tuple(str(value) for value in inferred),
        fits=tuple(str(value) for value in fits),
        standing=standing,
        told=told,
        cases=cases,
    )


def _concerns(leeway: Leeway, name: str, alive: Sequence[Hypothesis]) -> bool:
    """Whether both sides of ``leeway`` are still alive and differ in ``name``."""
    both = leeway.narrow in alive and leeway.wide in alive
    return both and leeway.narrow.differences(leeway.wide) == (name,)


def _inconsistent(name: str, inferred: Sequence[object], against: Unexplained) -> Finding:
    """A convention that is one thing in one case and another in the next."""
    other = dict(against.instead)[name]
    return _of_many(name, (*map(str, inferred), other), against, f"there it is {other}")


def _without_value(name: str, inferred: Sequence[object], against: Unexplained) -> Finding:
    """A convention no value of which explains what depends on it."""
    return _of_many(name, tuple(map(str, inferred)), against, "no value explains it")


def _of_many(name: str, values: tuple[str, ...], against: Unexplained, how: str) -> Finding:
    return Finding(
        convention=dialect_name(name),
        inferred=values,
        fits=values,
        standing=Standing.INCONSISTENT,
        told=f"{against.case.id[:SHOWN]} {', '.join(against.what)}: {how}",
        cases=(against.case.id,),
    )


def _how(
    name: str, inferred: Sequence[object], leeways: Sequence[Leeway], work: Discrimination
) -> tuple[str, tuple[str, ...]]:
    """How ``inferred`` was told from the other values, in words and by the cases' ids."""
    parts, cases = [], []
    for value in VALUES[name]:
        if value in inferred:
            continue
        allowing = [each for each in leeways if each.wide.value(name) == value]
        if allowing:
            best = max(allowing, key=lambda each: each.size)
            looser = "far looser" if best.size == float("inf") else f"{best.size:.0f}x looser"
            parts.append(f"{value} is {looser}: {best.case.id[:SHOWN]} {best.quantity}")
            cases.append(best.case.id)
            continue
        against = _eliminating(name, value, work)
        if against is not None:
            case, quantity = against
            parts.append(f"not {value}: {case.id[:SHOWN]} {quantity}")
            cases.append(case.id)
    if len(inferred) > 1:
        parts.insert(0, "nothing that can be asked tells them apart")
    return "; ".join(parts), tuple(dict.fromkeys(cases))


def _eliminating(name: str, value: object, work: Discrimination) -> tuple[Case, Quantity] | None:
    """The case and the quantity that spoke against ``value``, most directly."""
    best = work.alive[0]
    against = [each for each in work.eliminations if each.hypothesis.value(name) == value]
    if not against:
        return None
    direct = min(against, key=lambda each: len(each.hypothesis.differences(best)))
    return direct.case, direct.misfit.quantity
