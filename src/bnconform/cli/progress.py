"""How a long command says how it gets on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bnconform.conformance.engine.campaign import Subject

_SAID_EVERY = 30.0
"""Seconds between two lines about how long it will take."""


class Reporter:
    """Shows progress: bars on a terminal, plain lines when piped. Any thread may call it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Draw on stderr, so that stdout holds only results."""
        self._console = Console(stderr=True, highlight=False)
        self._live = sys.stderr.isatty()
        self._progress = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            disable=not self._live,
        )
        # The first units say little: in them, frameworks are imported and code is compiled.
        self._clock, self._said = clock, clock() + _SAID_EVERY
        self._lock = Lock()
        self._tasks: dict[str, Any] = {}
        self._left: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()

    def described(self, subject: Subject) -> None:
        """Say what a subject is, or why it is unavailable."""
        described = subject.described
        text = f"{described.version} on {described.device}"
        if not described.available:
            text = f"unavailable: {described.reason}"
        self._console.print(f"{subject.name:<20} {text}", markup=False, soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Print a sentence of its own."""
        self._console.print(sentence, markup=False, soft_wrap=True)

    def started(self, subject: str, total: int) -> None:
        """Open a bar, or print a line."""
        with self._lock:
            self._left[subject] = total
            self._tasks[subject] = self._progress.add_task(subject, total=total, left="")
        if not self._live:
            self._console.print(f"{subject:<20} {total} cases", markup=False)

    def advanced(self, subject: str, cases: int) -> None:
        """Move the bar; when piped, say only when the subject is done."""
        with self._lock:
            self._left[subject] -= cases
            done = self._left[subject] <= 0 and cases > 0
        self._progress.advance(self._tasks[subject], cases)
        if done and not self._live:
            self._console.print(f"{subject:<20} done", markup=False)

    def expects(self, seconds: float, *, at_least: bool) -> None:
        """Say how long it will take: beside every bar, or in a line twice a minute."""
        text = f"{'at least' if at_least else 'about'} {_duration(seconds)} left"
        with self._lock:
            for task in self._tasks.values():
                self._progress.update(task, left=text)
            due = self._clock() - self._said >= _SAID_EVERY
            if due:
                self._said = self._clock()
        if due and not self._live:
            self._console.print(text, markup=False)


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
