"""A subject in a process of its own: it can crash or hang, and only its case is lost.

The pool is pebble's: it kills a worker at its time limit, reports the exit code of one that died,
and starts the next one for the next case.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from ..case import Case
from ..contract import Crashed, Hung, Observation, Outcome, Raised
from ..malformed import Probe
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


class SubjectProcess:
    """Holds the worker of one subject; use it as a context manager."""

    def __init__(self, target: Target, environment: Mapping[str, str]) -> None:
        """Prepare a worker; the process starts with the first question."""
        self._folder = tempfile.TemporaryDirectory(prefix="bnconform-")
        self._log = Path(self._folder.name) / "output.log"
        self._log.touch()
        self._pool = ProcessPool(
            max_workers=1,
            # Spawn: a fork would inherit the harness's threads and its imported modules.
            context=multiprocessing.get_context("spawn"),
            initializer=start,
            initargs=(target, dict(environment), self._log),
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
        waiting: list[tuple[Key, ProcessFuture[Result]]] = []
        for task in tasks:
            future = self._pool.schedule(task.work, args=task.arguments, timeout=limit)
            waiting.append((task.key, future))
            if len(waiting) > AHEAD:
                first = self._outcome(*waiting.pop(0), limit)
                yield first
        for key, future in waiting:
            # By a name of its own: mypy would read the type of the outcome into the future's.
            rest = self._outcome(key, future, limit)
            yield rest

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
