"""Inferring all conventions of a subject: topic after topic, each with what is known already."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace

from ..case import Case, Mode
from ..contract import RUNNING_STATISTICS, Answered, Capabilities, Outcome, Quantity, Raised
from ..dialect import Arithmetic, Averaging, Dialect, Policy
from ..expecting.expectation import Expected
from ..verdict import CALL
from . import candidates
from .discriminating import Discrimination, Unexplained
from .finding import SHOWN, Finding, Inference, Standing, finding_of, not_offered
from .hypothesis import WIDEST, Hypothesis, Weight, combinations
from .interrogation import Ask, Interrogation, ratio_of
from .measuring import DECAY_GRID, Interval, allowed, allowed_epsilons

UNOBSERVABLE = ("default_momentum", "default_epsilon")
"""Claims that no answer depends on: every case gives its own epsilon and decay."""

_TRAINING = ("weight", "running_variance", "averaging", "training_statistics")
_STATE = frozenset({"weight", "running_variance", "averaging"})


def infer(ask: Ask, capabilities: Capabilities) -> Inference:
    """The conventions that explain what ``ask`` answers; ``capabilities`` say what to ask.

    What the subject declares of its conventions plays no part.
    """
    began = time.perf_counter()
    inquiry = _Inquiry(subject=Interrogation(ask=ask, capabilities=capabilities))
    inquiry.run()
    order = [each.name for each in fields(Dialect)]
    return Inference(
        findings=tuple(sorted(inquiry.findings, key=lambda each: order.index(each.convention))),
        unexplained=tuple({(each.case, each.what): each for each in inquiry.unexplained}.values()),
        asked=dict(inquiry.subject.asked),
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A number given in a case, and the interval of what became of it; None for no such number."""

    case: Case
    given: float
    interval: Interval | None


