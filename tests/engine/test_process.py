"""What becomes of a subject that does not simply answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pebble.pool.base_pool import PoolStatus

from bnconform.conformance.case import Case, FillKind, Mode
from bnconform.conformance.cases.case_space import Demand, draw_case, draw_signature
from bnconform.conformance.cases.plan import Stream
from bnconform.conformance.contract import (
    Answered,
    Crashed,
    Hung,
    Outcome,
    Quantity,
    Raised,
    Unsupported,
)
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.process import Question, SubjectProcess


def _case(*, marked: bool) -> Case:
    """A plain training case that faulty.py's adapters do or do not stumble over."""
    for number in range(1000):
        stream = Stream(f"test/{number}")
        demand = Demand(rank=2, feature_axes=(1,), batch=4, mode=Mode.TRAIN, steps=1)
        case = draw_case(stream, draw_signature(stream, demand), FillKind.NORMAL)
        if (int(case.id, 16) % 5 == 0) is marked:
            return case
    raise AssertionError


def _ask(target: Target, *cases: Case, limit: float = 30.0, repeat: bool = False) -> list[Outcome]:
    with SubjectProcess(target, load_class(target).environment) as process:
        questions = [Question(case=case, repeat=repeat) for case in cases]
        return [outcome for _, outcome in process.ask(questions, limit)]


def test_a_sound_subject_answers_and_repeats_itself(faulty: Callable[[str], Target]) -> None:
    """The control: an answer, same bits twice, nothing overwritten."""
    (outcome,) = _ask(faulty("Sound"), _case(marked=False), repeat=True)
    assert isinstance(outcome, Answered)
    assert outcome.unrepeatable == ()
    assert outcome.mutated == ()


def test_a_segfault_costs_its_own_case_only(faulty: Callable[[str], Target]) -> None:
    """The crashed case reports SIGSEGV and its last output; its neighbours are answered."""
    good, bad = _case(marked=False), _case(marked=True)
    first, crashed, last = _ask(faulty("SometimesSegfaults"), good, bad, good)
    assert isinstance(first, Answered)
    assert isinstance(last, Answered)
    assert isinstance(crashed, Crashed)
    assert crashed.exit_code == -11
    assert "about to die" in crashed.output


def test_a_hang_that_ignores_sigterm_ends_at_its_limit(faulty: Callable[[str], Target]) -> None:
    """The hung case is given up after its limit; the next one is answered."""
    hung, last = _ask(faulty("SometimesHangs"), _case(marked=True), _case(marked=False), limit=15.0)
    assert hung == Hung(limit=15.0, output="")
    assert isinstance(last, Answered)


def test_an_exception_is_an_outcome_with_what_was_printed(faulty: Callable[[str], Target]) -> None:
    """Type, message, traceback and captured output are kept."""
    (outcome,) = _ask(faulty("Raises"), _case(marked=False))
    assert isinstance(outcome, Raised)
    assert outcome.error == "RuntimeError: no luck today"
    assert "faulty.py" in outcome.traceback
    assert "some output before the error" in outcome.output


def test_sys_exit_is_an_outcome_too(faulty: Callable[[str], Target]) -> None:
    """SystemExit does not end the worker."""
    (outcome,) = _ask(faulty("Exits"), _case(marked=False))
    assert isinstance(outcome, Raised)
    assert outcome.error == "SystemExit: 3"


def test_declining_while_running_is_unsupported(faulty: Callable[[str], Target]) -> None:
    """UnsupportedError gives its reason."""
    (outcome,) = _ask(faulty("Declines"), _case(marked=False))
    assert outcome == Unsupported(reason="only on Sundays")


def test_overwritten_inputs_are_named(faulty: Callable[[str], Target]) -> None:
    """An in-place operation on x is noticed."""
    (outcome,) = _ask(faulty("Overwrites"), _case(marked=False))
    assert isinstance(outcome, Answered)
    assert outcome.mutated == ("x of call 0",)


def test_quantities_that_do_not_repeat_are_named(faulty: Callable[[str], Target]) -> None:
    """Only what changed is named."""
    (outcome,) = _ask(faulty("NeverTheSame"), _case(marked=False), repeat=True)
    assert isinstance(outcome, Answered)
    assert outcome.unrepeatable == (Quantity.RUNNING_MEAN,)


def test_an_answer_that_is_no_array_says_which(faulty: Callable[[str], Target]) -> None:
    """A list in place of an array is an error of the adapter, by name."""
    (outcome,) = _ask(faulty("AnswersLists"), _case(marked=False))
    assert isinstance(outcome, Raised)
    assert "gave y as list" in outcome.error


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        pytest.param("CannotStart", "ModuleNotFoundError", id="framework absent"),
        pytest.param("DiesStarting", "exit code 7", id="framework kills its process"),
    ],
)
def test_a_subject_that_cannot_start_is_unavailable_with_its_reason(
    faulty: Callable[[str], Target], attribute: str, reason: str
) -> None:
    """Unavailable is said aloud, and is no error of the harness."""
    target = faulty(attribute)
    with SubjectProcess(target, {}) as process:
        described = process.describe()
    assert not described.available
    assert reason in described.reason


def test_a_pool_that_breaks_is_replaced_and_nothing_is_lost(
    faulty: Callable[[str], Target],
) -> None:
    """A worker that dies at the wrong moment can break the pool itself, not only its case."""
    cases = [_case(marked=False)] * 8
    target = faulty("Sound")
    with SubjectProcess(target, load_class(target).environment) as process:
        asked = process.ask((Question(case=case, repeat=False) for case in cases), 30.0)
        found = [next(asked)]
        process._pool._context.status = PoolStatus.ERROR  # noqa: SLF001 -- no other way to break it
        found += asked
    assert [case for case, _ in found] == cases
    assert all(isinstance(outcome, Answered) for _, outcome in found)
