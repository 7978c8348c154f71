"""Layers that are dear to make, kept between the cases that use them one after the other."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Idle(Generic[Value]):
    """What nobody uses at the moment, by what it was made for; one of a kind."""

    def __init__(self, most: int, drop: Callable[[Value], object] = lambda _: None) -> None:
        """Keep at most ``most``; ``drop`` is called with what is not kept any more."""
        self.most, self.drop = most, drop
        self._kept: dict[Hashable, Value] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def take(self, kind: Hashable) -> Value | None:
        """One of this kind, which is the caller's from now on."""
        return self._kept.pop(kind, None)

    def lend(
        self, user: object, kind: Hashable, value: Value
    ) -> weakref.finalize[[Hashable, Value], object]:
        """Leave ``value`` to ``user``, and keep it as soon as that is gone.

        Detach what this gives where ``value`` is not to be used again.
        """
        returned = weakref.finalize(user, self._keep, kind, value)
        returned.atexit = False
        return returned

    def _keep(self, kind: Hashable, value: Value) -> None:
        if kind in self._kept:
            self.drop(value)
            return
        self._kept[kind] = value
        if len(self._kept) > self.most:
            # That which was kept longest.
            self.drop(self._kept.pop(next(iter(self._kept))))
