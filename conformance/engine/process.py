"""A subject in a process of its own: it can crash or hang, and only its case is lost.

The pool is pebble's: it reports the exit code of a worker that died and starts the next one for the
next case. Time and memory are watched here, and a pool is replaced after every fault.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from ..case import Case
from ..cases.malformed import Probe
from ..contract import Crashed, Hung, Observation, Outcome, Raised
from .loading import Target
from .worker import (
    Described,
    answer,
    call_malformed,
    describe,
    observe,
    pid_file,
    read_output,
    start,
)

Key = TypeVar("Key")
Result = TypeVar("Result")

START_LIMIT = 300.0
"""Seconds that a framework may take to import; TensorFlow needs 20 on a busy machine."""

MEMORY_LIMIT = 8 * 2**30
"""Bytes that a subject's process may take, unless the caller says otherwise."""

_GLANCE = 0.25
"""Seconds after which it is looked how pool and process do while an answer is waited for."""

_STOP_LIMIT = 10.0
"""Seconds after which a pool that does not stop is left behind."""

_TRIES = 3
"""How often a task is asked in whose time the pool breaks, before it counts as a crash."""

AHEAD = 4
"""Questions handed to the worker before their turn, so that it never waits for the judge."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One case to answer, and whether to run it twice."""

    case: Case
    repeat: bool


@dataclass(frozen=True, kw_only=True)
class _Task(Generic[Key, Result]):
    """What the worker is to do, and by what its outcome is known."""

    key: Key
    work: Callable[..., Result]
    arguments: tuple[Any, ...]


@dataclass(kw_only=True)
class _Waiting(Generic[Key, Result]):
    """A task, its future, and how often it was asked."""

    task: _Task[Key, Result]
    future: ProcessFuture[Result]
    asked: int = 1


