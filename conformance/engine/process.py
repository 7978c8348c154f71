"""A subject in a process of its own: it can crash or hang, and only its case is lost.

The pool is pebble's: it kills a worker at its time limit, reports the exit code of one that died,
and starts the next one for the next case.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

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
    read_output,
    start,
)

Key = TypeVar("Key")
Result = TypeVar("Result")

START_LIMIT = 300.0
"""Seconds that a framework may take to import; TensorFlow needs 20 on a busy machine."""

_GLANCE = 5.0
"""Seconds after which it is looked whether the pool that is waited for still works."""

_TRIES = 3
"""How often a task is asked that breaks the pool, before it counts as a crash."""

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

    def __init__(self, target: Target, environment: Mapping[str, str]) -> None:
        """Prepare a worker; the process starts with the first question."""
        self._folder = tempfile.TemporaryDirectory(prefix="bnconform-")
        self._log = Path(self._folder.name) / "output.log"
        self._log.touch()
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
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble's own signature lacks it
        self._pool.join()
        self._folder.cleanup()

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

    def _in_turn(
        self, tasks: Iterable[_Task[Key, Result]], limit: float
    ) -> Iterator[tuple[Key, Result | Raised | Crashed | Hung]]:
        waiting: list[_Waiting[Key, Result]] = []
        for task in tasks:
            if not self._pool.active:
                self._renew(waiting, limit)
            waiting.append(_Waiting(task=task, future=self._schedule(task, limit)))
            if len(waiting) > AHEAD:
                first = self._settled(waiting, limit)
                yield first
        while waiting:
            # By a name of its own: mypy would read the type of the outcome into the future's.
            rest = self._settled(waiting, limit)
            yield rest

    def _schedule(self, task: _Task[Key, Result], limit: float) -> ProcessFuture[Result]:
        return self._pool.schedule(task.work, args=task.arguments, timeout=limit)

    def _settled(
        self, waiting: list[_Waiting[Key, Result]], limit: float
    ) -> tuple[Key, Result | Raised | Crashed | Hung]:
        """The outcome of the first task that waits, which then waits no longer."""
        while True:
            first = waiting[0]
            wait([first.future], timeout=_GLANCE)
            if first.future.done() and not first.future.cancelled():
                del waiting[0]
                return self._outcome(first.task.key, first.future, limit)
            if not self._pool.active:
                self._renew(waiting, limit)
                if waiting[0].asked > _TRIES:
                    del waiting[0]
                    return first.task.key, Crashed(exit_code=0, output=read_output(self._log))

    def _renew(self, waiting: list[_Waiting[Key, Result]], limit: float) -> None:
        """Replace a pool that broke, which a worker's death can do, and ask again what it held."""
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble's own signature lacks it
        self._pool.join()
        self._pool = self._new_pool()
        for each in waiting:
            if not each.future.done() or each.future.cancelled():
                each.future, each.asked = self._schedule(each.task, limit), each.asked + 1

    def _outcome(
        self, key: Key, future: ProcessFuture[Result], limit: float
    ) -> tuple[Key, Result | Raised | Crashed | Hung]:
        try:
            found: Result = future.result()
        except FutureTimeoutError:
            return key, Hung(limit=limit, output=read_output(self._log))
        except ProcessExpired as error:
            output = read_output(self._log)
            return key, Crashed(exit_code=error.exitcode or 0, output=output)
        except Exception as error:  # noqa: BLE001 -- an answer that cannot be sent is an outcome
            text = f"{type(error).__name__}: {error}"
            return key, Raised(error=text, traceback=text, seconds=0.0, output="")
        return key, found


def _answer(case: Case, repeat: bool) -> Outcome:  # noqa: FBT001 -- tasks are sent by position
    return answer(case, repeat=repeat)
