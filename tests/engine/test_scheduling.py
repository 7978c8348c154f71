"""Who does what next: no worker waits while another has a queue that is worth sharing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from bnconform.conformance.case import Case
from bnconform.conformance.engine.scheduling import WORTH_HELPING, Scheduler
from bnconform.conformance.engine.units import Subject, Unit


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


def _units(subject: str, blocks: int, *, cases: int = 10) -> list[Unit]:
    named = cast("Subject", _Named(subject))
    # What the cases are is nobody's business here: only how many there are.
    some = cast("tuple[Case, ...]", (None,) * cases)
    return [Unit(subject=named, block=block, cases=some) for block in range(blocks)]


@pytest.fixture
def clock() -> _Clock:
    """Stands still unless it is moved."""
    return _Clock()


def _scheduler(clock: _Clock, **blocks: int) -> Scheduler:
    scheduler = Scheduler(clock=clock)
    for subject, count in blocks.items():
        scheduler.add(subject, _units(subject, count))
    return scheduler


def _take(scheduler: Scheduler, holding: str | None = None) -> Unit:
    unit = scheduler.take(holding)
    assert unit is not None
    return unit


def _finish(scheduler: Scheduler, clock: _Clock, unit: Unit, seconds: float) -> bool:
    clock.now += seconds
    return scheduler.done(unit)


def test_a_worker_stays_with_its_subject(clock: _Clock) -> None:
    """Its units come in order, and only then another subject's."""
    scheduler = _scheduler(clock, a=2, b=1)
    first = _take(scheduler)
    second = _take(scheduler, "a")
    third = _take(scheduler, "a")
    found = [(unit.subject.name, unit.block) for unit in (first, second, third)]
    assert found == [("a", 0), ("a", 1), ("b", 0)]


def test_two_workers_begin_two_subjects(clock: _Clock) -> None:
    """Nobody helps where somebody works while others have not begun."""
    scheduler = _scheduler(clock, a=5, b=5)
    assert {_take(scheduler).subject.name, _take(scheduler).subject.name} == {"a", "b"}


def test_the_last_unit_of_a_subject_is_told(clock: _Clock) -> None:
    """Whoever finishes it explains the subject, whichever unit it was."""
    scheduler = _scheduler(clock, a=2)
    first, second = _take(scheduler), _take(scheduler, "a")
    assert not _finish(scheduler, clock, second, 1.0)
    assert _finish(scheduler, clock, first, 1.0)


def test_an_idle_worker_helps_the_slowest_subject(clock: _Clock) -> None:
    """Of two that are begun, the one with more seconds of work left for each of its workers."""
    scheduler = _scheduler(clock, quick=40, slow=40)
    quick, slow = _take(scheduler), _take(scheduler)
    _finish(scheduler, clock, quick, 1.0)
    _finish(scheduler, clock, slow, 2 * WORTH_HELPING)
    assert _take(scheduler).subject.name == "slow"


def test_little_work_is_not_worth_starting_a_process(clock: _Clock) -> None:
    """A framework takes seconds to import, in which the others are done."""
    scheduler = _scheduler(clock, a=3)
    first = _take(scheduler)
    _finish(scheduler, clock, first, WORTH_HELPING / 2 - 1)
    assert scheduler.take(None) is None


def test_a_helper_goes_home_when_nothing_waits(clock: _Clock) -> None:
    """Units in flight are their workers' own."""
    scheduler = _scheduler(clock, a=1)
    _take(scheduler)
    assert scheduler.take(None) is None
    assert scheduler.take("a") is None


def test_an_idle_worker_waits_until_it_is_known_whether_help_is_worth_it(clock: _Clock) -> None:
    """Going home at once would leave a long queue to one worker."""
    scheduler = _scheduler(clock, a=40)
    first = _take(scheduler)
    with ThreadPoolExecutor(max_workers=1) as executor:
        idle = executor.submit(scheduler.take, None)
        assert not idle.done()
        _finish(scheduler, clock, first, WORTH_HELPING)
        unit = idle.result(timeout=10)
    assert unit is not None
    assert unit.block == 1


def test_closing_sends_waiting_workers_home(clock: _Clock) -> None:
    """After an error in one worker the others must not wait for its news."""
    scheduler = _scheduler(clock, a=40)
    _take(scheduler)
    with ThreadPoolExecutor(max_workers=1) as executor:
        idle = executor.submit(scheduler.take, None)
        scheduler.close()
        assert idle.result(timeout=10) is None
    assert scheduler.take("a") is None


def test_more_gives_units_of_the_same_subject_and_never_waits(clock: _Clock) -> None:
    """Whoever holds what others need gives it back when nothing of its subject is left."""
    scheduler = _scheduler(clock, a=2, b=2)
    _take(scheduler)
    _take(scheduler)
    second = scheduler.more("a")
    assert second is not None
    assert (second.subject.name, second.block) == ("a", 1)
    # Of b it is not known yet whether help is worth it: take would wait for that.
    assert scheduler.more("a") is None


def test_after_closing_there_is_no_more(clock: _Clock) -> None:
    """Units that wait are left where they are."""
    scheduler = _scheduler(clock, a=2)
    _take(scheduler)
    scheduler.close()
    assert scheduler.more("a") is None


def test_a_unit_taken_ahead_counts_from_its_turn(clock: _Clock) -> None:
    """Else a subject that is read ahead would pass for one that takes twice as long."""
    scheduler = _scheduler(clock, a=3)
    first, ahead = _take(scheduler), scheduler.more("a")
    assert ahead is not None
    scheduler.begin(first)
    _finish(scheduler, clock, first, 5.0)
    scheduler.begin(ahead)
    _finish(scheduler, clock, ahead, 5.0)
    assert scheduler.estimate(1) == (5.0, True)
