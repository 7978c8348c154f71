"""An answer against its case: every quantity, every form, and the state."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bnconform.conformance.case import Case, FillKind, Mode
from bnconform.conformance.contract import (
    GRADIENTS,
    Array,
    Quantity,
)
from bnconform.conformance.dialect import FrozenPolicy
from bnconform.conformance.judging.judge import judge
from bnconform.conformance.verdict import (
    CALL,
    Cause,
    Conforms,
    Diverges,
    Judgement,
)

from .cases import CENTRED, answered, dialect, fill, make_trial, perfect_answer, plain
from .judging import EVERYTHING, bumped, findings, judged, judgement_of, spoilt, spoilt_inference

ONE_VALUE = plain(shape=(1, 3))


ORDINARY = [
    plain(steps=3, last_batch=2),
    plain(shape=(4, 2, 3, 2), feature_axes=(1, 3)),
    plain(steps=2, decay=None),
    plain(scale=False, center=False),
    plain(mode=Mode.INFERENCE),
    plain(mode=Mode.FROZEN),
    plain(fill=fill(FillKind.EXACT), decay=0.5, steps=2),
    plain(fill=fill(FillKind.NAN), steps=2),
    plain(fill=fill(FillKind.INF)),
    plain(fill=fill(FillKind.NAN), mode=Mode.INFERENCE),
    plain(fill=fill(FillKind.CONSTANT)),
    ONE_VALUE,
]


@pytest.mark.parametrize("case", ORDINARY, ids=lambda case: case.id)
def test_a_perfect_answer_conforms_in_everything(case: Case) -> None:
    """The control for all that follows: nothing is found where nothing is wrong."""
    trial = make_trial(case)
    judgements = judged(trial, answered(perfect_answer(trial)))
    assert findings(judgements) == {}
    keys = [(j.clause, j.quantity) for j in judgements]
    assert len(keys) == len(set(keys))


def test_every_quantity_of_a_training_case_is_judged() -> None:
    """Nine quantities, the state after inference, and four facts about the call."""
    trial = make_trial(plain(steps=2))
    judgements = judged(trial, answered(perfect_answer(trial), unrepeatable=()))
    assert [(j.clause, j.quantity) for j in judgements] == [
        ("BN-CALL-1", CALL),
        ("BN-CALL-3", CALL),
        ("BN-CALL-4", CALL),
        ("BN-CALL-2", CALL),
        ("BN-TRAIN-1", "y"),
        ("BN-GRAD-1", "dx"),
        ("BN-GRAD-2", "dgamma"),
        ("BN-GRAD-3", "dbeta"),
        ("BN-STAT-1", "batch_mean"),
        ("BN-STAT-2", "batch_var"),
        ("BN-STATE-1", "running_mean"),
        ("BN-STATE-2", "running_var"),
        ("BN-INFER-3", "y_infer"),
        ("BN-INFER-2", "running_mean"),
        ("BN-INFER-2", "running_var"),
    ]


QUANTITIES = [q for q in Quantity if q is not Quantity.Y_INFER]


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("step", [0, 1])
def test_an_error_in_any_quantity_of_any_step_is_found(quantity: Quantity, step: int) -> None:
    """Beyond its bound, in that quantity alone, and the step is named."""
    trial = make_trial(plain(steps=2))
    answer = perfect_answer(trial)
    array = getattr(answer.steps[step], quantity)
    changes = {quantity.value: bumped(array, *(0,) * array.ndim)}
    outcome = answered(spoilt(answer, step, **changes))
    found = [j for j in judged(trial, outcome) if not isinstance(j.verdict, Conforms)]
    wrong = [j for j in found if j.clause != "BN-INFER-2"]
    assert [(j.quantity, j.step) for j in wrong] == [(quantity.value, step)]
    assert isinstance(wrong[0].verdict, Diverges)
    assert wrong[0].verdict.cause is Cause.BEYOND_BOUND


def test_an_error_in_inference_after_training_is_found() -> None:
    """y of the inference call is a quantity of its own."""
    trial = make_trial(plain(steps=2))
    answer = perfect_answer(trial)
    assert answer.inference is not None
    wrong = spoilt_inference(answer, y=bumped(answer.inference.y, 0, 0))
    assert findings(judged(trial, answered(wrong))) == {
        ("BN-INFER-3", "y_infer"): Cause.BEYOND_BOUND
    }


def test_the_worst_of_several_steps_is_reported() -> None:
    """Two steps are wrong; the judgement names the one farther off."""
    trial = make_trial(plain(steps=3))
    answer = perfect_answer(trial)
    for step, by in enumerate((0.1, 10.0, 1.0)):
        answer = spoilt(answer, step, y=bumped(answer.steps[step].y, 1, 1, by=by))
    judgement = judgement_of(judged(trial, answered(answer)), "BN-TRAIN-1", "y")
    assert judgement.step == 1
    assert isinstance(judgement.verdict, Diverges)


def test_a_divergence_outranks_a_conforming_step_with_a_larger_ratio() -> None:
    """Step 0 is off a little in units of the bound, step 1 is not off at all."""
    trial = make_trial(plain(steps=2))
    answer = spoilt(perfect_answer(trial), 0, y=np.full((4, 3), math.nan, np.float32))
    judgement = judgement_of(judged(trial, answered(answer)), "BN-TRAIN-1", "y")
    assert judgement.step == 0
    assert isinstance(judgement.verdict, Diverges)
    assert judgement.verdict.cause is Cause.NOT_FINITE


def test_a_wrong_shape_outranks_every_wrong_value() -> None:
    """Values in the wrong form are not comparable at all."""
    trial = make_trial(plain(steps=2))
    answer = perfect_answer(trial)
    answer = spoilt(answer, 0, y=bumped(answer.steps[0].y, 0, 0, by=1e6))
    answer = spoilt(answer, 1, y=answer.steps[1].y[:, :2])
    assert findings(judged(trial, answered(answer))) == {("BN-CALL-2", "y"): Cause.WRONG_SHAPE}


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [
        ({"y": np.zeros((4, 3))}, Cause.WRONG_FORMAT),  # float64 for float32
        ({"dx": np.zeros((3, 4), np.float32)}, Cause.WRONG_SHAPE),  # transposed
        ({"batch_mean": np.zeros((1, 3), np.float32)}, Cause.WRONG_SHAPE),  # wide, not (3,)
        ({"running_var": None}, Cause.MISSING),  # declared, not given
        ({"dgamma": None}, Cause.MISSING),  # a gradient, in training
    ],
)
def test_a_wrong_form_is_reported_under_the_clause_of_the_call(
    arrays: dict[str, Array | None], cause: Cause
) -> None:
    """BN-CALL-2 with the quantity's name, instead of a verdict on its values."""
    trial = make_trial(plain())
    answer = spoilt(perfect_answer(trial), 0, **arrays)
    (quantity,) = arrays
    assert findings(judged(trial, answered(answer))) == {("BN-CALL-2", quantity): cause}


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_what_a_subject_does_not_expose_is_not_judged(quantity: Quantity) -> None:
    """No judgement, neither a pass nor a divergence."""
    trial = make_trial(plain())
    exposed = replace(EVERYTHING, quantities=EVERYTHING.quantities - {quantity})
    answer = spoilt(perfect_answer(trial), 0, **{quantity.value: None})
    judgements = judge(trial, answered(answer), dialect(), exposed)
    assert findings(list(judgements)) == {}
    assert quantity.value not in {j.quantity for j in judgements}


