"""What a worker is given to do, and how much of it at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pebble import ProcessFuture

from ..case import Case
from ..contract import Answered, Crashed, Hung, Outcome, Raised

Key = TypeVar("Key")
Result = TypeVar("Result")

PORTION_SECONDS = 0.2
"""What a portion of questions should take: far more than handing it over, little to lose."""

PORTION_MOST = 64
"""Questions handed over at a time, at most."""

PORTION_ELEMENTS = 2**16
"""Elements of input from which on a portion is handed over, however soon it is answered."""

_HANDLING = 1e-3
"""Seconds that a question takes besides the subject's own time."""

_WEIGHT = 0.1
"""Of the last question in the average."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One case to answer, and whether to run it twice."""

    case: Case
    repeat: bool


@dataclass(frozen=True, kw_only=True)
class Task(Generic[Key, Result]):
    """What the worker is to do, and by what its outcome is known."""

    key: Key
    work: Callable[..., Result]
    arguments: tuple[Any, ...]


@dataclass(kw_only=True)
class Portion(Generic[Key, Result]):
    """Tasks that were handed over together, and what has become of them.

    ``number`` is what the worker knows the portion by; ``found`` is there once a fault settled it.
    """

    tasks: tuple[Task[Key, Result], ...]
    number: int = 0
    future: ProcessFuture[Any] | None = None
    found: Raised | Crashed | Hung | None = None
    asked: int = 1
    missed: int = 0
    """How often it was seen that the process that took it is not there any more."""

    @property
    def open(self) -> bool:
        """Whether it must be handed over again when a pool is replaced."""
        if self.found is not None:
            return False
        return self.future is None or not self.future.done() or self.future.cancelled()

    def alone(self) -> list[Portion[Key, Result]]:
        """Each of its tasks for itself."""
        return [Portion(tasks=(task,)) for task in self.tasks]

    def around(self, index: int, found: Crashed | Hung) -> list[Portion[Key, Result]]:
        """What is left when the task at ``index`` came to ``found``: before, itself, and after."""
        before, after = self.tasks[:index], self.tasks[index + 1 :]
        middle = Portion(tasks=(self.tasks[index],), found=found)
        return [
            *([Portion(tasks=before)] if before else []),
            middle,
            *([Portion(tasks=after)] if after else []),
        ]


class Pace:
    """Hands questions over in portions that take a fraction of a second.

    One at a time to begin with, and where each takes long or is large; dozens where each takes a
    millisecond, so that handing over does not cost more than the answer.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._seconds = PORTION_SECONDS

    def note(self, outcome: Outcome) -> None:
        """Learn from an outcome how long questions take."""
        took = outcome.seconds if isinstance(outcome, Answered | Raised) else 0.0
        self._seconds += _WEIGHT * (took + _HANDLING - self._seconds)

    def portions(self, questions: Iterable[Question]) -> Iterator[tuple[Question, ...]]:
        """All of ``questions`` in their order; how many at a time is decided as they are taken."""
        portion: list[Question] = []
        elements = 0
        for question in questions:
            portion.append(question)
            elements += question.case.elements
            most = min(PORTION_MOST, PORTION_SECONDS / self._seconds)
            if len(portion) >= most or elements >= PORTION_ELEMENTS:
                yield tuple(portion)
                portion, elements = [], 0
        if portion:
            yield tuple(portion)
