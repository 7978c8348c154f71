"""How much a campaign asks, as pieces of work with the seconds that measured costs give them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scale_constants import Constants
from scale_costs import RunCost, SignatureCost, SubjectCost
from scale_simulation import Named, Piece

from bnconform.conformance.engine.answering import REPEAT_EVERY
from bnconform.conformance.engine.units import BLOCK_CASES, BLOCK_SIGNATURES

TWICE = 1 + 1 / REPEAT_EVERY
"""Runs of a case, those included that look whether it is repeatable."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """``cases`` over ``signatures``, besides the rare ones, which are as many in every plan.

    ``unit`` is the number of cases to a unit, None for the engine's eight signatures;
    ``central`` says that the harness judges everything, as it does without a cluster.
    """

    cases: int
    signatures: int
    unit: int | None = BLOCK_CASES
    central: bool = False

    @property
    def each(self) -> float:
        """Cases of a signature."""
        return self.cases / self.signatures

    @property
    def name(self) -> str:
        """It in a few words."""
        return f"{self.cases:,} cases of {self.signatures:,} signatures"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of one subject's cases, by what they are spent on, and their rows.

    ``harness`` is what the outpost does, carrying and judging; ``handing`` what the campaign's own
    process does, but for the constant part of a unit.
    """

    compiling: float = 0.0
    framework: float = 0.0
    harness: float = 0.0
    handing: float = 0.0
    rows: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Both."""
        return Cost(
            compiling=self.compiling + other.compiling,
            framework=self.framework + other.framework,
            harness=self.harness + other.harness,
            handing=self.handing + other.handing,
            rows=self.rows + other.rows,
        )

    @property
    def parallel(self) -> float:
        """Seconds that can be spent anywhere."""
        return self.compiling + self.framework + self.harness


def cost_of(
    signature: SignatureCost, cases: float, subject: SubjectCost, constants: Constants
) -> Cost:
    """What ``cases`` cases of a signature cost, judged in an outpost."""
    asked = cases * signature.share
    rows = asked * subject.rows_of_asked + (cases - asked)
    beyond = constants.carrying + constants.judging if signature.grows else constants.rare
    return Cost(
        compiling=signature.once,
        framework=asked * signature.repeat * TWICE,
        harness=asked * beyond + rows * (constants.labelling + constants.fetching),
        handing=rows * (constants.fetching + constants.writing),
        rows=rows,
    )


def whole_cost(subject: SubjectCost, load: Load, constants: Constants) -> Cost:
    """What all of a load costs for one subject, but for starting it and attribution."""
    growing = subject.growing or subject.signatures
    times = load.signatures / len(growing)
    total = Cost()
    for each in growing:
        found = cost_of(each, load.each, subject, constants)
        total += Cost(
            compiling=found.compiling * times,
            framework=found.framework * times,
            harness=found.harness * times,
            handing=found.handing * times,
            rows=found.rows * times,
        )
    for each in subject.rare if subject.growing else ():
        total += cost_of(each, each.cases, subject, constants)
    return total + Cost(framework=subject.other_seconds)


def pieces_of(
    run: RunCost, load: Load, constants: Constants, seed: int = 0
) -> Mapping[str, Sequence[Piece]]:
    """The units of a load by subject; a signature that is drawn is the same for all of them."""
    chance = random.Random(seed)  # noqa: S311 -- nothing is secret
    drawn = [chance.random() for _ in range(load.signatures)]
    return {subject.name: _pieces(subject, load, constants, drawn) for subject in run.subjects}


def _pieces(
    subject: SubjectCost, load: Load, constants: Constants, drawn: Sequence[float]
) -> list[Piece]:
    growing = subject.growing or subject.signatures
    if len(drawn) == len(growing):
        signatures = list(growing)
    else:
        signatures = [growing[int(place * len(growing))] for place in drawn]
    rare = subject.rare if subject.growing else ()
    blocks = [
        [(each, float(each.cases)) for each in rare[start : start + BLOCK_SIGNATURES]]
        for start in range(0, len(rare), BLOCK_SIGNATURES)
    ]
    blocks += _blocks(signatures, load)
    name = Named(name=subject.name)
    found = [
        _piece(name, number, block, subject, load, constants) for number, block in enumerate(blocks)
    ]
    other = Piece(
        subject=name, block=len(found), questions=subject.others, working=subject.other_seconds
    )
    return [*found, other]


def _blocks(
    signatures: Sequence[SignatureCost], load: Load
) -> list[list[tuple[SignatureCost, float]]]:
    """Signatures and how many cases of each: several to a block, or a part of one."""
    parts = 1 if load.unit is None else max(1, math.ceil(load.each / load.unit))
    if parts > 1:
        return [[(each, load.each / parts)] for each in signatures for _ in range(parts)]
    room = BLOCK_SIGNATURES if load.unit is None else max(1, int(load.unit / load.each))
    together = min(BLOCK_SIGNATURES, room)
    return [
        [(each, load.each) for each in signatures[start : start + together]]
        for start in range(0, len(signatures), together)
    ]


def _piece(
    name: Named,
    number: int,
    block: Sequence[tuple[SignatureCost, float]],
    subject: SubjectCost,
    load: Load,
    constants: Constants,
) -> Piece:
    cost = Cost()
    for signature, cases in block:
        cost += cost_of(signature, cases, subject, constants)
    asked = sum(cases * signature.share for signature, cases in block)
    judging = sum(
        cases * signature.share * (constants.judging if signature.grows else constants.rare)
        for signature, cases in block
    )
    central = judging + cost.rows * (constants.labelling + constants.writing)
    elsewhere = cost.framework + cost.harness
    return Piece(
        subject=name,
        block=number,
        questions=max(1, round(sum(cases for _, cases in block))),
        compiling=cost.compiling,
        working=cost.framework + asked * constants.carrying if load.central else elsewhere,
        handing=(central if load.central else cost.handing) + constants.writing_part,
        together=load.central,
    )


def startups(run: RunCost, constants: Constants) -> dict[str, float]:
    """Seconds to start each subject; raises ValueError where they were not measured."""
    missing = [each.name for each in run.subjects if not constants.startup.get(each.name)]
    if missing:
        msg = (
            f"no start-up is measured for {', '.join(missing)}: --measure where they are available"
        )
        raise ValueError(msg)
    return {each.name: constants.startup[each.name] for each in run.subjects}


def attributions(run: RunCost) -> dict[str, float]:
    """Seconds to find the causes of each subject's divergences."""
    return {each.name: each.attribution for each in run.subjects}