@pytest.mark.parametrize("mode", [Mode.INFERENCE, Mode.FROZEN])
def test_outside_training_gradients_of_untrained_parameters_may_be_absent(mode: Mode) -> None:
    """No finding and no pass: the quantities are simply not there."""
    trial = make_trial(plain(mode=mode))
    absent: dict[str, Array | None] = {q.value: None for q in GRADIENTS}
    judgements = judged(trial, answered(spoilt(perfect_answer(trial), 0, **absent)))
    assert findings(judgements) == {}
    assert not {q.value for q in GRADIENTS} & {j.quantity for j in judgements}


def test_outside_training_the_state_may_not_be_absent() -> None:
    """A subject that declares its state shows it in inference too."""
    trial = make_trial(plain(mode=Mode.INFERENCE))
    answer = spoilt(perfect_answer(trial), 0, running_mean=None)
    assert findings(judged(trial, answered(answer))) == {
        ("BN-CALL-2", "running_mean"): Cause.MISSING
    }


@pytest.mark.parametrize(
    ("mode", "clause"), [(Mode.INFERENCE, "BN-INFER-2"), (Mode.FROZEN, "BN-FROZEN-2")]
)
@pytest.mark.parametrize("quantity", ["running_mean", "running_var"])
def test_state_that_moves_by_one_ulp_outside_training_is_found(
    mode: Mode, clause: str, quantity: str
) -> None:
    """No tolerance: the state must be left alone."""
    trial = make_trial(plain(mode=mode))
    answer = perfect_answer(trial)
    state = getattr(answer.steps[0], quantity)
    moved = np.nextafter(state, np.float32(np.inf))
    judgements = judged(trial, answered(spoilt(answer, 0, **{quantity: moved})))
    assert findings(judgements) == {(clause, quantity): Cause.BEYOND_BOUND}