@dataclass(kw_only=True)
class _Inquiry:
    """One subject, and the best hypothesis so far."""

    subject: Interrogation
    known: Hypothesis = WIDEST
    findings: list[Finding] = field(default_factory=list)
    unexplained: list[Unexplained] = field(default_factory=list)

    @property
    def offered(self) -> Capabilities:
        """What the subject may be asked."""
        return self.subject.capabilities

    def run(self) -> None:
        """Every topic, each with what the earlier ones found.

        Conventions that decide bounds alone are told one by one, the others as wide as they can
        be: two of them together could each pass for the other.
        """
        by_state = self._epsilons(Mode.INFERENCE)
        self._know_floor(by_state)
        self._topic(_TRAINING, candidates.value_cases(self.offered), confirm=1)
        self.subject.distrusted.update(*(_quantities(each) for each in self.unexplained))
        self._topic(("arithmetic",), candidates.value_cases(self.offered))
        self._topic(("algorithm",), candidates.precision_cases(self.offered))
        self._decay()
        self._epsilon(by_state, self._epsilons(Mode.TRAIN, every=2))
        self._topic(("frozen",), candidates.frozen_cases(self.offered))
        self._topic(("half_output",), candidates.half_cases(self.offered, large=False))
        self._topic(("saved_statistics",), candidates.half_cases(self.offered, large=True))
        self._topic(("half_gradient",), candidates.half_cases(self.offered, large=False))
        self._topic(("ghost_groups",), candidates.ghost_cases(self.offered))
        self._policy("single_value", candidates.one_value_cases(self.offered))
        self._policy("empty_batch", candidates.empty_cases(self.offered))

    # Conventions with few values.

    def _topic(self, names: Sequence[str], cases: Sequence[Case], confirm: int = 0) -> None:
        """Tell the values of the conventions ``names`` apart, and keep what was found."""
        work = Discrimination(
            subject=self.subject,
            hypotheses=combinations(self.known, names),
            candidates=cases,
            confirm=confirm,
        )
        work.run()
        possible = any(
            self.subject.offers(case) and not self.subject.refused(case) for case in cases
        )
        self.unexplained += work.unexplained
        for name in names:
            why = self._missing(name, work.refused, possible=possible)
            self.findings.append(finding_of(name, work) if why is None else why)
        self.known = work.alive[0]

    def _missing(self, name: str, refused: Sequence[str], *, possible: bool) -> Finding | None:
        """A finding that the subject does not have what ``name`` is about, or None."""
        if name in _STATE and not self.offered.quantities & (
            RUNNING_STATISTICS | {Quantity.Y_INFER}
        ):
            why = "exposes no running statistics"
            return not_offered(name, why, "-" if name == "averaging" else "none")
        if not possible:
            why = refused[0] if refused else "not offered"
            return not_offered(name, why, "none" if name == "frozen" else "-")
        return None

    # Numbers.

    def _epsilons(self, mode: Mode, every: int = 1) -> list[_Measured]:
        """What becomes of epsilon, for each that is given."""
        cases = candidates.epsilon_cases(self.offered, mode)
        cases = cases if every == 1 else cases[1::every]
        return [each for case in cases if (each := self._epsilon_of(case)) is not None]

    def _epsilon_of(self, case: Case) -> _Measured | None:
        answered = self.subject.outcome(case)
        if not isinstance(answered, Answered):
            # A subject may refuse an epsilon of 0, and says nothing about its conventions by that.
            return None
        for arithmetic in (Arithmetic.IEEE, Arithmetic.TF32):
            hypothesis = self.known.having(epsilon_floor=0.0, arithmetic=arithmetic)

            def ratio(epsilon: float, hypothesis: Hypothesis = hypothesis) -> float:
                expected = self._expected(replace(case, epsilon=epsilon), hypothesis, case)
                return ratio_of(answered, expected, Quantity.Y)

            interval = allowed_epsilons(ratio, max(case.epsilon, self.known.value("epsilon_floor")))
            if interval is not None:
                break
        return _Measured(case=case, given=case.epsilon, interval=interval)

    def _expected(self, changed: Case, hypothesis: Hypothesis, asked: Case) -> Expected:
        """What a subject would give that understood ``asked`` as ``changed``."""
        return hypothesis.expect(changed, self.subject.inputs(asked))

    def _know_floor(self, measured: Sequence[_Measured]) -> None:
        floor = floor_of(measured)
        self.known = self.known.having(epsilon_floor=floor.plainest if floor else 0.0)

    def _epsilon(self, by_state: Sequence[_Measured], by_batch: Sequence[_Measured]) -> None:
        """The finding about epsilon, from inference and from training."""
        every = [*by_state, *by_batch]
        if not every:
            self.findings.append(not_offered("epsilon_floor", "not offered"))
            return
        floor = floor_of(every)
        least = min(every, key=lambda each: each.given)
        finding = Finding(
            convention="epsilon_floor",
            inferred=(f"{floor.plainest:g}",) if floor else tuple(map(_became, every)),
            fits=(),
            standing=Standing.TOLD if floor else Standing.INCONSISTENT,
            told=f"{_became(least)}: {_shown(least.case)} y"
            if floor
            else "no floor explains what becomes of epsilon",
            cases=tuple(each.case.id for each in every),
            interval=floor,
        )
        self.findings.append(finding)

    def _decay(self) -> None:
        """What becomes of the decay, by the running mean; replaces the finding of the topic."""
        if Quantity.RUNNING_MEAN not in self.offered.quantities:
            return
        debiased = self.known.value("averaging") is Averaging.ZERO_DEBIASED
        cases = candidates.decay_cases(self.offered, steps=2 if debiased else 1)
        measured = [each for case in cases if (each := self._decay_of(case)) is not None]
        if not measured:
            return
        self.findings = [each for each in self.findings if each.convention != "momentum"]
        reading = _reading(measured)
        self.findings.append(
            Finding(
                convention="momentum",
                inferred=(reading,),
                fits=(reading,),
                standing=Standing.INCONSISTENT if reading == "neither" else Standing.TOLD,
                told="; ".join(f"{_became(each)}: {_shown(each.case)}" for each in measured),
                cases=tuple(each.case.id for each in measured),
            )
        )

    def _decay_of(self, case: Case) -> _Measured | None:
        answered = self.subject.outcome(case)
        if not isinstance(answered, Answered) or case.decay is None:
            return None
        hypothesis = self.known.having(weight=Weight.AS_GIVEN)

        def ratio(decay: float) -> float:
            expected = self._expected(replace(case, decay=decay), hypothesis, case)
            return ratio_of(answered, expected, Quantity.RUNNING_MEAN)

        return _Measured(
            case=case, given=case.decay, interval=allowed(ratio, DECAY_GRID, case.decay)
        )

    # Inputs with too few values.

    def _policy(self, convention: str, cases: Sequence[Case]) -> None:
        """Whether ``cases`` are computed or rejected."""
        offered = [case for case in cases if self.subject.offers(case)]
        found = {case: _policy_of(self.subject.outcome(case)) for case in offered}
        found = {case: policy for case, policy in found.items() if policy}
        if not found:
            self.findings.append(not_offered(convention, "not offered"))
            return
        values = tuple(dict.fromkeys(found.values()))
        told = "; ".join(f"{policy}: {_shown(case)}" for case, policy in found.items())
        self.findings.append(
            Finding(
                convention=convention,
                inferred=values,
                fits=values,
                standing=Standing.TOLD if len(values) == 1 else Standing.INCONSISTENT,
                told=told,
                cases=tuple(case.id for case in found),
            )
        )
        self._check_values(case for case in found if found[case] == Policy.COMPUTES)

    def _check_values(self, cases: Iterable[Case]) -> None:
        """Note answers to ``cases`` that the conventions found do not explain."""
        for case in cases:
            answered = self.subject.outcome(case)
            if not isinstance(answered, Answered):
                continue
            misfits = self.subject.misfits(case, answered, self.known)
            if misfits:
                what = tuple(dict.fromkeys(each.quantity for each in misfits))
                self.unexplained.append(
                    Unexplained(case=case, what=what, message=misfits[0].message)
                )


