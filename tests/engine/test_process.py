"""What becomes of a subject that does not simply answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial

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
from bnconform.conformance.engine import process as process_module
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.output import OUTPUT_LIMIT
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.engine.worker import OTHERWISE_EVERY


def _case(*, marked: bool) -> Case:
    """A plain training case that faulty_process.py's adapters do or do not stumble over."""
    return _case_that(lambda case: (int(case.id, 16) % 5 == 0) is marked)


def _case_that(fits: Callable[[Case], bool]) -> Case:
    """The first plain training case that does."""
    for number in range(1000):
        stream = Stream(f"test/{number}")
        demand = Demand(rank=2, feature_axes=(1,), batch=4, mode=Mode.TRAIN, steps=1)
        case = draw_case(stream, draw_signature(stream, demand), FillKind.NORMAL)
        if fits(case):
            return case
    raise AssertionError


def _is_odd(case: Case, *, odd: bool) -> bool:
    return (int(case.id, 16) % 2 == 1) is odd


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


def test_what_is_told_of_a_crash_was_printed_over_its_own_case(
    faulty: Callable[[str], Target],
) -> None:
    """Neither by a process that died before it, nor by one that came after it."""
    good, bad = _case(marked=False), _case(marked=True)
    crashes = _ask(faulty("SometimesSegfaults"), bad, good, bad, bad)
    said = [outcome.output for outcome in crashes if isinstance(outcome, Crashed)]
    assert said == ["about to die"] * 3


def test_a_hang_that_ignores_sigterm_ends_at_its_limit(faulty: Callable[[str], Target]) -> None:
    """The hung case is given up after its limit; the next one is answered."""
    hung, last = _ask(faulty("SometimesHangs"), _case(marked=True), _case(marked=False), limit=15.0)
    assert hung == Hung(limit=15.0, output="about to hang")
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


def test_what_depends_on_the_call_before_does_not_repeat(faulty: Callable[[str], Target]) -> None:
    """The second run follows the first one of the same case, and so differs."""
    outcome, _ = _ask(faulty("Remembers"), _case(marked=False), _case(marked=True), repeat=True)
    assert isinstance(outcome, Answered)
    assert outcome.unrepeatable == (Quantity.Y,)


@pytest.mark.parametrize(
    ("odd", "unrepeatable"),
    [
        pytest.param((True, False), (Quantity.Y,), id="two cases of different effect go before"),
        pytest.param((False, False), (), id="both have the same, so that there is nothing to see"),
    ],
)
def test_what_depends_on_another_case_does_not_repeat(
    faulty: Callable[[str], Target], odd: tuple[bool, bool], unrepeatable: tuple[Quantity, ...]
) -> None:
    """Some cases are run again after another one than the first time."""
    by_parity = {each: _case_that(partial(_is_odd, odd=each)) for each in (True, False)}
    before = [by_parity[each] for each in odd]
    looked_at = _case_that(lambda case: int(case.id, 16) % OTHERWISE_EVERY == 0)
    *_, outcome = _ask(faulty("RemembersTheOtherCase"), *before, looked_at, repeat=True)
    assert isinstance(outcome, Answered)
    assert outcome.unrepeatable == unrepeatable


@pytest.mark.parametrize(
    ("way", "said"),
    [
        pytest.param("a list", "gave y as list", id="no array"),
        pytest.param("a number", "gave y as float32", id="a number is no array of rank 0"),
        pytest.param("objects", "gave y as an array of objects", id="cannot be sent, nor judged"),
    ],
)
def test_an_answer_that_is_no_array_of_numbers_says_which(
    faulty: Callable[[str], Target], way: str, said: str
) -> None:
    """It is an error of the adapter, by name."""
    with SubjectProcess(faulty("AnswersWrongly"), {"FAULTY_WRONG": way}) as process:
        question = Question(case=_case(marked=False), repeat=False)
        ((_, outcome),) = process.ask([question], 30.0)
    assert isinstance(outcome, Raised)
    assert said in outcome.error


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        pytest.param("CannotStart", "ModuleNotFoundError", id="framework absent"),
        pytest.param("DiesStarting", "exit code 7", id="framework kills its process"),
        pytest.param("ExitsStarting", "SystemExit: no licence", id="framework leaves politely"),
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


def test_an_import_that_hangs_makes_a_subject_unavailable(
    faulty: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for no longer than the limit for starting."""
    monkeypatch.setattr(process_module, "START_LIMIT", 3.0)
    began = time.monotonic()
    with SubjectProcess(faulty("HangsStarting"), {}) as process:
        described = process.describe()
    assert not described.available
    assert described.reason == "did not start within 3 s"
    assert time.monotonic() - began < 60.0


def test_a_clock_that_is_set_changes_no_limit(
    faulty: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year forward at every look: nothing has hung, neither while starting nor in a case."""
    year, looks = 365 * 86_400.0, itertools.count()
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + year * next(looks))
    with SubjectProcess(faulty("StartsSlowly"), {}) as process:
        assert process.describe().available
        questions = [Question(case=_case(marked=False), repeat=False)] * 3
        found = [outcome for _, outcome in process.ask(questions, 30.0)]
    assert all(isinstance(outcome, Answered) for outcome in found)
    # The pool looked at it, so that a limit of its own would have struck.
    assert next(looks) > 1


def test_a_clock_that_is_set_back_keeps_a_hang_from_lasting(
    faulty: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit ends it all the same."""
    looks = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 1e9 - next(looks))
    monkeypatch.setattr(process_module, "START_LIMIT", 3.0)
    with SubjectProcess(faulty("HangsStarting"), {}) as process:
        assert process.describe().reason == "did not start within 3 s"


def test_what_was_printed_is_kept_up_to_a_limit(faulty: Callable[[str], Target]) -> None:
    """The end of it, which says most."""
    outcome, after = _ask(faulty("FloodsStdout"), _case(marked=True), _case(marked=False))
    assert isinstance(outcome, Answered)
    assert outcome.output.endswith("the end")
    assert len(outcome.output) == OUTPUT_LIMIT
    assert isinstance(after, Answered)
    assert after.output == ""


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
