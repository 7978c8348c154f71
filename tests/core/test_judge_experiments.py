"""What becomes of an experiment, judgement by judgement."""

from __future__ import annotations

import numpy as np
import pytest

from bnconform.conformance.contract import (
    Crashed,
    Hung,
    Observation,
    Observed,
    Raised,
    Unsupported,
)
from bnconform.conformance.experiments.experiment import Experiment
from bnconform.conformance.experiments.parts import exact
from bnconform.conformance.judging.judge_experiment import judge_experiment
from bnconform.conformance.verdict import (
    CALL,
    Cause,
    Conforms,
    Diverges,
    Judgement,
    NotSupported,
    Verdict,
    WorkerCrashed,
    WorkerHung,
    WrongContract,
)

TWO = Experiment(
    name="two",
    parameter="axis",
    purpose="to be judged",
    clauses={"first": "BN-AXIS-2", "second": "BN-AXIS-4"},
    arrays={},
    expected=lambda: {"first": exact(1.0), "second": exact(2.0)},
)


def number(value: float) -> np.ndarray:
    """A float32 without dimensions, as experiments observe them."""
    return np.asarray(value, np.float32)


def observed(**arrays: np.ndarray) -> Observed:
    """These observations, in no time."""
    return Observed(arrays=arrays, seconds=0.0, output="")


@pytest.mark.parametrize(
    ("outcome", "clause", "verdict"),
    [
        pytest.param(
            Unsupported(reason="no graphs"), "BN-CALL-5", NotSupported(reason="no graphs"),
            id="not offered",
        ),
        pytest.param(
            Crashed(exit_code=-11, output=""), "BN-CALL-1", WorkerCrashed(exit_code=-11),
            id="died",
        ),
        pytest.param(
            Hung(limit=3.0, output=""), "BN-CALL-1", WorkerHung(limit=3.0), id="never came back",
        ),
        pytest.param(
            Raised(error="KeyError: 'x'", traceback="", seconds=0.0, output=""), "BN-CALL-1",
            WrongContract(message="raised KeyError: 'x'"), id="raised",
        ),
    ],
)  # fmt: skip
def test_an_experiment_without_an_observation_has_one_judgement(
    outcome: Observation, clause: str, verdict: Verdict
) -> None:
    """About the call as a whole."""
    assert judge_experiment(TWO, outcome) == (
        Judgement(clause=clause, quantity=CALL, verdict=verdict),
    )


def test_each_observation_is_judged_by_its_own_clause() -> None:
    """The call itself first, then in the order of the clauses."""
    found = judge_experiment(TWO, observed(first=number(1.0), second=number(3.0)))
    assert found[0] == Judgement(clause="BN-CALL-1", quantity=CALL, verdict=Conforms())
    assert [(each.clause, each.quantity) for each in found[1:]] == [
        ("BN-AXIS-2", "first"),
        ("BN-AXIS-4", "second"),
    ]
    assert isinstance(found[1].verdict, Conforms)
    assert isinstance(found[2].verdict, Diverges)


@pytest.mark.parametrize(
    ("arrays", "missing", "gave"),
    [
        pytest.param({"second": 2.0, "third": 3.0}, 0, "second, third", id="others"),
        pytest.param({}, 1, "nothing", id="none at all"),
    ],
)
def test_what_was_not_observed_is_missing(
    arrays: dict[str, float], missing: int, gave: str
) -> None:
    """The message says what was observed in its place."""
    name, clause = [*TWO.clauses.items()][missing]
    given = {key: number(value) for key, value in arrays.items()}
    found = judge_experiment(TWO, observed(**given))[1 + missing]
    message = f"did not observe {name}; it gave {gave}"
    verdict = Diverges(cause=Cause.MISSING, message=message)
    assert found == Judgement(clause=clause, quantity=name, verdict=verdict)