class SubjectProcess:
    """Holds the worker of one subject; use it as a context manager."""

    def __init__(
        self, target: Target, environment: Mapping[str, str], *, memory: int = MEMORY_LIMIT
    ) -> None:
        """Prepare a worker; the process starts with the first question.

        A process that takes more than ``memory`` bytes is killed, at the cost of its case.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="bnconform-")
        self._log = Path(self._folder.name) / "output.log"
        self._log.touch()
        self._memory, self._killed_at = memory, 0
        self._start = (target, dict(environment), self._log)
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPool:
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
            worker = psutil.Process(int(pid_file(self._log).read_text()))
            return None if worker.status() == psutil.STATUS_ZOMBIE else worker
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
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
        try:
            described: Described = self._pool.schedule(describe, timeout=START_LIMIT).result()
        except FutureTimeoutError:
            reason = f"did not start within {START_LIMIT:g} s"
        except ProcessExpired as error:
            reason = f"the process died while starting, exit code {error.exitcode}"
        else:
            return described
        return Described(available=False, reason=reason, version="", device="")

    def ask(self, questions: Iterable[Question], limit: float) -> Iterator[tuple[Case, Outcome]]:
        """Outcomes in the order of ``questions``; ``limit`` seconds for each."""
        tasks = (
            _Task(key=each.case, work=_answer, arguments=(each.case, each.repeat))
            for each in questions
        )
        return self._in_turn(tasks, limit)

    def observe(self, names: Iterable[str], limit: float) -> Iterator[tuple[str, Observation]]:
        """What becomes of the experiments called ``names``, in their order."""
        tasks = (_Task(key=name, work=observe, arguments=(name,)) for name in names)
        return self._in_turn(tasks, limit)

    def call_malformed(
        self, probes: Iterable[Probe], limit: float
    ) -> Iterator[tuple[Probe, Outcome]]:
        """What becomes of malformed calls, in their order."""
        tasks = (_Task(key=probe, work=call_malformed, arguments=(probe,)) for probe in probes)
        return self._in_turn(tasks, limit)

    def do(
        self, work: Callable[..., Result], arguments: tuple[Any, ...], limit: float
    ) -> Result | Raised | Crashed | Hung:
        """What ``work(*arguments)`` gives in the worker, which gets ``limit`` seconds for it."""
        task = _Task(key=None, work=work, arguments=arguments)
        ((_, found),) = self._in_turn([task], limit)
        return found

    def _in_turn(
        self, tasks: Iterable[_Task[Key, Result]], limit: float
    ) -> Iterator[tuple[Key, Result | Raised | Crashed | Hung]]:
        waiting: list[_Waiting[Key, Result]] = []
        for task in tasks:
            if not self._pool.active:
                self._renew(waiting)
            waiting.append(_Waiting(task=task, future=self._schedule(task)))
            if len(waiting) > AHEAD:
                first = self._settled(waiting, limit)
                yield first
        while waiting:
            # By a name of its own: mypy would read the type of the outcome into the future's.
            rest = self._settled(waiting, limit)
            yield rest

    def _schedule(self, task: _Task[Key, Result]) -> ProcessFuture[Result]:
        # Without the pool's own limit: it asks a process to end, and waits, before it kills it.
        return self._pool.schedule(task.work, args=task.arguments)

    def _settled(
        self, waiting: list[_Waiting[Key, Result]], limit: float
    ) -> tuple[Key, Result | Raised | Crashed | Hung]:
        """The outcome of the first task that waits, which then waits no longer."""
        first = waiting[0]
        began = time.monotonic()
        while True:
            wait([first.future], timeout=_GLANCE)
            if first.future.done() and not first.future.cancelled():
                # By a name of its own, as in _in_turn.
                found = self._outcome(first.task.key, first.future)
                return self._done(waiting, found)
            self._kill_if_too_large()
            if time.monotonic() - began > limit:
                hung = Hung(limit=limit, output=read_output(self._log))
                return self._done(waiting, (first.task.key, hung))
            if not self._pool.active:
                self._renew(waiting)
                first.asked += 1
                if first.asked > _TRIES:
                    crashed = Crashed(exit_code=0, output=self._last_words())
                    return self._done(waiting, (first.task.key, crashed))

    def _done(
        self,
        waiting: list[_Waiting[Key, Result]],
        found: tuple[Key, Result | Raised | Crashed | Hung],
    ) -> tuple[Key, Result | Raised | Crashed | Hung]:
        """``found``, with its task waiting no longer."""
        del waiting[0]
        if isinstance(found[1], Crashed | Hung):
            # Its last act may have spoilt the channel, which a pool does not notice.
            self._renew(waiting)
        return found

    def _renew(self, waiting: list[_Waiting[Key, Result]]) -> None:
        """Replace the pool, and ask again what it held."""
        # Those that are open now: a pool that is stopped settles them all with errors.
        left = [each for each in waiting if not each.future.done() or each.future.cancelled()]
        self._stop()
        self._pool = self._new_pool()
        for each in left:
            each.future = self._schedule(each.task)

    def _kill_if_too_large(self) -> None:
        taken = self._taken()
        worker = self._worker() if taken > self._memory else None
        if worker is not None:
            self._killed_at = taken
            worker.kill()

    def _last_words(self) -> str:
        """What the worker printed, and why it was killed if that was for its size."""
        output, taken = read_output(self._log), self._killed_at
        self._killed_at = 0
        if not taken:
            return output
        gib = 2**30
        return (
            f"{output}\nkilled: the process took {taken / gib:.1f} GiB of memory, and "
            f"{self._memory / gib:.1f} GiB are allowed (--memory)"
        ).lstrip()

    def _outcome(
        self, key: Key, future: ProcessFuture[Result]
    ) -> tuple[Key, Result | Raised | Crashed | Hung]:
        try:
            found: Result = future.result()
        except ProcessExpired as error:
            return key, Crashed(exit_code=error.exitcode or 0, output=self._last_words())
        except Exception as error:  # noqa: BLE001 -- an answer that cannot be sent is an outcome
            text = f"{type(error).__name__}: {error}"
            return key, Raised(error=text, traceback=text, seconds=0.0, output="")
        return key, found


def _answer(case: Case, repeat: bool) -> Outcome:  # noqa: FBT001 -- tasks are sent by position
    return answer(case, repeat=repeat)
