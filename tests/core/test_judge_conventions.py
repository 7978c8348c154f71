"""The judge names the clause that a subject's own conventions make a row evidence for."""

from __future__ import annotations

from typing import Any

import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case, FillKind
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.dialect import Averaging, Dialect, TrainingStatistics
from bnconform.conformance.judging.judge import Trial, judge
from bnconform.conformance.reference import Conventions, expect

from .cases import answered, dialect, fill, perfect_answer, plain


def _clauses(case: Case, claims: Dialect) -> dict[str, set[str]]:
    """Clauses by quantity, for a subject that does what it documents."""
    inputs = make_inputs(case)
    trial = Trial(case=case, inputs=inputs, expected=expect(case, inputs, Conventions.of(claims)))
    found: dict[str, set[str]] = {}
    outcome = answered(perfect_answer(trial))
    for judgement in judge(trial, outcome, claims, NumpyReference.capabilities):
        found.setdefault(judgement.quantity, set()).add(judgement.clause)
    return found


@pytest.mark.parametrize(
    ("claims", "quantity", "expected"),
    [
        ({"averaging": Averaging.ZERO_DEBIASED}, "running_mean", {"BN-STATE-6", "BN-INFER-2"}),
        ({"averaging": Averaging.EXPONENTIAL}, "running_mean", {"BN-STATE-1", "BN-INFER-2"}),
        ({"training_statistics": TrainingStatistics.RUNNING}, "y", {"BN-TRAIN-5"}),
        ({"training_statistics": TrainingStatistics.BATCH}, "y", {"BN-TRAIN-1"}),
        ({"training_statistics": TrainingStatistics.RUNNING}, "dx", {"BN-GRAD-4"}),
        ({"training_statistics": TrainingStatistics.RUNNING}, "y_infer", {"BN-INFER-3"}),
    ],
)
def test_rows_of_its_own_way_go_to_its_own_clause(
    claims: dict[str, Any], quantity: str, expected: set[str]
) -> None:
    """Through the judge, as a campaign does it."""
    assert _clauses(plain(), dialect(**claims))[quantity] == expected


def test_a_nan_goes_to_its_clauses_whatever_the_conventions() -> None:
    """Both in its channel and beside it."""
    case = plain(fill=fill(FillKind.NAN))
    claims = dialect(averaging=Averaging.ZERO_DEBIASED)
    assert _clauses(case, claims)["running_mean"] >= {"BN-EDGE-4", "BN-EDGE-5"}
