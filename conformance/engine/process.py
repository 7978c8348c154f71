"""A subject in a process of its own: it can crash or hang, and only its case is lost.

The pool is pebble's: it reports the exit code of a worker that died and starts the next one for the
next case. Time and memory are watched here, and a pool is replaced after every fault.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from ..case import Case
from ..cases.malformed import Probe
from ..contract import Crashed, Hung, Observation, Outcome, Raised
from .loading import Target
from .output import forget, last_words, listed, printed, reached
from .tasks import Key, Pace, Portion, Question, Result, Task
from .worker import (
    Described,
    answer,
    answer_all,
    call_malformed,
    describe,
    observe,
    one_line,
    start,
)

__all__ = ["MEMORY_LIMIT", "START_LIMIT", "Question", "SubjectProcess"]

START_LIMIT = 300.0
"""Seconds that a framework may take to import; TensorFlow needs 20 on a busy machine."""

MEMORY_LIMIT = 8 * 2**30
"""Bytes that a subject's process may take, unless the caller says otherwise."""

_GLANCE = 0.25
"""Seconds after which it is looked how pool and process do while an answer is waited for."""

_MISSED = 4
"""Glances after which the pool will not tell any more of a process that has ended."""

PRINT_LIMIT = 2**28
"""Bytes that a subject may print while it answers one question."""

_STOP_LIMIT = 10.0
"""Seconds after which a pool that does not stop is left behind."""

_TRIES = 3
"""How often a task is asked in whose time the pool breaks, before it counts as a crash."""

AHEAD = 4
"""Portions handed to the worker before their turn, so that it never waits for the judge."""


