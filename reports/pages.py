"""What a page is made of: plain frozen nouns, no HTML anywhere.

Every page of the site, the caller's own included, is a :class:`Page`; the templates alone know
HTML, and they escape whatever they are given. Hyperlinks of the site are written from its root,
as ``clauses/BN-1.html``; the templates make them relative to the page they are on.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from bnconform.reports.errors import InvalidPageError
from bnconform.reports.summaries import Status
from bnconform.reports.words import apart, full

_SENTENCE = 40
"""Characters from which on a cell counts as a sentence."""

_SLUG = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True)
class Link:
    """Text that leads somewhere: ``href`` is a path from the site's root, or an https address."""

    text: str
    href: str

    def __post_init__(self) -> None:
        """Refuse addresses that could run code or that depend on where the site lies."""
        path = self.href.partition("#")[0]
        inside = ":" not in path and not path.startswith("/") and ".." not in path.split("/")
        if not (inside or self.href.startswith("https://")):
            msg = (
                f"the link {self.text!r} must lead to a page of the site, as 'spec.html#part', "
                f"or to an https:// address, got {self.href!r}"
            )
            raise InvalidPageError(msg)


@dataclass(frozen=True)
class Mark:
    """A status, shown as symbol and word."""

    status: Status


@dataclass(frozen=True)
class Mono:
    """A short piece of code or a name, in a fixed-width font."""

    text: str


@dataclass(frozen=True)
class Number:
    """A number told in ``text``, which may show more digits than a float alone would."""

    text: str
    title: str


@dataclass(frozen=True)
class Fold:
    """Long text behind a short summary, opened by a click."""

    summary: str
    text: str


Inline: TypeAlias = str | int | float | Number | Link | Mark | Mono | Fold
"""What may stand within a line. A float is shown short, with its full value on hovering."""

Cell: TypeAlias = Inline | tuple[Inline, ...]


def contrasted(expected: float, got: float) -> tuple[Number, Number]:
    """Two numbers with as many digits as it takes to see that they differ.

    One NaN is a value, as when a number was expected and NaN came back; two mean that there was
    nothing to compare.
    """
    nothing = math.isnan(expected) and math.isnan(got)
    first, second = (
        "NaN" if math.isnan(value) and not nothing else text
        for value, text in zip((expected, got), apart(expected, got), strict=True)
    )
    return Number(first, full(expected)), Number(second, full(got))


@dataclass(frozen=True)
class Paragraph:
    """Running text. ``aside`` sets it apart as a remark."""

    content: Cell
    aside: bool = False


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is, to be copied."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values below each other."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True)
class Figures:
    """The numbers to see first: value and what it counts."""

    rows: tuple[tuple[Cell, str], ...]


@dataclass(frozen=True)
class Table:
    """Rows under headings; every row has one cell for each heading."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        """Refuse ragged tables."""
        for row in self.rows:
            if len(row) != len(self.headings):
                msg = (
                    f"a table with the headings {self.headings} needs {len(self.headings)} cells "
                    f"in each row, got {len(row)}: {row}"
                )
                raise InvalidPageError(msg)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each column, whether it holds only numbers and is therefore set to the right."""
        return tuple(
            bool(self.rows)
            and all(isinstance(row[column], int | float | Number) for row in self.rows)
            for column in range(len(self.headings))
        )

    @property
    def long(self) -> tuple[bool, ...]:
        """For each column, whether it holds sentences, which need room."""
        return tuple(
            any(_is_sentence(row[column]) for row in self.rows)
            for column in range(len(self.headings))
        )


def _is_sentence(cell: Cell) -> bool:
    return isinstance(cell, str) and len(cell) > _SENTENCE


@dataclass(frozen=True, kw_only=True)
class MatrixHead:
    """One column of the matrix."""

    name: Link
    detail: str


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """One cell: a status that leads to its details, a few numbers, and a sentence on hovering."""

    status: Status
    href: str
    note: str
    title: str


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """One clause across all columns."""

    name: Link
    level: str
    statement: str
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True)
class Matrix:
    """Clauses by subjects; the rows come in groups, each with a title."""

    heads: tuple[MatrixHead, ...]
    groups: tuple[tuple[str, tuple[MatrixRow, ...]], ...]


Block: TypeAlias = Paragraph | Code | Facts | Figures | Table | Matrix


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what follows it. ``anchor`` makes it a target of links, '' does not.

    ``mark`` is shown beside the heading.
    """

    title: Cell
    blocks: tuple[Block, ...]
    anchor: str = ""
    mark: Status | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page, written to ``<slug>.html``. ``lead`` is its first sentence or two.

    ``trail`` are the pages that lie above it; ``wide`` lets it use the whole window.
    """

    title: str
    slug: str
    sections: tuple[Section, ...]
    lead: Cell = ""
    trail: tuple[Link, ...] = ()
    wide: bool = False

    def __post_init__(self) -> None:
        """Refuse a slug that is not a plain path."""
        if not _SLUG.fullmatch(self.slug) or {".", ".."} & set(self.slug.split("/")):
            msg = (
                f"the slug of page {self.title!r} must be letters, digits, '.', '_' and '-', "
                f"got {self.slug!r}"
            )
            raise InvalidPageError(msg)

    @property
    def href(self) -> str:
        """Where the page is, from the site's root."""
        return f"{self.slug}.html"

    @property
    def root(self) -> str:
        """The way from the page to the site's root."""
        return "../" * self.slug.count("/")
