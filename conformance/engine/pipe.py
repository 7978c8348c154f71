"""What one thread has ready for another one, up to a limit."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Pipe(Generic[Item]):
    """Items in their order from the thread that puts them to the one that iterates.

    Whoever puts waits while more than ``most`` of the sum of ``weight`` has not been taken.
    """

    def __init__(self, most: float, weight: Callable[[Item], float]) -> None:
        """Nothing is in it."""
        self._most, self._weight = most, weight
        self._waiting: deque[Item] = deque()
        self._held = 0.0
        self._ended = self._unwanted = False
        self._error: BaseException | None = None
        self._changed = Condition()

    def put(self, item: Item) -> bool:
        """Whether ``item``, or anything that follows, is wanted."""
        with self._changed:
            self._waiting.append(item)
            self._held += self._weight(item)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._unwanted or self._held <= self._most)
            return not self._unwanted

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """Around all that is put; what is raised within is raised where items are taken, too."""
        try:
            yield
        except BaseException as error:
            self._error = error
            raise
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    @contextlib.contextmanager
    def emptying(self) -> Iterator[None]:
        """Around all that is taken: after it, nothing is wanted."""
        try:
            yield
        finally:
            with self._changed:
                self._unwanted = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Everything that is put, as it comes."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                item = self._waiting.popleft()
                self._held -= self._weight(item)
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error
