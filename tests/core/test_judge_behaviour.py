"""What a subject makes of a call that may be rejected, beside the verdict on it."""

from __future__ import annotations

from typing import Any

import pytest

from bnconform.conformance.contract import Raised
from bnconform.conformance.dialect import Policy
from bnconform.conformance.judging.judge import rejection_behaviour
from bnconform.conformance.verdict import Behaviour

from .cases import answered, make_trial, perfect_answer, plain
from .judging import bumped, judged, spoilt

ONE_VALUE = plain(shape=(1, 3))
CLEARLY, UNCLEARLY = Behaviour.REJECTS_CLEARLY, Behaviour.REJECTS_UNCLEARLY


def _raised(error: str, message: str = "") -> Raised:
    return Raised(error=error, traceback="", seconds=0.0, output="", message=message)


@pytest.mark.parametrize(
    ("error", "message", "behaviour"),
    [
        ("ValueError: no", "too few values", CLEARLY),  # a word's beginning
        ("ValueError: no", "BATCH of one", CLEARLY),  # in any case
        ("ValueError: no", "batch", CLEARLY),  # the last of the words too
        ("ValueError: no", "devalued", UNCLEARLY),  # inside another word
        ("ValueError: no", "no", UNCLEARLY),  # nothing of the kind
        ("ValueError: value", "no", UNCLEARLY),  # the message in full is what counts
        ("ValueError: value", "", CLEARLY),  # the short one, where there is no other
    ],
)
def test_a_rejection_is_clear_if_its_message_speaks_of_the_matter(
    error: str, message: str, behaviour: Behaviour
) -> None:
    """A word of the message begins with one of the given ones."""
    assert rejection_behaviour(_raised(error, message), ("value", "batch")) is behaviour


@pytest.mark.parametrize("policy", [Policy.REJECTS, Policy.COMPUTES])
@pytest.mark.parametrize("message", ["expected more than 1 value", "no"])
def test_raising_on_one_value_shows_how_clearly(policy: Policy, message: str) -> None:
    """Whatever is documented."""
    (found,) = judged(
        make_trial(ONE_VALUE), _raised("ValueError: no", message), single_value=policy
    )
    assert found.behaviour is (CLEARLY if "value" in message else UNCLEARLY)


@pytest.mark.parametrize("policy", [Policy.REJECTS, Policy.COMPUTES])
@pytest.mark.parametrize("wrong", [False, True])
def test_answering_one_value_shows_whether_it_was_computed(policy: Policy, *, wrong: bool) -> None:
    """Garbage is an answer that diverges."""
    trial = make_trial(ONE_VALUE)
    answer = perfect_answer(trial)
    if wrong:
        answer = spoilt(answer, 0, y=bumped(answer.steps[0].y, 0, 0, by=10.0))
    judgements = judged(trial, answered(answer), single_value=policy)
    (shown,) = [j for j in judgements if j.clause == "BN-EDGE-1" and j.behaviour is not None]
    assert shown.behaviour is (Behaviour.GARBAGE if wrong else Behaviour.COMPUTES)


def test_an_ordinary_call_shows_no_behaviour() -> None:
    """There is nothing to reject."""
    trial = make_trial(plain())
    outcomes: list[Any] = [answered(perfect_answer(trial)), _raised("ValueError: no")]
    assert {j.behaviour for outcome in outcomes for j in judged(trial, outcome)} == {None}