class SubjectProcess:
    """Holds the worker of one subject; use it as a context manager."""

    def __init__(
        self, target: Target, environment: Mapping[str, str], *, memory: int = MEMORY_LIMIT
    ) -> None:
        """Prepare a worker; the process starts with the first question.

        A process that takes more than ``memory`` bytes is killed, at the cost of its case.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="bnconform-")
        self._output = Path(self._folder.name)
        self._memory, self._killed_for = memory, ""
        self._start = (target, dict(environment), self._output)
        self._numbers = itertools.count(1)
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPool:
        forget(self._output)
        return ProcessPool(
            max_workers=1,
            # Spawn: a fork would inherit the harness's threads and its imported modules.
            context=multiprocessing.get_context("spawn"),
            initializer=start,
            initargs=self._start,
        )

    def __enter__(self) -> Self:
        """Nothing to do: the worker starts by itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the worker at once, whatever it is doing."""
        self._stop()
        self._folder.cleanup()

    def _stop(self) -> None:
        # Killed first: pebble would wait for it to end by itself, and ask twice.
        if worker := self._worker():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble's own signature lacks it
        # A pool whose channel was spoilt has a thread that waits for the rest of a message for
        # ever; it is left behind.
        with contextlib.suppress(FutureTimeoutError):
            self._pool.join(timeout=_STOP_LIMIT)

    def refresh(self) -> None:
        """Between questions: let a process that has grown large go, and start the next one."""
        if self._taken() > self._memory // 2:
            self._stop()
            self._pool = self._new_pool()

    def _worker(self) -> psutil.Process | None:
        """The process that answers, if it has begun."""
        try:
            worker = psutil.Process(listed(self._output)[-1])
            return None if worker.status() == psutil.STATUS_ZOMBIE else worker
        except (IndexError, psutil.NoSuchProcess):
            return None

    def _taken(self) -> int:
        """Bytes of memory that the worker holds."""
        worker = self._worker()
        try:
            return 0 if worker is None else int(worker.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def describe(self) -> Described:
        """Version and device, or why the subject is not available."""
        # As any other question: the pool's own limit goes by a clock that can be set.
        match self.do(describe, (), START_LIMIT):
            case Described() as described:
                return described
            case Hung(limit=limit):
                reason = f"did not start within {limit:g} s"
            case Crashed(exit_code=code):
                reason = f"the process died while starting, exit code {code}"
            case Raised(error=error):
                reason = error
        return Described(available=False, reason=reason, version="", device="")

    def ask(self, questions: Iterable[Question], limit: float) -> Iterator[tuple[Case, Outcome]]:
        """Outcomes in the order of ``questions``; ``limit`` seconds for each."""
        pace = Pace()
        portions = (
            tuple(
                Task(key=each.case, work=_answer, arguments=(each.case, each.repeat))
                for each in portion
            )
            for portion in pace.portions(questions)
        )
        for case, outcome in self._in_turn(portions, limit):
            pace.note(outcome)
            yield case, outcome

    def observe(self, names: Iterable[str], limit: float) -> Iterator[tuple[str, Observation]]:
        """What becomes of the experiments called ``names``, in their order."""
        tasks = (Task(key=name, work=observe, arguments=(name,)) for name in names)
        return self._in_turn(((task,) for task in tasks), limit)

    def call_malformed(
        self, probes: Iterable[Probe], limit: float
    ) -> Iterator[tuple[Probe, Outcome]]:
        """What becomes of malformed calls, in their order."""
        tasks = (Task(key=probe, work=call_malformed, arguments=(probe,)) for probe in probes)
        return self._in_turn(((task,) for task in tasks), limit)

    def do(
        self, work: Callable[..., Result], arguments: tuple[Any, ...], limit: float
    ) -> Result | Raised | Crashed | Hung:
        """What ``work(*arguments)`` gives in the worker, which gets ``limit`` seconds for it."""
        task = Task(key=None, work=work, arguments=arguments)
        ((_, found),) = self._in_turn([(task,)], limit)
        return found

    def _in_turn(
        self, portions: Iterable[tuple[Task[Key, Result], ...]], limit: float
    ) -> Iterator[tuple[Key, Result | Raised | Crashed | Hung]]:
        waiting: list[Portion[Key, Result]] = []
        for tasks in portions:
            if not self._pool.active:
                self._renew(waiting)
            waiting.append(self._handed_over(Portion(tasks=tasks)))
            while len(waiting) > AHEAD:
                yield from self._settled(waiting, limit)
        while waiting:
            yield from self._settled(waiting, limit)

    def _handed_over(self, portion: Portion[Key, Result]) -> Portion[Key, Result]:
        # Without the pool's own limit: it asks a process to end, and waits, before it kills it.
        first, *others = portion.tasks
        portion.number, portion.missed = next(self._numbers), 0
        if others:
            asked = tuple(task.arguments for task in portion.tasks)
            portion.future = self._pool.schedule(answer_all, args=(portion.number, asked))
        else:
            portion.future = self._pool.schedule(first.work, args=first.arguments)
        return portion

    def _settled(
        self, waiting: list[Portion[Key, Result]], limit: float
    ) -> list[tuple[Key, Result | Raised | Crashed | Hung]]:
        """Outcomes of the first portion that waits; none if it has to be asked in other ones."""
        first = waiting[0]
        if first.found is not None or first.future is None:
            return self._told(waiting)
        began, place, taken, patience = time.monotonic(), 0, False, max(limit, START_LIMIT)
        while True:
            wait([first.future], timeout=_GLANCE)
            if first.future.done() and not first.future.cancelled():
                return self._finished(waiting, first.future)
            self._kill_if_excessive()
            if (now := self._place(first)) != place:
                began, place = time.monotonic(), now
            if self._overlooked(first):
                return self._fault(waiting, place, Crashed(exit_code=0, output=self._last_words()))
            if first.future.running() and not taken:
                # From here on it is the subject's time; before, it was the start of its process.
                began, taken, patience = time.monotonic(), True, limit
            if time.monotonic() - began > patience:
                return self._fault(waiting, place, Hung(limit=limit, output=self._last_words()))
            if not self._pool.active:
                return self._spoilt(waiting)

    def _told(
        self, waiting: list[Portion[Key, Result]]
    ) -> list[tuple[Key, Result | Raised | Crashed | Hung]]:
        """What a fault has settled already, or nothing, once it is handed over after all."""
        first = waiting[0]
        if first.found is None:
            self._handed_over(first)
            return []
        del waiting[0]
        return [(first.tasks[0].key, first.found)]

    def _finished(
        self, waiting: list[Portion[Key, Result]], future: ProcessFuture[Any]
    ) -> list[tuple[Key, Result | Raised | Crashed | Hung]]:
        """Outcomes of the first portion, whose future is done."""
        first = waiting[0]
        # Not by result(), which would raise here what ended the subject, a SystemExit included.
        error = future.exception()
        if isinstance(error, ProcessExpired):
            said = self._last_words(error.pid)
            crashed = Crashed(exit_code=error.exitcode or 0, output=said)
            return self._fault(waiting, self._place(first, error.pid), crashed)
        if error is None:
            del waiting[0]
            several = len(first.tasks) > 1
            found = future.result() if several else [future.result()]
            return list(zip((task.key for task in first.tasks), found, strict=True))
        if len(first.tasks) > 1 or not self._pool.active:
            # One of the answers could not be sent, and the others went with it.
            return self._spoilt(waiting)
        text = one_line(error)
        first.found = Raised(error=text, traceback=text, seconds=0.0, output="")
        return self._told(waiting)

    def _place(self, portion: Portion[Key, Result], process: int | None = None) -> int:
        """Which of the portion's tasks the worker has come to; their number if to none of them.

        It goes on to the next portion when it has answered, whether or not the answer arrives.
        """
        if process is None:
            process = next(iter(listed(self._output)), 0)
        number, index = reached(self._output, process)
        if len(portion.tasks) == 1 or number < portion.number:
            return 0
        return index if number == portion.number else len(portion.tasks)

    def _fault(
        self, waiting: list[Portion[Key, Result]], place: int, found: Crashed | Hung
    ) -> list[tuple[Key, Result | Raised | Crashed | Hung]]:
        """One task of the first portion comes to ``found``; the others are asked again.

        All of them where the worker had done them all, so that it is not known which one it was.
        """
        first = waiting[0]
        known = place < len(first.tasks)
        waiting[:1] = first.around(place, found) if known else first.alone()
        # Its last act may have spoilt the channel, which a pool does not notice.
        self._renew(waiting)
        return []

    def _spoilt(
        self, waiting: list[Portion[Key, Result]]
    ) -> list[tuple[Key, Result | Raised | Crashed | Hung]]:
        """The pool broke down: ask again, one at a time, and not for ever."""
        first = waiting[0]
        first.asked += 1
        if len(first.tasks) > 1:
            waiting[:1] = first.alone()
        elif first.asked > _TRIES:
            said = f"{self._last_words()}\nits channel was spoilt {_TRIES} times".lstrip()
            first.found = Crashed(exit_code=0, output=said)
        self._renew(waiting)
        return []

    def _renew(self, waiting: Sequence[Portion[Key, Result]]) -> None:
        """Replace the pool, and ask again what it held."""
        # Those that are open now: a pool that is stopped settles them all with errors.
        left = [each for each in waiting if each.open]
        self._stop()
        self._pool = self._new_pool()
        for each in left:
            self._handed_over(each)

    def _overlooked(self, first: Portion[Key, Result]) -> bool:
        """Whether the process that took it ended as if all were well, which pools ignore."""
        running = first.future is not None and first.future.running()
        if running and (len(listed(self._output)) > 1 or self._worker() is None):
            first.missed += 1
        # The pool needs a moment of its own to tell of one that ended with an error.
        return first.missed >= _MISSED

    def _kill_if_excessive(self) -> None:
        gib, taken = 2**30, self._taken()
        if taken > self._memory:
            self._kill(
                f"the process took {taken / gib:.1f} GiB of memory, and "
                f"{self._memory / gib:.1f} GiB are allowed (--memory)"
            )
        elif any(printed(self._output, each) > PRINT_LIMIT for each in listed(self._output)[-1:]):
            self._kill(f"the process printed more than {PRINT_LIMIT / gib:.1f} GiB")

    def _kill(self, reason: str) -> None:
        worker = self._worker()
        if worker is not None:
            self._killed_for = reason
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()

    def _last_words(self, process: int | None = None) -> str:
        """What the process printed last, and why it was killed if it was.

        That which the pool had first, unless another is given: what it has now came after it.
        """
        if process is None:
            process = next(iter(listed(self._output)), 0)
        output, reason = last_words(self._output, process), self._killed_for
        self._killed_for = ""
        return f"{output}\nkilled: {reason}".lstrip() if reason else output


def _answer(case: Case, repeat: bool) -> Outcome:  # noqa: FBT001 -- tasks are sent by position
    return answer(case, repeat=repeat)
