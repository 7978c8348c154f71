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
from bnconform.conformance.engine.worker import OUTPUT_LIMIT


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


@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("Aborts", -6, id="abort"),
        pytest.param("Leaves", 7, id="os._exit"),
        pytest.param("ClosesTheChannel", 9, id="cannot answer any more"),
    ],
)
def test_a_process_that_ends_costs_its_own_case_only(
    faulty: Callable[[str], Target], name: str, code: int
) -> None:
    """Whichever way it ends, the case is a crash and its neighbours are answered."""
    good, bad = _case(marked=False), _case(marked=True)
    first, crashed, *rest = _ask(faulty(name), good, bad, good, good)
    assert isinstance(crashed, Crashed)
    assert crashed.exit_code == code
    assert all(isinstance(outcome, Answered) for outcome in (first, *rest))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("HangsInC", id="no Python runs any more"),
        pytest.param("WritesToTheChannel", id="the pool waits for the rest of a message"),
    ],
)
def test_a_process_that_is_lost_costs_its_own_case_only(
    faulty: Callable[[str], Target], name: str
) -> None:
    """Where neither the process nor its pool can tell, the case has hung at its limit."""
    good, bad = _case(marked=False), _case(marked=True)
    first, hung, *rest = _ask(faulty(name), good, bad, good, good, limit=4.0)
    assert isinstance(hung, Hung)
    assert all(isinstance(outcome, Answered) for outcome in (first, *rest))


@pytest.mark.parametrize("name", ["StartsThreads", "FloodsStdout", "AnswersViews"])
def test_what_is_no_fault_of_the_answer_is_answered(
    faulty: Callable[[str], Target], name: str
) -> None:
    """Threads and noise cost nothing; what was printed last is kept, up to a limit."""
    found = _ask(faulty(name), _case(marked=True), _case(marked=False))
    assert all(isinstance(outcome, Answered) for outcome in found)
    if name == "FloodsStdout":
        assert found[0].output.endswith("the end")  # type: ignore[union-attr]
        assert len(found[0].output) == OUTPUT_LIMIT  # type: ignore[union-attr]


def test_what_is_no_exception_is_an_outcome_too(faulty: Callable[[str], Target]) -> None:
    """KeyboardInterrupt in a subject does not interrupt the harness."""
    (outcome,) = _ask(faulty("InterruptsItself"), _case(marked=False))
    assert isinstance(outcome, Raised)
    assert outcome.error.startswith("KeyboardInterrupt")


def test_a_process_that_takes_too_much_memory_is_killed(faulty: Callable[[str], Target]) -> None:
    """The case is a crash that says why; its neighbours are answered."""
    good, bad = _case(marked=False), _case(marked=True)
    target = faulty("Swells")
    with SubjectProcess(target, {}, memory=500 * 2**20) as process:
        questions = (Question(case=case, repeat=False) for case in (good, bad, good))
        first, crashed, last = (outcome for _, outcome in process.ask(questions, 60.0))
    assert isinstance(first, Answered)
    assert isinstance(last, Answered)
    assert isinstance(crashed, Crashed)
    assert "0.5 GiB are allowed" in crashed.output


def test_a_process_that_has_grown_is_replaced_between_questions(
    faulty: Callable[[str], Target],
) -> None:
    """Before it comes to the limit, and at the cost of no case."""
    target, case = faulty("Leaks"), _case(marked=False)
    with SubjectProcess(target, {}, memory=800 * 2**20) as process:
        for _ in range(4):
            questions = [Question(case=case, repeat=False)] * 4
            found = [outcome for _, outcome in process.ask(questions, 60.0)]
            assert all(isinstance(outcome, Answered) for outcome in found)
            process.refresh()


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
