"""Interrogation: asking a subject, within what it offers, and keeping count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ..case import Case
from ..cases.fills import Inputs, make_inputs
from ..contract import Answered, Array, Capabilities, Outcome, Quantity
from ..expecting.expectation import Expected
from ..formats import DType
from ..judging.compare import compare
from ..verdict import Conforms, Diverges
from .hypothesis import Hypothesis, each_expectation

HALF = (DType.FLOAT16, DType.BFLOAT16)

Ask: TypeAlias = Callable[[Case], Outcome]
"""A way to a subject: its own process in earnest, a call in this one in tests."""


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """One quantity that a hypothesis does not account for; ``step`` -1 is the inference call.

    ``form`` says that its format or shape is wrong, whatever its values; ``half`` that it is due in
    half precision.
    """

    step: int
    quantity: Quantity
    message: str
    form: bool
    half: bool


@dataclass(kw_only=True)
class Interrogation:
    """One subject as a black box: what it may be asked, and all that it was.

    Of its declarations only the capabilities are known, which say what may be asked.
    """

    ask: Ask
    capabilities: Capabilities
    asked: dict[Case, Outcome] = field(default_factory=dict)
    distrusted: set[Quantity] = field(default_factory=set)
    """Quantities that nothing explains even in ordinary cases, and that therefore tell nothing."""
    _inputs: dict[Case, Inputs] = field(default_factory=dict)
    _expected: dict[tuple[Case, Hypothesis], Expected] = field(default_factory=dict)

    def offers(self, case: Case) -> bool:
        """Whether the subject can be asked about ``case`` at all."""
        return self.capabilities.unsupported(case) is None

    def refused(self, case: Case) -> bool:
        """Whether the subject did not answer ``case``, as far as it was asked."""
        return case in self.asked and not isinstance(self.asked[case], Answered)

    @property
    def exposed(self) -> frozenset[Quantity]:
        """What the subject shows, and what may be relied upon."""
        return self.capabilities.quantities - self.distrusted

    def outcome(self, case: Case) -> Outcome:
        """What becomes of ``case``, which is asked once."""
        if case not in self.asked:
            self.asked[case] = self.ask(case)
        return self.asked[case]

    def expected(self, case: Case, hypothesis: Hypothesis) -> Expected:
        """What the subject gives for ``case`` if it follows ``hypothesis``."""
        key = case, hypothesis
        if key not in self._expected:
            self._expected[key] = hypothesis.expect(case, self.inputs(case))
        return self._expected[key]

    def inputs(self, case: Case) -> Inputs:
        """The arrays of ``case``."""
        if case not in self._inputs:
            self._inputs[case] = make_inputs(case)
        return self._inputs[case]

    def misfits(self, case: Case, answered: Answered, hypothesis: Hypothesis) -> list[Misfit]:
        """All that ``hypothesis`` does not account for in the answer to ``case``."""
        found = []
        wanted = each_expectation(self.expected(case, hypothesis), self.exposed)
        for (step, quantity), want in wanted.items():
            got = got_of(answered, step, quantity)
            if got is None:
                continue
            verdict = compare(got, want)
            if isinstance(verdict, Diverges):
                misfit = Misfit(
                    step=step,
                    quantity=quantity,
                    message=verdict.message,
                    form=verdict.measure is None,
                    half=want.output.dtype in HALF,
                )
                found.append(misfit)
        return found


def ratio_of(answered: Answered, expected: Expected, quantity: Quantity) -> float:
    """|got - expected| / bound of ``quantity`` after the last step, the worst element's."""
    last = len(expected.steps) - 1
    got = got_of(answered, last, quantity)
    if got is None:
        return math.nan
    verdict = compare(got, expected.steps[last][quantity])
    measure = verdict.measure if isinstance(verdict, (Conforms, Diverges)) else None
    # A bound that says nothing allows no number rather than every one.
    return measure.ratio if measure is not None and measure.judged else math.inf


def got_of(answered: Answered, step: int, quantity: Quantity) -> Array | None:
    """What was answered; None where the subject does not show it in such a call."""
    if step >= 0:
        array: Array | None = getattr(answered.answer.steps[step], quantity.value)
        return array
    return None if answered.answer.inference is None else answered.answer.inference.y
