"""How many questions are handed over at a time, and what a fault leaves of a portion."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bnconform.conformance.case import Case
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Answered, Crashed, Hung, Outcome, Raised
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.process import SubjectProcess
from bnconform.conformance.engine.tasks import (
    PORTION_ELEMENTS,
    PORTION_MOST,
    Pace,
    Portion,
    Question,
    Task,
)


def _small() -> Iterator[Case]:
    cases = plan_cases(PROFILES["quick"], cases=900, seed=0)
    return (case for case in cases if case.elements < 100)


def _took(seconds: float) -> Outcome:
    return Raised(error="", traceback="", seconds=seconds, output="")


def test_nobody_knows_how_long_the_first_one_takes() -> None:
    """It goes alone."""
    questions = [Question(case=case, repeat=False) for case in _small()]
    assert len(next(Pace().portions(questions))) == 1


@pytest.mark.parametrize(("seconds", "most"), [(0.0, PORTION_MOST), (0.02, 10), (5.0, 1)])
def test_portions_take_a_fraction_of_a_second(seconds: float, most: int) -> None:
    """Dozens where each takes a millisecond, one where each takes longer than the fraction."""
    pace = Pace()
    for _ in range(200):
        pace.note(_took(seconds))
    questions = [Question(case=case, repeat=False) for case in _small()]
    portions = list(pace.portions(questions))
    assert [each for portion in portions for each in portion] == questions
    assert most - 1 <= max(map(len, portions)) <= most


def test_large_cases_are_not_piled_up() -> None:
    """However soon they are answered."""
    pace = Pace()
    for _ in range(200):
        pace.note(_took(0.0))
    cases = plan_cases(PROFILES["quick"], cases=900, seed=0)
    large = [q for c in cases if (q := Question(case=c, repeat=False)).case.elements > 5000]
    portions = list(pace.portions(large))
    assert max(map(len, portions)) <= PORTION_ELEMENTS // 5000 + 1


def test_a_fault_settles_one_task_and_leaves_the_others() -> None:
    """In their order: those before it, itself, those after it."""
    tasks = tuple(Task(key=key, work=len, arguments=("",)) for key in "abcde")
    crashed = Crashed(exit_code=1, output="")
    parts = Portion(tasks=tasks).around(2, crashed)
    assert [[task.key for task in part.tasks] for part in parts] == [["a", "b"], ["c"], ["d", "e"]]
    assert [part.found for part in parts] == [None, crashed, None]
    assert [part.open for part in parts] == [True, False, True]
    assert [len(part.tasks) for part in Portion(tasks=tasks).around(0, crashed)] == [1, 4]


@pytest.mark.parametrize(
    ("subject", "limit", "fault"),
    [
        pytest.param("SometimesSegfaults", 30.0, Crashed, id="dies"),
        pytest.param("SometimesHangs", 3.0, Hung, id="hangs"),
    ],
)
def test_a_fault_amid_a_full_portion_is_blamed_on_its_case(
    faulty: Callable[[str], Target], subject: str, limit: float, fault: type[Outcome]
) -> None:
    """Every other case of the portion is answered, and all outcomes keep their order."""
    target = faulty(subject)
    cases = [case for case in _small() if _plain(case, target)]
    calm = [case for case in cases if int(case.id, 16) % 5][:90]
    marked = next(case for case in cases if int(case.id, 16) % 5 == 0)
    asked = [*calm[:70], marked, *calm[70:]]
    with SubjectProcess(target, {}) as process:
        questions = (Question(case=case, repeat=False) for case in asked)
        found = list(process.ask(questions, limit))
    assert [case for case, _ in found] == asked
    kinds = [type(outcome) for _, outcome in found]
    assert kinds == [Answered] * 70 + [fault] + [Answered] * 20


def _plain(case: Case, target: Target) -> bool:
    return load_class(target).capabilities.unsupported(case) is None and case.smallest_count > 1
