"""How many cases exercise each clause: a quick run's, its experiments and malformed calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ..case import Case, Mode
from ..clauses import CLAUSES
from ..contract import BATCH_STATISTICS, Quantity
from ..dialect import (
    Averaging,
    FrozenPolicy,
    HalfGradient,
    HalfOutput,
    RunningVariance,
    TrainingStatistics,
    VarianceAlgorithm,
)
from ..expecting.expectation import Conventions
from ..experiments.registry import EXPERIMENTS
from ..judging.evidence import clause_for, holds_non_finite
from ..seeds import question
from .malformed import RULES
from .plan import PROFILES, plan_cases

_OF_EVERY_CALL = ("BN-CALL-1", "BN-CALL-2", "BN-CALL-3", "BN-CALL-4", "BN-CALL-5")


_PLAIN_WAYS = Conventions(
    running_variance=RunningVariance.BIASED,
    algorithm=VarianceAlgorithm.TWO_PASS,
    frozen=FrozenPolicy.NONE,
    half_output=HalfOutput.INPUT,
    half_gradient=HalfGradient.ONCE,
    epsilon_floor=0.0,
)
_OWN_WAYS = (
    replace(_PLAIN_WAYS, averaging=Averaging.ZERO_DEBIASED),
    replace(_PLAIN_WAYS, training_statistics=TrainingStatistics.RUNNING),
)
"""Conventions that have clauses of their own."""


OF_EVERY_MALFORMED_CALL = ("BN-REJECT-10", "BN-REJECT-11")
"""That the message is clear, and that the process survives."""


def cases_per_clause(seed: int = 0) -> dict[str, int]:
    """Clause id -> number of cases of the quick profile that are evidence for it."""
    profile = PROFILES["quick"]
    counts: Counter[str] = Counter()
    for case in plan_cases(profile, cases=profile.cases, seed=seed):
        counts.update(clauses_of(case))
    for experiment in EXPERIMENTS.values():
        counts.update(set(experiment.clauses.values()))
    for rule in RULES.values():
        counts.update((rule.clause, *OF_EVERY_MALFORMED_CALL))
    # The question's calls are replayed for a page of their own.
    counts.update(case.clause for case in question.CASES)
    return {clause.id: counts[clause.id] for clause in CLAUSES}


def clauses_of(case: Case) -> set[str]:
    """Every clause that ``case`` is evidence for."""
    found = set(_OF_EVERY_CALL)
    for quantity in _quantities(case):
        found.add(clause_for(case, quantity))
        found.update(clause_for(case, quantity, each) for each in _OWN_WAYS)
        if holds_non_finite(case):
            found.add(clause_for(case, quantity, own_channel=True))
    if case.mode is Mode.TRAIN:
        found.add("BN-INFER-2")
    return found


def _quantities(case: Case) -> set[Quantity]:
    """What a case is judged on."""
    found = set(Quantity)
    if case.mode is not Mode.TRAIN:
        found -= BATCH_STATISTICS | {Quantity.Y_INFER}
    if not case.scale:
        found.discard(Quantity.DGAMMA)
    if not case.center:
        found.discard(Quantity.DBETA)
    return found
