"""Attribution: from divergences to their causes.

First the alternatives of ``catalogue.py`` are tried on every case: one that gives what the subject
gave explains those divergences, provided that nothing the subject got right contradicts it, or
that a simple fact of the cases tells where it holds. What is left is traced to the stage where the
error enters, and what cannot be traced is called unexplained.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..case import Case
from ..compare import compare
from ..contract import Adapter, Answer, Answered, Array, Quantity
from ..expectation import Conventions, Expectation, Expected
from ..fills import Inputs, make_inputs
from ..known import case_facts
from ..reference import expect
from ..verdict import (
    CALL,
    Cause,
    Conforms,
    Diverges,
    Judgement,
    Unrepeatable,
    Verdict,
    WorkerCrashed,
    WorkerHung,
    WrongContract,
)
from .alternative import Alternative
from .catalogue import ALTERNATIVES
from .explanation import Explanation, Witness
from .names import Kind, Stage, Why
from .scope import FACTS, STRUCTURE, Where, find_scope, meets
from .stages import Located, Scene, locate

SLACK = 2.0
"""Bounds of an alternative are the spec's own, which fit it but for a small factor."""

IMPROVEMENT = 2.0
"""An alternative must fit so many times better than what was declared: else it changes nothing."""

_VALUES = frozenset({Cause.BEYOND_BOUND, Cause.NOT_FINITE, Cause.HIDES_NON_FINITE})

Row = tuple[int, Quantity]
"""A witness by its position, and one of its quantities."""


def attribute(adapter: type[Adapter], witnesses: Sequence[Witness]) -> tuple[Explanation, ...]:
    """The causes of all that diverges in ``witnesses``, the one that explains most first."""
    work = _Attribution(adapter=adapter, witnesses=witnesses)
    alternatives = list(work.by_alternatives())
    stages = list(work.by_stage())
    found = [work.with_followers(i, each) for i, each in enumerate(alternatives)]
    found += [*stages, *work.by_form()]
    return tuple(sorted(_merged(found), key=lambda each: -len(each.affected)))


