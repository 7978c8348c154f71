"""A JSON document that can say on which line any part of it stands, and collects its problems.

Python's ``json`` gives positions of syntax errors alone. The libraries that map a whole document
(json-source-map on PyPI, unchanged since 2022) parse every number in Python, and a file of vectors
is mostly numbers; so positions are looked up only for the parts that a problem names.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Where a part is: keys and indices from the top."""

_BLANK = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong in a document; ``part`` is '' for the document as a whole."""

    line: int
    part: str
    message: str

    def __str__(self) -> str:
        """The line, the part and the message, without the file's name."""
        return (
            f"{self.line}: {self.part}: {self.message}"
            if self.part
            else f"{self.line}: {self.message}"
        )


class _Repeated(dict[str, Any]):
    """An object that gives some keys twice, which JSON allows and nobody means."""

    twice: tuple[str, ...] = ()


@dataclass(frozen=True)
class Constant:
    """A bare NaN, Infinity or -Infinity: Python's ``json`` takes it, though it is no JSON."""

    name: str


class NotJSONError(Exception):
    """The text is no JSON; ``problem`` says where it stops being that."""

    def __init__(self, problem: Problem) -> None:
        """Keep the one problem that there is."""
        super().__init__(str(problem))
        self.problem = problem


@dataclass
class Document:
    """The text, what it says, and the problems found in it so far."""

    text: str
    value: Any = None
    problems: list[Problem] = field(default_factory=list)
    _starts: dict[Path, dict[str | int, int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Document:
        """Read ``text``; :class:`NotJSONError` where it is none."""
        try:
            value = json.loads(text, object_pairs_hook=_object, parse_constant=Constant)
        except json.JSONDecodeError as error:
            message = f"not JSON: {error.msg} at column {error.colno}"
            raise NotJSONError(Problem(line=error.lineno, part="", message=message)) from error
        except (RecursionError, ValueError) as error:
            # ValueError: an integer of more digits than Python converts.
            message = f"cannot be read: {error}"
            raise NotJSONError(Problem(line=1, part="", message=message)) from error
        return cls(text=text, value=value)

    @property
    def top(self) -> Node:
        """The document as a whole."""
        return Node(document=self, path=(), value=self.value)

    def complain(self, path: Path, message: str) -> None:
        """Add a problem of the part at ``path``."""
        self.problems.append(Problem(line=self.line(path), part=name_of(path), message=message))

    def line(self, path: Path) -> int:
        """The line on which the part at ``path`` begins, counted from 1."""
        return self.text.count("\n", 0, self._start(path)) + 1

    def _start(self, path: Path) -> int:
        """Position of the first character of the part at ``path``."""
        if not path:
            return _skip(self.text, 0)
        parent = path[:-1]
        if parent not in self._starts:
            self._starts[parent] = dict(_children(self.text, self._start(parent)))
        return self._starts[parent][path[-1]]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    keys = [key for key, _ in pairs]
    repeated = _Repeated(found)
    repeated.twice = tuple(key for key in found if keys.count(key) > 1)
    return repeated


def _children(text: str, start: int) -> Iterator[tuple[str | int, int]]:
    """Key or index, and position, of every child of the container at ``start``."""
    decoder = json.JSONDecoder()
    is_object, at, index = text[start] == "{", _skip(text, start + 1), 0
    while text[at] not in "]}":
        key: str | int = index
        if is_object:
            key, at = decoder.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        yield key, at
        _, at = decoder.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1


def _skip(text: str, at: int) -> int:
    """The next position at or after ``at`` that holds no white space."""
    match = _BLANK.match(text, at)
    return match.end() if match else at


def name_of(path: Path) -> str:
    """``path`` as a reader would write it: ``vectors[2].inputs.x``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


@dataclass(frozen=True, kw_only=True)
class Node:
    """One part of a document. Its readers give None after they have said what is wrong."""

    document: Document
    path: Path
    value: Any

    def complain(self, message: str) -> None:
        """Add a problem of this part."""
        self.document.complain(self.path, message)

    def child(self, key: str | int) -> Node:
        """The part under ``key``, which exists."""
        return Node(document=self.document, path=(*self.path, key), value=self.value[key])

    def members(self, required: Collection[str], optional: Collection[str]) -> dict[str, Node]:
        """The members of an object that are known; unknown, missing and repeated ones are said."""
        if not isinstance(self.value, dict):
            self.complain(f"must be an object, got {shown(self.value)}")
            return {}
        allowed = (*required, *optional)
        for key in self.value:
            if key not in allowed:
                self.child(key).complain(_stranger(key, allowed))
        for key in required:
            if key not in self.value:
                self.complain(f"has no {key!r}")
        if isinstance(self.value, _Repeated):
            for key in self.value.twice:
                self.child(key).complain("is given twice")
        return {key: self.child(key) for key in allowed if key in self.value}

    def items(self) -> list[Node] | None:
        """The elements of a list."""
        if not isinstance(self.value, list):
            self.complain(f"must be a list, got {shown(self.value)}")
            return None
        return [self.child(index) for index in range(len(self.value))]

    def text(self) -> str | None:
        """A string that is not empty."""
        if isinstance(self.value, str) and self.value:
            return self.value
        self.complain(f"must be a string that is not empty, got {shown(self.value)}")
        return None

    def number(self) -> float | None:
        """A finite number."""
        try:
            found = float(self.value) if type(self.value) in (int, float) else float("nan")
        except OverflowError:
            found = float("inf")
        if abs(found) < float("inf"):
            return found
        self.complain(f"must be a finite number, got {shown(self.value)}")
        return None

    def integers(self) -> tuple[int, ...] | None:
        """A list of whole numbers."""
        values = self.value
        if isinstance(values, list) and all(type(each) is int for each in values):
            return tuple(values)
        hint = f"; write [{values}]" if type(values) is int else ""
        self.complain(f"must be a list of whole numbers, got {shown(values)}{hint}")
        return None

    def one_of(self, options: Collection[str]) -> str | None:
        """One of some strings."""
        if isinstance(self.value, str) and self.value in options:
            return self.value
        listed = ", ".join(map(repr, options))
        self.complain(f"must be one of {listed}, got {shown(self.value)}")
        return None


def _stranger(key: str, allowed: Collection[str]) -> str:
    close = difflib.get_close_matches(key, allowed, n=1)
    hint = f"; is it {close[0]!r}?" if close else ""
    return f"unknown, allowed here: {', '.join(allowed)}{hint}"


def shown(value: Any) -> str:
    """``value`` as the file has it, cut short."""
    if isinstance(value, Constant):
        return f'a bare {value.name}, which is not JSON: write "{value.name}" in quotes'
    text = json.dumps(value, default=lambda constant: constant.name)
    return text if len(text) <= 60 else f"{text[:57]}..."
