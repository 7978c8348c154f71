"""The other side of false alarms: what each rule catches of faulty makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from implementations import OutOfClassError, Pairwise, TwoPass
from layers import answer, dialect_of
from rules import RULES, look
from subjects import EVERYTHING, Bench

from bnconform.conformance.case import Case, FillKind, Mode
from bnconform.conformance.contract import Answer, Answered, Step
from bnconform.conformance.dialect import Dialect
from bnconform.conformance.judging.judge import Trial, judge
from bnconform.conformance.reference import Conventions
from bnconform.conformance.variant import PLAIN
from bnconform.conformance.verdict import Diverges

OURS = "our bounds"
EVERY_RULE = (OURS, *RULES)


@dataclass(kw_only=True)
class Caught:
    """Of the cases in which a fault changes a bit: who objects, and to whom also without it."""

    cases: int = 0
    flagged: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EVERY_RULE, 0))
    told_apart: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EVERY_RULE, 0))

    def merge(self, other: Caught) -> None:
        """Take ``other`` in."""
        self.cases += other.cases
        for rule in EVERY_RULE:
            self.flagged[rule] += other.flagged[rule]
            self.told_apart[rule] += other.told_apart[rule]


def is_ordinary(case: Case) -> bool:
    """Whether every fault can show in ``case``."""
    return (
        case.variant == PLAIN
        and not case.half_parameters
        and case.mode is Mode.TRAIN
        and case.scale
        and case.center
        and case.smallest_count >= 3
        and case.fill.kind not in {FillKind.NAN, FillKind.INF}
    )


def check_faults(
    faults: Iterable[type[TwoPass]], cases: Iterable[Case]
) -> tuple[Mapping[str, Caught], Caught]:
    """What was caught of each fault, and what was held against the make without one."""
    found = {fault.__name__: Caught() for fault in faults}
    correct = Caught()
    with np.errstate(all="ignore"):
        for case in filter(is_ordinary, cases):
            bench = Bench(case)
            plain, held = _objections(Pairwise, bench)
            correct.cases += 1
            for rule in held:
                correct.flagged[rule] += 1
            for fault in faults:
                wrong, objections = _objections(fault, bench)
                if plain is None or wrong is None or _same(plain, wrong):
                    continue
                caught = found[fault.__name__]
                caught.cases += 1
                for rule in objections:
                    caught.flagged[rule] += 1
                    caught.told_apart[rule] += rule not in held
    return found, correct


def _objections(make: type[TwoPass], bench: Bench) -> tuple[Answer | None, set[str]]:
    """The answer, and the rules that object to something in it."""
    dialect = dialect_of(make)
    outcome = answer(make, bench.case, bench.inputs)
    if isinstance(outcome, OutOfClassError):
        return None, set()
    trial = bench.trial(Conventions.of(dialect))
    looks = look(trial, outcome.answer)
    found = {rule for seen in looks.values() for rule in seen.objections}
    if _diverges(trial, outcome, dialect):
        found.add(OURS)
    return outcome.answer, found


def _diverges(trial: Trial, outcome: Answered, dialect: Dialect) -> bool:
    judgements = judge(trial, outcome, dialect, EVERYTHING)
    return any(isinstance(each.verdict, Diverges) for each in judgements)


def _same(one: Answer, other: Answer) -> bool:
    pairs = zip(_calls(one), _calls(other), strict=True)
    return all(_bits(a, name.name) == _bits(b, name.name) for a, b in pairs for name in fields(a))


def _bits(step: Step, name: str) -> bytes:
    value = getattr(step, name)
    return b"" if value is None else value.tobytes()


def _calls(answer: Answer) -> tuple[Step, ...]:
    return answer.steps if answer.inference is None else (*answer.steps, answer.inference)
