"""Which worker does which unit next, so that no core waits while another has a queue.

A worker stays with its subject as long as that has units: starting a framework costs seconds. Then
it takes the subject that nobody has begun, and at last helps with the one that will take longest.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Condition

from .units import Unit

WORTH_HELPING = 30.0
"""Seconds of work that must be left for each worker before another process is started for it."""


@dataclass(kw_only=True)
class _Queue:
    """A subject's units: those that wait, and how fast the ones that are done went."""

    waiting: deque[Unit]
    unfinished: int
    questions_waiting: int
    workers: int = 0
    questions_done: int = 0
    seconds: float = 0.0

    @property
    def measured(self) -> bool:
        """Whether a unit is done, so that it is known how fast they go."""
        return self.questions_done > 0

    def share(self) -> float:
        """Seconds of waiting work for each of its workers, as far as is known."""
        if not (self.waiting and self.measured):
            return 0.0
        rate = self.seconds / self.questions_done
        return rate * self.questions_waiting / max(self.workers, 1)


@dataclass(kw_only=True)
class Scheduler:
    """Hands out units; every method may be called by any worker at any time."""

    clock: Callable[[], float] = time.monotonic
    _queues: dict[str, _Queue] = field(default_factory=dict)
    _began: dict[tuple[str, int], float] = field(default_factory=dict)
    _changed: Condition = field(default_factory=Condition)
    _closed: bool = False

    def add(self, subject: str, units: Iterable[Unit]) -> None:
        """Queue the units of a subject, none of which has begun; there may be none."""
        waiting = deque(units)
        self._queues[subject] = _Queue(
            waiting=waiting,
            unfinished=len(waiting),
            questions_waiting=sum(unit.questions for unit in waiting),
        )

    def take(self, holding: str | None) -> Unit | None:
        """The next unit for a worker that has ``holding`` started; None when it may go home.

        Waits while nobody can say whether a subject that others work on is worth helping.
        """
        with self._changed:
            if holding is not None and not self._queues[holding].waiting:
                self._queues[holding].workers -= 1
                holding = None
            name = holding or self._other()
            while name is None and self._undecided():
                self._changed.wait()
                name = self._other()
            if name is None or self._closed:
                return None
            if name != holding:
                self._queues[name].workers += 1
            return self._next_of(name)

    def more(self, holding: str) -> Unit | None:
        """The next unit of ``holding`` for a worker that has it started; None if none waits.

        Never waits: who holds what others need gives it back before asking :meth:`take`.
        """
        with self._changed:
            if self._closed or not self._queues[holding].waiting:
                return None
            return self._next_of(holding)

    def _next_of(self, subject: str) -> Unit:
        queue = self._queues[subject]
        unit = queue.waiting.popleft()
        queue.questions_waiting -= unit.questions
        self._began[subject, unit.block] = self.clock()
        return unit

    def begin(self, unit: Unit) -> None:
        """Note that ``unit``, which was taken ahead of its turn, has its turn now."""
        with self._changed:
            self._began[unit.subject.name, unit.block] = self.clock()

    def estimate(self, workers: int) -> tuple[float, bool]:
        """Seconds of work left for ``workers``, and whether the speed of every subject is known.

        A subject that has not finished a unit yet is taken to be as fast as the others on average.
        """
        with self._changed:
            queues = list(self._queues.values())
            done = sum(queue.questions_done for queue in queues)
            average = sum(queue.seconds for queue in queues) / done if done else math.nan
            seconds = sum(
                queue.questions_waiting
                * (queue.seconds / queue.questions_done if queue.measured else average)
                for queue in queues
            )
            return seconds / workers, all(queue.measured or not queue.waiting for queue in queues)

    def close(self) -> None:
        """Send everybody home: no unit is handed out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _undecided(self) -> bool:
        """Whether units wait of which it is not known how long they take."""
        queues = self._queues.values()
        return not self._closed and any(each.waiting and not each.measured for each in queues)

    def done(self, unit: Unit) -> bool:
        """Note that ``unit`` is done; whether it was the last of its subject."""
        with self._changed:
            name = unit.subject.name
            queue = self._queues[name]
            queue.seconds += self.clock() - self._began.pop((name, unit.block))
            queue.questions_done += unit.questions
            queue.unfinished -= 1
            self._changed.notify_all()
            return queue.unfinished == 0

    def _other(self) -> str | None:
        """A subject that nobody has begun, else the one that is worth helping most."""
        for name, queue in self._queues.items():
            if queue.waiting and not queue.workers:
                return name
        slowest = max(self._queues, key=lambda name: self._queues[name].share(), default=None)
        if slowest is None or self._queues[slowest].share() < WORTH_HELPING:
            return None
        return slowest
