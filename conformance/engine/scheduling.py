"""Which worker does which unit next, so that no core waits while another has a queue.

A worker stays with its subject as long as that has units: starting a framework costs seconds. Then
it takes the subject that nobody has begun, and at last helps with the one that will take longest.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock

from .units import Unit

WORTH_HELPING = 30.0
"""Seconds of work that must be left for each worker before another process is started for it."""


@dataclass(kw_only=True)
class _Queue:
    """A subject's units: those that wait, and how fast the ones that are done went."""

    waiting: deque[Unit]
    unfinished: int
    workers: int = 0
    questions_done: int = 0
    seconds: float = 0.0

    def expected(self) -> float:
        """Seconds that one worker would need for what waits; unknown counts as for ever."""
        if not self.questions_done:
            return float("inf")
        rate = self.seconds / self.questions_done
        return rate * sum(unit.questions for unit in self.waiting)


@dataclass(kw_only=True)
class Scheduler:
    """Hands out units; every method may be called by any worker at any time."""

    clock: Callable[[], float] = time.monotonic
    _queues: dict[str, _Queue] = field(default_factory=dict)
    _began: dict[tuple[str, int], float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def add(self, subject: str, units: Iterable[Unit]) -> None:
        """Queue the units of a subject, none of which has begun; there may be none."""
        waiting = deque(units)
        self._queues[subject] = _Queue(waiting=waiting, unfinished=len(waiting))

    def take(self, holding: str | None) -> Unit | None:
        """The next unit for a worker that has ``holding`` started; None when it may go home."""
        with self._lock:
            name = holding if holding and self._queues[holding].waiting else self._other()
            if holding is not None and name != holding:
                self._queues[holding].workers -= 1
            if name is None:
                return None
            if name != holding:
                self._queues[name].workers += 1
            unit = self._queues[name].waiting.popleft()
            self._began[name, unit.block] = self.clock()
            return unit

    def done(self, unit: Unit) -> bool:
        """Note that ``unit`` is done; whether it was the last of its subject."""
        with self._lock:
            name = unit.subject.name
            queue = self._queues[name]
            queue.seconds += self.clock() - self._began.pop((name, unit.block))
            queue.questions_done += unit.questions
            queue.unfinished -= 1
            return queue.unfinished == 0

    def _other(self) -> str | None:
        """A subject that nobody has begun, else the one that is worth helping most."""
        for name, queue in self._queues.items():
            if queue.waiting and not queue.workers:
                return name
        slowest = max(self._queues, key=self._share, default=None)
        if slowest is None or self._share(slowest) < WORTH_HELPING:
            return None
        return slowest

    def _share(self, name: str) -> float:
        """Seconds of waiting work for each worker of a subject."""
        queue = self._queues[name]
        if not queue.waiting:
            return 0.0
        return queue.expected() / max(queue.workers, 1)
