"""A subject in a process of its own: it can crash or hang, and only its case is lost.

The pool is pebble's: it kills a worker at its time limit, reports the exit code of one that died,
and starts the next one for the next case.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from ..case import Case
from ..contract import Crashed, Hung, Outcome, Raised
from .loading import Target
from .worker import Described, answer, describe, read_output, start

START_LIMIT = 300.0
"""Seconds that a framework may take to import; TensorFlow needs 20 on a busy machine."""

AHEAD = 4
"""Cases handed to the worker before their turn, so that it never waits for the judge."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One case to answer, and whether to run it twice."""

    case: Case
    repeat: bool


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
        waiting: list[tuple[Case, ProcessFuture[Outcome]]] = []
        for question in questions:
            future = self._pool.schedule(
                answer,
                args=(question.case,),
                kwargs={"repeat": question.repeat},
                timeout=limit,
            )
            waiting.append((question.case, future))
            if len(waiting) > AHEAD:
                yield self._outcome(*waiting.pop(0), limit)
        for case, future in waiting:
            yield self._outcome(case, future, limit)

    def _outcome(
        self, case: Case, future: ProcessFuture[Outcome], limit: float
    ) -> tuple[Case, Outcome]:
        try:
            outcome = future.result()
        except FutureTimeoutError:
            outcome = Hung(limit=limit, output=read_output(self._log))
        except ProcessExpired as error:
            output = read_output(self._log)
            outcome = Crashed(exit_code=error.exitcode or 0, output=output)
        except Exception as error:  # noqa: BLE001 -- an answer that cannot be sent is an outcome
            text = f"{type(error).__name__}: {error}"
            outcome = Raised(error=text, traceback=text, seconds=0.0, output="")
        return case, outcome