@dataclass(kw_only=True)
class _Attribution:
    """The witnesses of one subject, and what has been found out about them."""

    adapter: type[Adapter]
    witnesses: Sequence[Witness]
    inputs: dict[int, Inputs] = field(default_factory=dict)
    ratios: dict[tuple[int, int], Mapping[Quantity, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the rows into what diverges in value, what conforms, and the rest."""
        self.conventions = Conventions.of(self.adapter.dialect)
        self.facts = [case_facts(witness.case) for witness in self.witnesses]
        self.wrong: dict[Row, Judgement] = {}
        self.right: set[Row] = set()
        for index, witness in enumerate(self.witnesses):
            for judgement in witness.judgements:
                if judgement.quantity == CALL or judgement.quantity not in set(Quantity):
                    continue
                row = index, Quantity(judgement.quantity)
                match judgement.verdict:
                    case Diverges(cause=cause) if cause in _VALUES:
                        self.wrong[row] = judgement
                    case Conforms() as verdict if not verdict.vacuous:
                        self.right.add(row)
        self.right -= set(self.wrong)
        self.left = set(self.wrong)
        self.settled: dict[Row, int] = {}
        self.followers: dict[int, set[Row]] = defaultdict(set)

    # Alternatives.

    def by_alternatives(self) -> Iterator[Explanation]:
        """Explanations by alternatives: greedily, the one that explains most rows first."""
        for wider in (False, True):
            tried = [a for a in range(len(ALTERNATIVES)) if ALTERNATIVES[a].wider is wider]
            alive = [a for a in tried if self._probe(a)]
            while self.left and alive:
                offers = [(a, *self._explained(a)) for a in alive]
                best, rows, where = max(offers, key=lambda o: (len(o[1]), o[2] == {}, -o[0]))
                if not rows:
                    break
                alive = [a for a, explained, _ in offers if explained and a != best]
                rows |= self._also(best, where)
                self.left -= rows
                chosen = ALTERNATIVES[best]
                yield self._settled(Kind.CONVENTION, chosen.why, chosen.sentence, rows, where)

    def _also(self, a: int, where: Where) -> set[Row]:
        """Rows that ``a``, once accepted, leaves within their bounds, if only just better."""
        return {
            row
            for row in self.left
            if self._concerns(a, row)
            and meets(where, self.facts[row[0]])
            and self._ratios(a, row[0]).get(row[1], math.inf) <= 1.0
        }

    def _probe(self, a: int) -> bool:
        """Whether alternative ``a`` fits one of a few rows of each quantity."""
        sorts: dict[Any, list[Row]] = defaultdict(list)
        for row in sorted(self.left):
            if self._concerns(a, row):
                sorts[row[1], self.witnesses[row[0]].case.mode].append(row)
        few = [row for rows in sorts.values() for row in _spread(rows)]
        return any(self._fits(a, row) for row in few)

    def _explained(self, a: int) -> tuple[set[Row], Where]:
        """The rows that ``a`` explains, and where; none if that would be a guess."""
        mine = [row for row in self.left if self._concerns(a, row)]
        rows = {row for row in mine if self._fits(a, row)}
        missed = {row for row in mine if row not in rows}
        everywhere = {row for row in rows if self._holds_for(a, row[1], rows, missed)}
        if _cases(everywhere) > 1 or everywhere == self.left:
            return everywhere, {}
        against = self._against(a, {quantity for _, quantity in rows}, missed)
        where = self._scope(rows, against, STRUCTURE) if _cases(rows) > 2 else None
        return (rows, where) if where else (set(), {})

    def _holds_for(self, a: int, quantity: Quantity, rows: set[Row], missed: set[Row]) -> bool:
        """Whether ``a`` holds for a quantity on every case that can tell.

        It may miss a few that another cause has spoilt as well, but nothing may contradict it.
        """
        fitting = sum(row[1] is quantity for row in rows)
        missing = sum(row[1] is quantity for row in missed)
        if ALTERNATIVES[a].wider:
            return not missing
        return 2 * missing < fitting and not self._against(a, {quantity}, set())

    def _against(self, a: int, quantities: Iterable[Quantity], missed: set[Row]) -> set[Row]:
        """Rows of ``quantities`` that speak against ``a``."""
        wanted = set(quantities)
        found = {row for row in missed if row[1] in wanted}
        if ALTERNATIVES[a].wider:
            # What is within the right bound is within a wider one.
            return found
        return found | {row for row in self.right if row[1] in wanted and self._refuted(a, row)}

    def _scope(
        self, rows: Iterable[Row], against: Iterable[Row], facts: Sequence[str] = FACTS
    ) -> Where | None:
        affected = [self.facts[index] for index in sorted({index for index, _ in rows})]
        others = [self.facts[index] for index in sorted({index for index, _ in against})]
        return find_scope(affected, others, facts)

    def _concerns(self, a: int, row: Row) -> bool:
        alternative, case = ALTERNATIVES[a], self.witnesses[row[0]].case
        return row[1] in alternative.quantities and alternative.concerns(case)

    def _fits(self, a: int, row: Row) -> bool:
        """Whether ``a`` gives what the subject gave, and fits far better than what it declared."""
        ratio = self._ratios(a, row[0]).get(row[1])
        verdict = self.wrong[row].verdict
        declared = verdict.measure.ratio if isinstance(verdict, Diverges) and verdict.measure else 0
        return ratio is not None and ratio <= 1.0 and ratio * SLACK * IMPROVEMENT < declared

    def _refuted(self, a: int, row: Row) -> bool:
        if not self._concerns(a, row):
            return False
        ratio = self._ratios(a, row[0]).get(row[1])
        return ratio is not None and ratio > 1.0

    def _ratios(self, a: int, index: int) -> Mapping[Quantity, float]:
        """Largest error / bound of each quantity of a witness under alternative ``a``."""
        if (a, index) not in self.ratios:
            self.ratios[a, index] = self._measured(ALTERNATIVES[a], index)
        return self.ratios[a, index]

    def _measured(self, alternative: Alternative, index: int) -> Mapping[Quantity, float]:
        witness = self.witnesses[index]
        if not isinstance(witness.outcome, Answered):
            return {}
        try:
            expected = alternative.expect(witness.case, self._inputs_of(index), self.conventions)
        except (ValueError, ZeroDivisionError, OverflowError):
            # This case cannot be misread in this way.
            return {}
        slack = 1.0 if alternative.wider else SLACK
        found = {}
        for quantity in alternative.quantities:
            ratio = _ratio(
                witness.outcome.answer, expected, quantity, slack, any_value=alternative.any_value
            )
            if ratio is not None:
                found[quantity] = ratio
        return found

    def _inputs_of(self, index: int) -> Inputs:
        if index not in self.inputs:
            self.inputs[index] = make_inputs(self.witnesses[index].case)
        return self.inputs[index]

    # Stages.

    def by_stage(self) -> Iterator[Explanation]:
        """Explanations of what is left by the stage where the error enters.

        What follows from a quantity that is explained already belongs to that explanation.
        """
        found: dict[Stage, set[Row]] = defaultdict(set)
        for index in sorted({index for index, _ in self.left}):
            for located in self._located(index):
                rows = {(index, quantity) for quantity in located.quantities} & self.left
                self.left -= rows
                explained = self.settled.get((index, located.origin))
                if explained is None:
                    found[located.stage] |= rows
                else:
                    self.followers[explained] |= rows
        for stage, rows in found.items():
            if rows:
                yield self._of_stage(stage, rows)

    def _of_stage(self, stage: Stage, rows: set[Row]) -> Explanation:
        quantities = {quantity for _, quantity in rows}
        where = self._scope(rows, {row for row in self.right if row[1] in quantities})
        sentence = _STAGES[stage]
        if where is None:
            sentence += "; no one or two facts tell where"
        return self._explanation(Kind.STAGE, stage, sentence, rows, where or {})

    def _located(self, index: int) -> Iterator[Located]:
        """The stages of one witness."""
        witness = self.witnesses[index]
        wrong = {q for i, q in self.wrong if i == index and self._traceable((i, q))}
        if not wrong or not isinstance(witness.outcome, Answered):
            return
        inputs = self._inputs_of(index)
        expected = expect(witness.case, inputs, self.conventions)
        scene = Scene(
            case=witness.case, inputs=inputs, expected=expected, answer=witness.outcome.answer
        )
        first = min(max(self.wrong[index, quantity].step, 0) for quantity in wrong)
        yield from locate(scene, frozenset(wrong), first)

    def _traceable(self, row: Row) -> bool:
        verdict = self.wrong[row].verdict
        return isinstance(verdict, Diverges) and verdict.cause is Cause.BEYOND_BOUND

    # What is no matter of values, and what remains.

    def by_form(self) -> Iterator[Explanation]:
        """One for each form of divergence, then what nothing explains, by clause and quantity."""
        found: dict[tuple[str, str], set[tuple[int, str, str]]] = defaultdict(set)
        for index, witness in enumerate(self.witnesses):
            for judgement in witness.judgements:
                named = form_of(judgement.verdict)
                if named is not None:
                    found[named, judgement.clause].add(
                        (index, judgement.quantity, judgement.clause)
                    )
        for row in self.left:
            verdict = self.wrong[row].verdict
            if isinstance(verdict, Diverges) and verdict.cause is not Cause.BEYOND_BOUND:
                clause = self.wrong[row].clause
                found[verdict.cause.value, clause].add((row[0], row[1].value, clause))
                self.left = self.left - {row}
        for (name, clause), rows in sorted(found.items()):
            yield self._of_form(name, clause, rows)
        rest: dict[tuple[str, Quantity], set[Row]] = defaultdict(set)
        for row in self.left:
            rest[self.wrong[row].clause, row[1]].add(row)
        for (clause, quantity), same in sorted(rest.items()):
            where = self._scope(same, {row for row in self.right if row[1] is quantity})
            sentence = f"{quantity.value} diverges from {clause}, and nothing known accounts for it"
            yield self._explanation(
                Kind.UNEXPLAINED, Kind.UNEXPLAINED.value, sentence, same, where or {}
            )

    def _of_form(self, name: str, clause: str, rows: set[tuple[int, str, str]]) -> Explanation:
        indices = {index for index, _, _ in rows}
        others = [
            self.facts[i]
            for i, witness in enumerate(self.witnesses)
            if i not in indices and any(j.clause == clause for j in witness.judgements)
        ]
        where = find_scope([self.facts[i] for i in sorted(indices)], others)
        kind, why = (
            (Kind.CONVENTION, Why.STATE_UPDATED_IN_INFERENCE.value)
            if name == Cause.STATE_CHANGED.value
            else (Kind.FORM, name)
        )
        messages = sorted({_message(self.witnesses[i], name) for i in indices}, key=len)
        return Explanation(
            subject=self.adapter.name,
            kind=kind,
            name=why,
            sentence=messages[0] or name,
            where=where or {},
            clauses=(clause,),
            quantities=tuple(sorted({quantity for _, quantity, _ in rows})),
            affected=tuple(sorted((self.witnesses[i].case.id, q) for i, q, _ in rows)),
        )

    def _settled(
        self, kind: Kind, name: str, sentence: str, rows: set[Row], where: Where
    ) -> Explanation:
        """An explanation that others may follow from."""
        number = 1 + max(self.settled.values(), default=-1)
        self.settled |= dict.fromkeys(rows, number)
        return self._explanation(kind, name, sentence, rows, where)

    def with_followers(self, number: int, explanation: Explanation) -> Explanation:
        """The ``number``-th explanation with what follows from what it explains."""
        more = self.followers[number]
        if not more:
            return explanation
        rows = {row for row, settled in self.settled.items() if settled == number} | more
        return self._explanation(
            explanation.kind, explanation.name, explanation.sentence, rows, explanation.where
        )

    def _explanation(
        self,
        kind: Kind,
        name: str,
        sentence: str,
        rows: Iterable[Row],
        where: Mapping[str, Any],
    ) -> Explanation:
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


_STAGES: Mapping[Stage, str] = {
    Stage.MEAN: "the error enters at the batch's mean",
    Stage.VARIANCE: "the error enters at the batch's variance",
    Stage.INVERSE_DEVIATION: "the error enters at 1 / sqrt(v + epsilon): the statistics are right",
    Stage.AFFINE: "the error enters at y = gamma xhat + beta: y is not what its statistics give",
    Stage.UPDATE_MEAN: "the error enters at the update of the running mean",
    Stage.UPDATE_VARIANCE: "the error enters at the update of the running variance",
    Stage.DX: "the error enters at dx: the forward pass is right",
    Stage.DGAMMA: "the error enters at dgamma: the forward pass is right",
    Stage.DBETA: "the error enters at dbeta",
    Stage.INFERENCE: "the error enters in inference: the running statistics are right",
}


def form_of(verdict: Verdict) -> str | None:
    """What a verdict that is no matter of values is called; None for all others."""
    match verdict:
        case Diverges(cause=cause) if cause not in _VALUES:
            return cause.value
        case WrongContract():
            return "wrong contract"
        case WorkerCrashed():
            return "crash"
        case WorkerHung():
            return "hang"
        case Unrepeatable():
            return "not repeatable"
        case _:
            return None


def _message(witness: Witness, name: str) -> str:
    """What the judge said of a form of divergence."""
    for judgement in witness.judgements:
        if form_of(judgement.verdict) == name:
            return str(getattr(judgement.verdict, "message", ""))
    return ""


def _cases(rows: Iterable[Row]) -> int:
    return len({index for index, _ in rows})


def _spread(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The first, the last and the middle one."""
    return rows[0], rows[len(rows) // 2], rows[-1]


def _merged(explanations: Iterable[Explanation]) -> Iterator[Explanation]:
    """What has one name and one scope is one."""
    found: dict[str, Explanation] = {}
    for each in explanations:
        key = f"{each.kind}/{each.name}/{each.sentence}/{sorted(each.where.items(), key=repr)}"
        same = found.get(key)
        found[key] = each if same is None else _union(same, each)
    yield from found.values()


def _union(one: Explanation, other: Explanation) -> Explanation:
    return replace(
        one,
        clauses=tuple(sorted({*one.clauses, *other.clauses})),
        quantities=tuple(sorted({*one.quantities, *other.quantities})),
        affected=tuple(sorted({*one.affected, *other.affected})),
    )


def _ratio(
    answer: Answer,
    expected: Expected,
    quantity: Quantity,
    slack: float,
    any_value: bool,  # noqa: FBT001
) -> float | None:
    """The largest error / bound of ``quantity`` over all calls; None where nothing is judged."""
    largest: float | None = None
    for got, want in _pairs(answer, expected, quantity):
        if any_value:
            want = want.without(want.vacuous)  # noqa: PLW2901 -- the same, promising less
        verdict = compare(got, replace(want, bound=want.bound * slack, exact=None))
        if isinstance(verdict, (Conforms, Diverges)) and verdict.measure is not None:
            if verdict.measure.judged or any_value:
                largest = max(largest or 0.0, verdict.measure.ratio)
        else:
            return None
    return largest


def _pairs(
    answer: Answer, expected: Expected, quantity: Quantity
) -> Iterator[tuple[Array, Expectation]]:
    if quantity is Quantity.Y_INFER:
        if answer.inference is not None and expected.inference is not None:
            yield answer.inference.y, expected.inference[quantity]
        return
    for step, want in zip(answer.steps, expected.steps, strict=True):
        got = getattr(step, quantity.value)
        if got is not None and quantity in want:
            yield got, want[quantity]


def applies(explanation: Explanation, case: Case) -> bool:
    """Whether ``case`` lies where the explanation says that it happens."""
    return meets(explanation.where, case_facts(case))
