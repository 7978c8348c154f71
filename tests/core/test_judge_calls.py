"""The call as a whole: failures, policies, empty batches, and NaN where it belongs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bnconform.conformance.case import Case, FillKind, Mode
from bnconform.conformance.contract import (
    Array,
    Crashed,
    Hung,
    Quantity,
    Raised,
    Step,
    Unsupported,
)
from bnconform.conformance.dialect import Policy
from bnconform.conformance.verdict import (
    CALL,
    Cause,
    Conforms,
    Diverges,
    Judgement,
    NotSupported,
    Unrepeatable,
    WorkerCrashed,
    WorkerHung,
    WrongContract,
)

from .cases import answered, fill, make_trial, perfect_answer, plain
from .judging import bumped, findings, judged, judgement_of, spoilt

ONE_VALUE = plain(shape=(1, 3))
EMPTY = plain(shape=(0, 3))
RAISED = Raised(error="ValueError: no", traceback="", seconds=0.0, output="")


def test_an_unsupported_case_is_recorded_with_its_reason() -> None:
    """Not a pass."""
    judgements = judged(make_trial(plain()), Unsupported(reason="no rank 2"))
    assert judgements == [
        Judgement(clause="BN-CALL-5", quantity=CALL, verdict=NotSupported(reason="no rank 2"))
    ]


def test_a_crash_and_a_hang_are_verdicts_of_the_call() -> None:
    """With exit code and time limit."""
    trial = make_trial(plain())
    crashed = judged(trial, Crashed(exit_code=-11, output=""))
    hung = judged(trial, Hung(limit=60.0, output=""))
    assert [j.verdict for j in crashed] == [WorkerCrashed(exit_code=-11)]
    assert [j.verdict for j in hung] == [WorkerHung(limit=60.0)]
    assert {j.clause for j in (*crashed, *hung)} == {"BN-CALL-1"}


@pytest.mark.parametrize(
    "case",
    [
        plain(),  # enough values
        plain(mode=Mode.INFERENCE, shape=(1, 3)),  # inference averages nothing
        plain(mode=Mode.FROZEN, shape=(1, 3)),  # nor need a frozen layer
        plain(mode=Mode.INFERENCE, shape=(0, 3)),  # whatever the batch
    ],
)
def test_raising_within_the_domain_breaks_the_contract(case: Case) -> None:
    """Whatever the policies for too few values say."""
    rejects = {"single_value": Policy.REJECTS, "empty_batch": Policy.REJECTS}
    judgements = judged(make_trial(case), RAISED, **rejects)
    assert [(j.clause, j.verdict) for j in judgements] == [
        ("BN-CALL-1", WrongContract(message="raised ValueError: no"))
    ]


@pytest.mark.parametrize(
    ("case", "policy", "clause"),
    [
        (ONE_VALUE, "single_value", "BN-EDGE-1"),
        (plain(steps=2, last_batch=1), "single_value", "BN-EDGE-1"),  # only the last batch
        (EMPTY, "empty_batch", "BN-EDGE-2"),
        (plain(steps=2, last_batch=0), "empty_batch", "BN-EDGE-2"),
    ],
)
def test_raising_on_too_few_values_is_judged_by_the_documented_policy(
    case: Case, policy: str, clause: str
) -> None:
    """Right where it is documented to reject, wrong where it is documented to compute."""
    other = {"single_value": "empty_batch", "empty_batch": "single_value"}[policy]
    trial = make_trial(case)
    rejects = judged(trial, RAISED, **{policy: Policy.REJECTS, other: Policy.COMPUTES})
    computes = judged(trial, RAISED, **{policy: Policy.COMPUTES, other: Policy.REJECTS})
    assert [(j.clause, j.verdict) for j in rejects] == [(clause, Conforms())]
    assert [(j.clause, j.verdict) for j in computes] == [
        (clause, WrongContract(message="documented to compute, raised ValueError: no"))
    ]


@pytest.mark.parametrize(
    ("case", "policy", "clause"),
    [(ONE_VALUE, "single_value", "BN-EDGE-1"), (EMPTY, "empty_batch", "BN-EDGE-2")],
)
def test_answering_where_rejection_is_documented_breaks_the_contract(
    case: Case, policy: str, clause: str
) -> None:
    """One judgement: values that should not exist are not compared."""
    trial = make_trial(case)
    judgements = judged(trial, answered(perfect_answer(trial)), **{policy: Policy.REJECTS})
    message = "documented to reject too few values per channel, but answered"
    assert [(j.clause, j.verdict) for j in judgements] == [(clause, WrongContract(message=message))]


def test_an_empty_batch_where_accepted_leaves_the_state_and_gives_empty_sums() -> None:
    """Empty images judge nothing; the gradients are 0 and the state is kept, exactly."""
    trial = make_trial(EMPTY)
    answer = perfect_answer(trial)
    claims = {"empty_batch": Policy.COMPUTES}
    judgements = judged(trial, answered(answer), **claims)
    assert findings(judgements) == {}
    for quantity in ("y", "dx"):
        verdict = judgement_of(judgements, "BN-EDGE-2", quantity).verdict
        assert isinstance(verdict, Conforms)
        assert verdict.vacuous
    moved = spoilt(answer, 0, running_mean=bumped(answer.steps[0].running_mean, 0, by=1e-6))
    assert ("BN-EDGE-3", "running_mean") in findings(judged(trial, answered(moved), **claims))
    summed = spoilt(answer, 0, dbeta=np.full(3, np.nan, np.float32))
    assert ("BN-EDGE-2", "dbeta") in findings(judged(trial, answered(summed), **claims))


def test_one_value_where_accepted_gives_beta() -> None:
    """v = 0: y = beta, dx = 0, dgamma = 0."""
    step = perfect_answer(make_trial(ONE_VALUE)).steps[0]
    beta = make_trial(ONE_VALUE).inputs.parameters.beta
    assert beta is not None
    np.testing.assert_array_equal(step.y[0], beta)
    assert step.dx is not None
    assert step.dgamma is not None
    assert not step.dx.any()
    assert not step.dgamma.any()


def test_an_overwritten_input_is_named() -> None:
    """BN-CALL-3."""
    trial = make_trial(plain())
    judgements = judged(trial, answered(perfect_answer(trial), mutated=("x of call 0", "gamma")))
    verdict = judgement_of(judgements, "BN-CALL-3").verdict
    assert isinstance(verdict, Diverges)
    assert verdict.cause is Cause.INPUT_OVERWRITTEN
    assert verdict.message == "overwrote x of call 0, gamma"


def test_repeating_is_judged_only_where_it_was_tried() -> None:
    """None says nothing, () conforms, names diverge."""
    trial = make_trial(plain())
    answer = perfect_answer(trial)
    untried = judged(trial, answered(answer, unrepeatable=None))
    assert "BN-CALL-4" not in {j.clause for j in untried}
    same = judged(trial, answered(answer, unrepeatable=()))
    assert judgement_of(same, "BN-CALL-4").verdict == Conforms()
    other = judged(trial, answered(answer, unrepeatable=(Quantity.DX,)))
    assert judgement_of(other, "BN-CALL-4").verdict == Unrepeatable(quantities=(Quantity.DX,))


def _channels(step: Step, channel: int, value: float) -> dict[str, Array]:
    """y with a value put into one channel, at its second position."""
    y = step.y.copy()
    y[1, channel] = value
    return {"y": y}


@pytest.mark.parametrize("kind", [FillKind.NAN, FillKind.INF])
def test_a_nan_that_leaks_into_another_channel_is_found(kind: FillKind) -> None:
    """BN-EDGE-4 for the others, while BN-EDGE-5 for its own channel conforms."""
    trial = make_trial(plain(fill=fill(kind)))
    answer = perfect_answer(trial)
    leaked = spoilt(answer, 0, **_channels(answer.steps[0], 2, math.nan))
    assert findings(judged(trial, answered(leaked))) == {("BN-EDGE-4", "y"): Cause.NOT_FINITE}


@pytest.mark.parametrize("quantity", ["batch_mean", "running_var", "dgamma"])
def test_a_nan_that_leaks_into_another_channels_statistics_is_found(quantity: str) -> None:
    """The last of three channels, which the NaN in channel 0 must not reach."""
    trial = make_trial(plain(fill=fill(FillKind.NAN), mode=Mode.TRAIN))
    answer = perfect_answer(trial)
    leaked = getattr(answer.steps[0], quantity).copy()
    leaked[2] = np.nan
    found = findings(judged(trial, answered(spoilt(answer, 0, **{quantity: leaked}))))
    assert found.get(("BN-EDGE-4", quantity)) is Cause.NOT_FINITE
    assert ("BN-EDGE-5", quantity) not in found


@pytest.mark.parametrize("kind", [FillKind.NAN, FillKind.INF])
def test_a_nan_that_is_hidden_in_its_own_channel_is_found(kind: FillKind) -> None:
    """BN-EDGE-5: a finite value in channel 0 after training on it."""
    trial = make_trial(plain(fill=fill(kind)))
    answer = perfect_answer(trial)
    hidden = spoilt(answer, 0, **_channels(answer.steps[0], 0, 0.0))
    assert findings(judged(trial, answered(hidden))) == {("BN-EDGE-5", "y"): Cause.HIDES_NON_FINITE}


def test_in_inference_a_nan_stays_at_its_own_position() -> None:
    """The rest of its channel is judged as usual: the statistics do not see the batch."""
    trial = make_trial(plain(mode=Mode.INFERENCE, fill=fill(FillKind.NAN)))
    answer = perfect_answer(trial)
    assert np.isnan(answer.steps[0].y).sum() == 1
    spread = answer.steps[0].y.copy()
    spread[:, 0] = np.nan
    assert findings(judged(trial, answered(spoilt(answer, 0, y=spread)))) == {
        ("BN-EDGE-5", "y"): Cause.NOT_FINITE
    }


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((2, 3, 2), (1,)),  # channel 0 is a slice of an image
        ((2, 3, 2), (1, 2)),  # two feature axes: one of six channels
        ((3, 2), (0,)),  # the batch axis as feature axis
        ((2, 3), (0, 1)),  # nothing reduced: image and statistics have one shape
    ],
)
def test_the_channel_that_holds_the_nan_is_told_apart_for_any_axes(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    """Every other channel is judged, and none of channel 0 is among them."""
    case = plain(shape=shape, feature_axes=axes, fill=fill(FillKind.NAN))
    trial = make_trial(case)
    judgements = judged(trial, answered(perfect_answer(trial)))
    channels = math.prod(case.feature_shape)
    own, others = (judgement_of(judgements, f"BN-EDGE-{k}", "y").verdict for k in (5, 4))
    assert isinstance(own, Conforms)
    assert isinstance(others, Conforms)
    assert own.measure is not None
    assert others.measure is not None
    size = math.prod(shape)
    assert (own.measure.judged, others.measure.judged) == (
        size // channels,
        size - size // channels,
    )