@pytest.mark.parametrize("quantity", ["running_mean", "running_var"])
def test_state_that_moves_in_inference_after_training_is_found(quantity: str) -> None:
    """Compared with the subject's own state after the last step, bit for bit."""
    trial = make_trial(plain(steps=2))
    answer = perfect_answer(trial)
    state = getattr(answer.inference, quantity)
    moved = spoilt_inference(answer, **{quantity: np.nextafter(state, np.float32(np.inf))})
    assert findings(judged(trial, answered(moved))) == {
        ("BN-INFER-2", quantity): Cause.STATE_CHANGED
    }


def test_state_with_an_error_within_its_bound_must_still_not_move() -> None:
    """What counts in inference is what the subject had, not the exact value."""
    trial = make_trial(plain(steps=1))
    answer = perfect_answer(trial)
    exact = answer.steps[0].running_mean
    assert exact is not None
    state = np.nextafter(exact, np.float32(np.inf))
    answer = spoilt(answer, 0, running_mean=state)
    found = findings(judged(trial, answered(answer)))
    assert found == {("BN-INFER-2", "running_mean"): Cause.STATE_CHANGED}
    kept = spoilt_inference(answer, running_mean=state)
    assert findings(judged(trial, answered(kept))) == {}


@pytest.mark.parametrize("state", [None, np.zeros((1, 3), np.float32)], ids=["none", "shape"])
def test_state_that_cannot_be_compared_after_inference_is_not_passed_over(
    state: Array | None,
) -> None:
    """Absence is never a pass: a subject that exposes its state shows it there, too."""
    trial = make_trial(plain())
    answer = spoilt_inference(perfect_answer(trial), running_mean=state)
    assert "running_mean" in {quantity for _, quantity in findings(judged(trial, answered(answer)))}


def test_batch_statistics_in_a_frozen_call_are_expected_where_they_are_documented() -> None:
    """The policy decides: the same answer conforms under one and diverges under the other."""
    case = plain(mode=Mode.FROZEN)
    by_batch = make_trial(case, replace(CENTRED, frozen=FrozenPolicy.BATCH_STATISTICS))
    by_running = make_trial(case)
    answer = answered(perfect_answer(by_batch))
    assert findings(judged(by_batch, answer)) == {}
    assert set(findings(judged(by_running, answer))) == {
        ("BN-FROZEN-1", "y"),
        ("BN-FROZEN-3", "dx"),
        ("BN-FROZEN-3", "dgamma"),
    }


@pytest.mark.parametrize("case", [plain(mode=Mode.FROZEN), plain(steps=2)], ids=["frozen", "train"])
def test_one_ulp_is_too_much_in_the_exact_lane(case: Case) -> None:
    """Mean, variance, dbeta and running statistics have zero tolerance there."""
    exact = replace(case, fill=fill(FillKind.EXACT), decay=0.5)
    trial = make_trial(exact, replace(CENTRED, frozen=FrozenPolicy.BATCH_STATISTICS))
    answer = perfect_answer(trial)
    for quantity in ("batch_mean", "batch_var", "dbeta", "running_mean", "running_var"):
        array = getattr(answer.steps[0], quantity)
        moved = np.nextafter(array, np.float32(np.inf))
        found = findings(judged(trial, answered(spoilt(answer, 0, **{quantity: moved}))))
        assert Cause.BEYOND_BOUND in found.values(), quantity


def test_a_step_of_which_nothing_can_be_judged_does_not_outrank_one_that_was_judged() -> None:
    """The record shows the judged step; all vacuous steps show as vacuous."""
    trial = make_trial(plain(steps=2))
    want = trial.expected.steps[0][Quantity.Y]
    blind = replace(want, vacuous=np.ones((4, 3), bool))

    def with_blind(*which: int) -> Judgement:
        steps = tuple(
            {**step, Quantity.Y: blind} if index in which else step
            for index, step in enumerate(trial.expected.steps)
        )
        changed = replace(trial, expected=replace(trial.expected, steps=steps))
        judgements = judged(changed, answered(perfect_answer(trial)))
        return judgement_of(judgements, "BN-TRAIN-1", "y")

    half, none = with_blind(0), with_blind(0, 1)
    assert isinstance(half.verdict, Conforms)
    assert isinstance(none.verdict, Conforms)
    assert (half.step, half.verdict.vacuous) == (1, False)
    assert none.verdict.vacuous