def floor_of(measured: Sequence[_Measured]) -> Interval | None:
    """The floors F for which max(given, F) is what became of every epsilon; None for none."""
    floor: Interval | None = Interval(low=0.0, high=float("inf"))
    for each in measured:
        if each.interval is None or each.given > each.interval.high:
            return None
        low = 0.0 if each.given in each.interval else each.interval.low
        floor = floor and floor & Interval(low=low, high=each.interval.high)
    return floor


def _quantities(unexplained: Unexplained) -> set[Quantity]:
    """What is unexplained, unless it is the call as a whole."""
    return {Quantity(each) for each in unexplained.what if each != CALL}


def _reading(measured: Sequence[_Measured]) -> str:
    """What became of the decays, in a word."""
    intervals = [each.interval for each in measured]
    if any(interval is None for interval in intervals):
        return "neither"
    pairs = [(each.given, each.interval) for each in measured if each.interval is not None]
    if all(given in interval for given, interval in pairs):
        return Weight.AS_GIVEN
    if all(1.0 - given in interval for given, interval in pairs):
        return Weight.SWAPPED
    common: Interval | None = pairs[0][1]
    for _, interval in pairs:
        common = common and common & interval
    return "neither" if common is None else f"always {common.plainest:g}"


def _became(measured: _Measured) -> str:
    """What became of a number that was given."""
    interval = measured.interval
    if interval is None:
        return f"given {measured.given:g}, nothing fits"
    if interval.low == 0.0:
        return f"given {measured.given:g}, at most {interval.high:.2g}"
    half = (interval.high - interval.low) / 2
    return f"given {measured.given:g}, {interval.plainest:g} ± {half:.1g}"


def _shown(case: Case) -> str:
    """The case as sentences name it."""
    return case.id[:SHOWN]


def _policy_of(outcome: Outcome) -> str:
    """What became of a call with too few values; empty if it was not offered after all."""
    match outcome:
        case Answered():
            return Policy.COMPUTES.value
        case Raised():
            return Policy.REJECTS.value
        case _:
            kind = type(outcome).__name__.lower()
            return "" if kind == "unsupported" else kind
