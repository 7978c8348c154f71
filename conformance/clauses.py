"""The standard itself: every requirement as a numbered clause.

Documentation and reports are generated from this registry; a record names the clause that it is
evidence for. Levels follow RFC 2119, and INFO marks what is recorded but not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How binding a clause is."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    INFO = "INFO"


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One requirement. ``equation`` names the function of ``spec.py`` that states it, or is ''."""

    id: str
    section: str
    level: Level
    statement: str
    equation: str
    source: str


CLAUSES: tuple[Clause, ...] = ()
