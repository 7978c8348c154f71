"""Attribution: from divergences to their causes.

First the alternatives of ``catalogue.py`` are tried on every case: one that gives what the subject
gave explains those divergences, provided that nothing the subject got right contradicts it, or
that a simple fact of the cases tells where it holds. What is left is traced to the stage where the
error enters, and what cannot be traced is called unexplained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..contract import Adapter, Answered, Quantity
from ..reference import expect
from ..verdict import Cause, Diverges
from .catalogue import ALTERNATIVES
from .explanation import Explanation, Witness
from .findings import Findings, Row, cases_of
from .fitting import FEWEST, Fitting, Offer
from .forms import OF_NOTHING, form_of, of_form
from .names import Kind, Stage
from .scope import CATEGORIES, STRUCTURE, Where
from .stages import Located, Scene, locate


def attribute(adapter: type[Adapter], witnesses: Sequence[Witness]) -> tuple[Explanation, ...]:
    """The causes of all that diverges in ``witnesses``, the one that explains most first."""
    work = _Attribution(Findings(adapter, witnesses))
    alternatives = list(work.by_alternatives())
    stages = list(work.by_stage())
    found = [work.with_followers(i, each) for i, each in enumerate(alternatives)]
    found += [*stages, *work.by_form()]
    return tuple(sorted(_merged(found), key=lambda each: -len(each.affected)))


class _Attribution:
    """Explains what is left of ``found``, step by step."""

    def __init__(self, found: Findings) -> None:
        self.found, self.fitting = found, Fitting(found)
        self.settled: dict[Row, int] = {}
        self.followers: dict[int, set[Row]] = defaultdict(set)

    def by_alternatives(self) -> Iterator[Explanation]:
        """Explanations by alternatives: greedily, the one that explains most rows first."""
        for wider in (False, True):
            tried = [a for a in range(len(ALTERNATIVES)) if ALTERNATIVES[a].wider is wider]
            alive = self.fitting.probed(tried)
            while self.found.left and alive:
                offers = self.fitting.offers(alive)
                best, rows, where = _chosen(offers, wider=wider)
                if not rows:
                    break
                alive = [a for a, explained, _ in offers if explained and a != best]
                rows |= self.fitting.also(best, where)
                self.found.left -= rows
                chosen = ALTERNATIVES[best]
                # Found among the cases that it concerns, so that it does not say which those are.
                where = {**chosen.within, **where}
                yield self._settled(Kind.CONVENTION, chosen.why, chosen.sentence, rows, where)

    def _settled(
        self, kind: Kind, name: str, sentence: str, rows: set[Row], where: Where
    ) -> Explanation:
        """An explanation that others may follow from."""
        number = 1 + max(self.settled.values(), default=-1)
        self.settled |= dict.fromkeys(rows, number)
        return self.found.explanation(kind, name, sentence, rows, where)

    def with_followers(self, number: int, explanation: Explanation) -> Explanation:
        """The ``number``-th explanation with what follows from what it explains."""
        more = self.followers[number]
        if not more:
            return explanation
        rows = {row for row, settled in self.settled.items() if settled == number} | more
        return self.found.explanation(
            explanation.kind, explanation.name, explanation.sentence, rows, explanation.where
        )

    def by_stage(self) -> Iterator[Explanation]:
        """Explanations of what is left by the stage where the error enters.

        What follows from a quantity that is explained already belongs to that explanation.
        """
        found: dict[Stage, set[Row]] = defaultdict(set)
        alike: dict[Stage, set[Row]] = defaultdict(set)
        for index in sorted({index for index, _ in self.found.left}):
            for located in self._located(index):
                rows = {(index, quantity) for quantity in located.quantities} & self.found.left
                self.found.left -= rows
                explained = self.settled.get((index, located.origin))
                if explained is not None:
                    self.followers[explained] |= rows
                elif located.like is None:
                    found[located.stage] |= rows
                else:
                    alike[located.like] |= rows
        for stage, rows in alike.items():
            found[stage if found[stage] else Stage.INFERENCE] |= rows
        yield from (self._of_stage(stage, rows) for stage, rows in _joined(found))

    def _of_stage(self, stage: Stage, rows: set[Row]) -> Explanation:
        quantities = {quantity for _, quantity in rows}
        right = {row for row in self.found.right if row[1] in quantities}
        where = self._where(rows, right)
        sentence = _STAGES[stage]
        if where is None:
            sentence += f"; {_NOT_TOLD if cases_of(rows) >= FEWEST else _TOO_FEW}"
        return self.found.explanation(Kind.STAGE, stage, sentence, rows, where or {})

    def _where(self, rows: set[Row], right: set[Row]) -> Where | None:
        """Where ``rows`` lie, of which none is in ``right``; None where that is not known."""
        number = cases_of(rows)
        if number < FEWEST:
            where = self.found.scope(rows, right, STRUCTURE)
            return where if where is not None and _tells_alone(where, number) else None
        return (
            self.found.likely_scope(rows, right)
            or self.found.scope(rows, right)
            # An error need not show in every case in which it is made.
            or self.found.scope(rows, right, spared=number // 4)
        )

    def _located(self, index: int) -> Iterator[Located]:
        """The stages of one witness."""
        witness = self.found.witnesses[index]
        wrong = {q for i, q in self.found.wrong if i == index and self.found.traceable((i, q))}
        if not wrong or not isinstance(witness.outcome, Answered):
            return
        inputs = self.found.inputs(index)
        expected = expect(witness.case, inputs, self.found.conventions)
        scene = Scene(
            case=witness.case, inputs=inputs, expected=expected, answer=witness.outcome.answer
        )
        first = min(max(self.found.wrong[index, quantity].step, 0) for quantity in wrong)
        yield from locate(scene, frozenset(wrong), first)

    def by_form(self) -> Iterator[Explanation]:
        """One for each form of divergence, then what nothing explains, by clause and quantity."""
        found: dict[tuple[str, str], set[tuple[int, str, str]]] = defaultdict(set)
        for index, witness in enumerate(self.found.witnesses):
            for judgement in witness.judgements:
                named = form_of(judgement.verdict)
                if named is not None:
                    found[named, judgement.clause].add(
                        (index, judgement.quantity, judgement.clause)
                    )
        for row in sorted(self.found.left):
            verdict = self.found.wrong[row].verdict
            if isinstance(verdict, Diverges) and verdict.cause is not Cause.BEYOND_BOUND:
                # What is not finite in one place is so wherever it goes from there, but what comes
                # of nothing is a matter of its own.
                name = verdict.cause.value
                if not self.found.case(row).smallest_count:
                    name += OF_NOTHING
                found[name, ""].add((row[0], row[1].value, self.found.wrong[row].clause))
                self.found.left.discard(row)
        for (name, clause), rows in sorted(found.items()):
            yield of_form(self.found, name, clause, rows)
        rest: dict[tuple[str, Quantity], set[Row]] = defaultdict(set)
        for row in self.found.left:
            rest[self.found.wrong[row].clause, row[1]].add(row)
        for (clause, quantity), same in sorted(rest.items()):
            where = self._where(same, {row for row in self.found.right if row[1] is quantity})
            sentence = f"{quantity.value} diverges from {clause}, and nothing known accounts for it"
            yield self.found.explanation(
                Kind.UNEXPLAINED, Kind.UNEXPLAINED.value, sentence, same, where or {}
            )


def _tells_alone(where: Where, cases: int) -> bool:
    """Whether a condition is one value, and of a single case one that is no accident.

    Many cases have one format, or one value per channel; 168 values are just what was drawn.
    """
    if len(where) != 1:
        return False
    ((name, value),) = where.items()
    small = isinstance(value, int) and value <= _FEW_VALUES
    return not isinstance(value, (dict, list)) and (cases > 1 or name in CATEGORIES or small)


_FEW_VALUES = 2
"""Counts up to which code is written apart."""

_NOT_TOLD = "no one or two facts tell where"
_TOO_FEW = "too few cases to tell where"

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


def _chosen(offers: Sequence[Offer], *, wider: bool) -> Offer:
    """The offer that explains most; among bounds the tightest that explains nearly as much."""
    most = max(offers, key=lambda offer: (len(offer[1]), offer[2] == {}, -offer[0]))
    if not wider:
        return most
    return next(offer for offer in offers if 4 * len(offer[1]) >= 3 * len(most[1]))


def _joined(found: Mapping[Stage, set[Row]]) -> Iterator[tuple[Stage, set[Row]]]:
    """Stages in their order; what shows on nearly the same cases as an earlier one joins it."""
    joined: dict[Stage, set[Row]] = {}
    for stage in Stage:
        rows = found.get(stage, set())
        if not rows:
            continue
        mine = {index for index, _ in rows}
        for first, others in joined.items():
            if 5 * len(mine & {index for index, _ in others}) >= 4 * len(mine):
                joined[first] = others | rows
                break
        else:
            joined[stage] = rows
    yield from joined.items()


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
