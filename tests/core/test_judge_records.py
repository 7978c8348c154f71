"""What each judgement says beside its verdict: step, clause and message, and that none is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnconform.conformance.case import FillKind
from bnconform.conformance.contract import Answer, Quantity
from bnconform.conformance.judging.judge import Trial, judge
from bnconform.conformance.verdict import Cause, Conforms, Diverges, Judgement

from .cases import answered, dialect, fill, make_trial, perfect_answer, plain
from .judging import EVERYTHING, bumped, findings, judged, judgement_of, spoilt, spoilt_inference


def _quantities(judgements: list[Judgement]) -> list[tuple[str, str]]:
    return [(j.clause, j.quantity) for j in judgements]


@pytest.mark.parametrize("steps", [1, 3])
def test_an_answer_with_another_number_of_steps_is_an_error_of_the_harness(steps: int) -> None:
    """Neither missing nor surplus steps may pass unjudged."""
    trial = make_trial(plain(steps=2))
    answer = perfect_answer(trial)
    other = replace(answer, steps=(answer.steps[0],) * steps)
    with pytest.raises(ValueError, match="zip"):
        judged(trial, answered(other))


def test_without_an_inference_call_nothing_is_said_of_it() -> None:
    """No judgement on y_infer or on the state after it, and no crash."""
    trial = make_trial(plain())
    answer = replace(perfect_answer(trial), inference=None)
    clauses = {j.clause for j in judged(trial, answered(answer))}
    assert not clauses & {"BN-INFER-2", "BN-INFER-3"}
    assert "BN-TRAIN-1" in clauses


def _exact_trial(steps: int = 2) -> Trial:
    """Statistics without any error: ratios of exactly 0."""
    return make_trial(plain(fill=fill(FillKind.EXACT), decay=0.5, steps=steps))


def test_of_equally_good_steps_the_first_is_reported() -> None:
    """Every step has ratio 0 here."""
    trial = _exact_trial()
    judgement = judgement_of(judged(trial, answered(perfect_answer(trial))), "BN-GRAD-3", "dbeta")
    assert judgement.step == 0


def test_a_judged_step_without_error_outranks_one_that_could_not_be_judged() -> None:
    """Ratio 0 against nothing at all."""
    trial = _exact_trial()
    want = trial.expected.steps[0]
    blind = replace(want[Quantity.DBETA], vacuous=np.ones(3, bool))
    steps = ({**want, Quantity.DBETA: blind}, trial.expected.steps[1])
    changed = replace(trial, expected=replace(trial.expected, steps=steps))
    judgement = judgement_of(judged(changed, answered(perfect_answer(trial))), "BN-GRAD-3", "dbeta")
    assert judgement.step == 1
    assert isinstance(judgement.verdict, Conforms)
    assert not judgement.verdict.vacuous


@pytest.mark.parametrize("quantity", [q for q in Quantity if q is not Quantity.Y_INFER])
def test_what_a_subject_does_not_expose_hides_nothing_else(quantity: Quantity) -> None:
    """All other quantities are judged as before."""
    trial = make_trial(plain())
    answer = answered(perfect_answer(trial))
    exposed = replace(EVERYTHING, quantities=EVERYTHING.quantities - {quantity})
    found = _quantities(list(judge(trial, answer, dialect(), exposed)))
    expected = [key for key in _quantities(judged(trial, answer)) if key[1] != quantity.value]
    assert found == expected


def test_a_missing_quantity_hides_nothing_else() -> None:
    """A wrong value beside it is found; the message and the step are those of the missing one."""
    trial = make_trial(plain(steps=2))
    answer = perfect_answer(trial)
    dbeta = bumped(answer.steps[1].dbeta, 0)
    judgements = judged(trial, answered(spoilt(answer, 1, dgamma=None, dbeta=dbeta)))
    assert findings(judgements) == {
        ("BN-CALL-2", "dgamma"): Cause.MISSING,
        ("BN-GRAD-3", "dbeta"): Cause.BEYOND_BOUND,
    }
    missing = judgement_of(judgements, "BN-CALL-2", "dgamma")
    assert missing.step == 1
    assert isinstance(missing.verdict, Diverges)
    assert missing.verdict.message == "declares dgamma but gave none"


def test_inference_is_reported_as_what_follows_the_last_step() -> None:
    """Its number is that of the last training step."""
    trial = make_trial(plain(steps=3))
    judgements = judged(trial, answered(perfect_answer(trial)))
    after = [j for j in judgements if j.clause in {"BN-INFER-2", "BN-INFER-3"}]
    assert [j.step for j in after] == [2, 2, 2]


def test_state_that_was_never_shown_hides_no_other_state() -> None:
    """running_mean is missing from the steps; running_var moves in inference and is found."""
    trial = make_trial(plain())
    answer = perfect_answer(trial)
    assert answer.inference is not None
    answer = spoilt(answer, 0, running_mean=None)
    answer = spoilt_inference(answer, running_var=bumped(answer.inference.running_var, 0))  # type: ignore[union-attr]
    assert findings(judged(trial, answered(answer))) == {
        ("BN-CALL-2", "running_mean"): Cause.MISSING,
        ("BN-INFER-2", "running_var"): Cause.STATE_CHANGED,
    }


def _after_inference(answer: Answer, state: np.ndarray | None) -> Diverges:
    """What is found of an answer that shows ``state`` after inference."""
    trial = make_trial(plain())
    changed = spoilt_inference(answer, running_mean=state)
    judgement = judgement_of(judged(trial, answered(changed)), "BN-CALL-2", "running_mean")
    assert isinstance(judgement.verdict, Diverges)
    return judgement.verdict


def test_state_that_disappears_or_changes_shape_in_inference_is_described() -> None:
    """Cause and message."""
    answer = perfect_answer(make_trial(plain()))
    gone = _after_inference(answer, None)
    assert gone.cause is Cause.MISSING
    assert gone.message == "gave running_mean after training but none after inference"
    wide = _after_inference(answer, np.zeros((1, 3), np.float32))
    assert wide.cause is Cause.WRONG_SHAPE
    assert wide.message == "running_mean had shape (3,), after inference (1, 3)"


@pytest.mark.parametrize("step", [0, 1])
def test_a_leak_of_nan_names_its_step_though_its_own_channel_could_not_be_judged(step: int) -> None:
    """Channel 0 holds the NaN and is vacuous here; channel 1 is judged all the same."""
    trial = make_trial(plain(fill=fill(FillKind.NAN), steps=2))
    steps = []
    for want in trial.expected.steps:
        own = np.zeros((4, 3), bool)
        own[:, 0] = True
        y = replace(want[Quantity.Y], vacuous=own, excluded=own)
        steps.append({**want, Quantity.Y: y})
    changed = replace(trial, expected=replace(trial.expected, steps=tuple(steps)))
    answer = perfect_answer(trial)
    wrong = spoilt(answer, step, y=bumped(answer.steps[step].y, 2, 1, by=10.0))
    found = [
        j for j in judged(changed, answered(wrong))
        if j.quantity == "y" and not isinstance(j.verdict, Conforms)
    ]  # fmt: skip
    assert [j.step for j in found] == [step]
