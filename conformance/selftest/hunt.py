"""One miniature through the cases until its defect is found and explained."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..case import Case
from ..cases.fills import Inputs, make_inputs
from ..contract import Adapter
from ..engine.answering import repeats
from ..engine.process import Question, SubjectProcess
from ..explanation.explanation import Explanation, Witness
from ..explanation.names import Kind
from ..judging.judge import Trial, judge
from ..reference import Conventions, Expected, expect
from ..verdict import Conforms, Judgement, NotSupported
from .planted import Planted

Attribute: TypeAlias = Callable[[type[Adapter], Sequence[Witness]], Sequence[Explanation]]

LIMIT = 20.0
"""Seconds for one case: a miniature takes milliseconds, and one that crashes has to start again."""

CHECKPOINTS = (80, 240)
"""Cases after which an explanation is asked for, if anything was found; at last after all."""


@dataclass(frozen=True, kw_only=True)
class Hunted:
    """What became of one miniature.

    ``case_number`` and ``seconds`` are those of the first divergence, the start of its process
    included; both are None if there was none. ``cases`` were asked in all.
    """

    name: str
    planted: tuple[str, ...]
    where: tuple[str, ...]
    sentence: str
    source: str
    found: bool
    first: str
    case_number: int | None
    seconds: float | None
    cases: int
    total_seconds: float
    explanations: tuple[Explanation, ...]

    @property
    def is_control(self) -> bool:
        """Whether nothing was planted, so that nothing must be found."""
        return not self.planted

    @property
    def named(self) -> tuple[str, ...]:
        """The causes that were named, the one that explains most first."""
        return tuple(dict.fromkeys(each.name for each in self.explanations))

    @property
    def told_where(self) -> bool:
        """Whether a planted cause is limited by a fact that the defect depends on, if it does."""
        mine = [each for each in self.explanations if each.name in self.planted]
        return not self.where or any(set(each.where) & set(self.where) for each in mine)

    @property
    def cause_right(self) -> bool:
        """Whether the cause that explains most is planted, and nothing is left unexplained.

        Where something else must be named with it, as that an answer changes, that is named too.
        """
        if not self.planted or not self.named or Kind.UNEXPLAINED.value in self.named:
            return False
        return self.named[0] in self.planted and self.planted[0] in self.named

    @property
    def cause_alone(self) -> bool:
        """Whether the cause is right and nothing is named that is not planted."""
        return self.cause_right and set(self.named) <= set(self.planted)

    @property
    def passed(self) -> bool:
        """Whether a defect was found, or a control stayed clean; causes are counted apart."""
        return self.found != self.is_control


def hunt(planted: Planted, cases: Sequence[Case], attribute: Attribute) -> Hunted:
    """Ask ``cases`` in their order; stop once everything found has an explanation.

    A control is asked all of them. What is planted has no say in when to stop.
    """
    began = time.monotonic()
    chase = _Chase(planted, attribute)
    adapter = planted.adapter
    mine = [case for case in cases if adapter.capabilities.unsupported(case) is None]
    questions = (Question(case=case, repeat=repeats(case)) for case in mine)
    first, number, seconds = "", None, None
    with SubjectProcess(planted.target, adapter.environment) as process:
        for case, outcome in process.ask(questions, LIMIT):
            trial = _trial(case, adapter)
            judgements = judge(trial, outcome, adapter.dialect, adapter.capabilities)
            chase.witnesses.append(Witness(case=case, outcome=outcome, judgements=judgements))
            wrong = [each for each in judgements if diverges(each)]
            if wrong and number is None:
                number, seconds = len(chase.witnesses), time.monotonic() - began
                first = f"{wrong[0].clause} {wrong[0].quantity} in case {case.id}"
            if number is not None and not planted.is_control and chase.is_explained():
                break
        else:
            chase.explain(at_all=number is not None)
    return Hunted(
        name=planted.name,
        planted=tuple(map(str, planted.causes)),
        where=planted.where,
        sentence=planted.sentence,
        source=planted.source,
        found=number is not None,
        first=first,
        case_number=number,
        seconds=seconds,
        cases=len(chase.witnesses),
        total_seconds=time.monotonic() - began,
        explanations=chase.explanations,
    )


def diverges(judgement: Judgement) -> bool:
    """Whether a judgement is anything but a pass or something that is not offered."""
    return not isinstance(judgement.verdict, (Conforms, NotSupported))


class _Chase:
    """What was seen so far, and how it is explained."""

    def __init__(self, planted: Planted, attribute: Attribute) -> None:
        self.planted, self.attribute = planted, attribute
        self.witnesses: list[Witness] = []
        self.explanations: tuple[Explanation, ...] = ()

    def is_explained(self) -> bool:
        """At a checkpoint: whether all that diverges has an explanation."""
        if len(self.witnesses) not in CHECKPOINTS:
            return False
        self.explain(at_all=True)
        kinds = {each.kind for each in self.explanations}
        return bool(kinds) and Kind.UNEXPLAINED not in kinds

    def explain(self, *, at_all: bool) -> None:
        """Ask for the causes, if there is anything to explain."""
        if at_all:
            found = self.attribute(self.planted.adapter, self.witnesses)
            self.explanations = tuple(found)


@functools.lru_cache(maxsize=2048)
def _expected(case: Case, conventions: Conventions) -> tuple[Inputs, Expected]:
    """What ``case`` must give, computed once for all miniatures of one dialect in this process."""
    inputs = make_inputs(case)
    return inputs, expect(case, inputs, conventions)


def _trial(case: Case, adapter: type[Adapter]) -> Trial:
    inputs, expected = _expected(case, Conventions.of(adapter.dialect))
    return Trial(case=case, inputs=inputs, expected=expected)
