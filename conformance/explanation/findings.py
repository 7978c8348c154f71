"""What is known of one subject's witnesses: what diverges, what does not, what is unexplained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from ..case import Case
from ..cases.fills import Inputs, make_inputs
from ..contract import Adapter, Quantity
from ..expecting.expectation import Conventions
from ..known.divergences import case_facts
from ..verdict import Cause, Conforms, Diverges, Judgement
from .explanation import Explanation, Witness
from .names import Kind
from .scope import FACTS, Facts, Where, find_scope, likely_scope

VALUES = frozenset({Cause.BEYOND_BOUND, Cause.NOT_FINITE, Cause.HIDES_NON_FINITE})
"""Causes of divergences in value, which an alternative may give."""

Row: TypeAlias = tuple[int, Quantity]
"""A witness by its position, and one of its quantities."""


class Findings:
    """The witnesses of one subject, sorted.

    ``wrong`` holds the judgements of the rows that diverge in value, ``right`` the rows that
    conform, and ``left`` those of ``wrong`` that nothing explains yet.
    """

    def __init__(self, adapter: type[Adapter], witnesses: Sequence[Witness]) -> None:
        """Sort the rows of ``witnesses``, all of ``adapter``."""
        self.adapter, self.witnesses = adapter, witnesses
        self.conventions = Conventions.of(adapter.dialect)
        self.facts = [case_facts(witness.case) for witness in witnesses]
        self.wrong: dict[Row, Judgement] = {}
        self.right: set[Row] = set()
        for index, witness in enumerate(witnesses):
            for judgement in witness.judgements:
                if judgement.quantity in set(Quantity):
                    self._sort((index, Quantity(judgement.quantity)), judgement)
        self.right -= set(self.wrong)
        self.left = set(self.wrong)
        self._inputs: dict[int, Inputs] = {}

    def _sort(self, row: Row, judgement: Judgement) -> None:
        match judgement.verdict:
            case Diverges(cause=cause) if cause in VALUES:
                self.wrong[row] = judgement
            case Conforms() as verdict if not verdict.vacuous:
                self.right.add(row)

    def case(self, row: Row) -> Case:
        """The case of a row."""
        return self.witnesses[row[0]].case

    def inputs(self, index: int) -> Inputs:
        """The arrays of a witness."""
        if index not in self._inputs:
            self._inputs[index] = make_inputs(self.witnesses[index].case)
        return self._inputs[index]

    def declared(self, row: Row) -> float:
        """Error / bound of a wrong row under what the subject declares."""
        verdict = self.wrong[row].verdict
        return verdict.measure.ratio if isinstance(verdict, Diverges) and verdict.measure else 0.0

    def traceable(self, row: Row) -> bool:
        """Whether a wrong row is a finite value that is too far off."""
        verdict = self.wrong[row].verdict
        return isinstance(verdict, Diverges) and verdict.cause is Cause.BEYOND_BOUND

    def scope(
        self,
        rows: Iterable[Row],
        against: Iterable[Row],
        facts: Sequence[str] = FACTS,
        spared: int = 0,
    ) -> Where | None:
        """Where ``rows`` are and ``against`` are not, see :func:`~.scope.find_scope`."""
        return find_scope(*self._sides(rows, against), facts, spared)

    def likely_scope(self, rows: Iterable[Row], against: Iterable[Row]) -> Where | None:
        """Where ``rows`` are and ``against`` rarely, see :func:`~.scope.likely_scope`."""
        return likely_scope(*self._sides(rows, against))

    def _sides(
        self, rows: Iterable[Row], against: Iterable[Row]
    ) -> tuple[Sequence[Facts], Sequence[Facts]]:
        """The facts of the cases of ``rows``, and of those that ``against`` has besides."""
        inside = {index for index, _ in rows}
        outside = {index for index, _ in against} - inside
        affected = [self.facts[index] for index in sorted(inside)]
        others = [self.facts[index] for index in sorted(outside)]
        return affected, others

    def explanation(
        self,
        kind: Kind,
        name: str,
        sentence: str,
        rows: Iterable[Row],
        where: Mapping[str, object],
    ) -> Explanation:
        """An explanation of ``rows``, all of which are wrong."""
        rows = sorted(rows)
        return Explanation(
            subject=self.adapter.name,
            kind=kind,
            name=str(name),
            sentence=sentence,
            where=dict(where),
            clauses=tuple(sorted({self.wrong[row].clause for row in rows})),
            quantities=tuple(sorted({quantity.value for _, quantity in rows})),
            affected=tuple(sorted((self.witnesses[i].case.id, q.value) for i, q in rows)),
        )


def cases_of(rows: Iterable[Row]) -> int:
    """How many cases ``rows`` belong to."""
    return len({index for index, _ in rows})
