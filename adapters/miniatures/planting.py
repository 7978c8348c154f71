"""The mark of a miniature with a defect: what is planted, and where its like was met."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bnconform.conformance.selftest.planted import Planted

Class = TypeVar("Class", bound=type)

_MARK = "planted"


def plants(*causes: str, source: str, where: tuple[str, ...] = ()) -> Callable[[Class], Class]:
    """Mark a miniature; the first line of its docstring says what is planted.

    ``causes``, ``where`` and ``source`` are those of :class:`Planted`. A defect that shows in
    several places at once has several causes, and each may be named.
    """

    def mark(miniature: Class) -> Class:
        sentence = (miniature.__doc__ or "").splitlines()[0]
        planted = Planted(
            adapter=miniature, causes=causes, where=where, sentence=sentence, source=source
        )
        setattr(miniature, _MARK, planted)
        return miniature

    return mark


def planted_in(module: object) -> dict[str, Planted]:
    """What a module plants, by the miniature's name, in the order of the file."""
    marked = (vars(found).get(_MARK) for found in vars(module).values() if isinstance(found, type))
    return {each.name: each for each in marked if isinstance(each, Planted)}
