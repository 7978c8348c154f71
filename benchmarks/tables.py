"""Results of checks, added up, and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from bnconform.conformance.contract import BATCH_STATISTICS, FORWARD, GRADIENTS, Quantity

Key: TypeAlias = tuple[str, ...]


@dataclass(kw_only=True)
class Cell:
    """Checks of one kind: a check is one judged quantity of one case, all its steps together."""

    ratios: list[float] = field(default_factory=list)
    elements: int = 0
    vacuous: int = 0
    alarms: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def add(self, other: Cell) -> None:
        """Take ``other`` in."""
        self.ratios += other.ratios
        self.elements += other.elements
        self.vacuous += other.vacuous
        self.alarms += other.alarms
        self.others += other.others

    @property
    def checks(self) -> int:
        """Number of checks."""
        return len(self.ratios)

    def row(self, rules: Iterable[str]) -> list[str]:
        """Checks, elements, largest and 99th-percentile ratio, and who raises false alarms."""
        worst = f"{max(self.ratios):.2f}" if self.ratios else "-"
        p99 = f"{_percentile(self.ratios):.2f}" if self.ratios else "-"
        looked = self.elements + self.vacuous
        return [
            f"{self.checks:,}",
            f"{self.elements:,}",
            worst,
            p99,
            str(self.alarms),
            percent(self.vacuous, looked),
            *(percent(self.others[rule], self.checks) for rule in rules),
        ]


HEADINGS = (
    "checks", "elements", "max", "p99", "false alarms", "vacuous",
)  # fmt: skip
"""Of the columns that :meth:`Cell.row` gives, but for the other rules'."""


class Table(dict[Key, Cell]):
    """Cells by what they are about."""

    def at(self, *key: str) -> Cell:
        """The cell, made if it is not there."""
        return self.setdefault(key, Cell())

    def merge(self, other: Mapping[Key, Cell]) -> None:
        """Take ``other`` in."""
        for key, cell in other.items():
            self.at(*key).add(cell)

    def by(self, *places: int) -> Table:
        """The same with only these parts of each key, added up, in order of appearance."""
        found = Table()
        for key, cell in self.items():
            found.at(*(key[place] for place in places)).add(cell)
        return found

    @property
    def whole(self) -> Cell:
        """Everything together."""
        found = Cell()
        for cell in self.values():
            found.add(cell)
        return found


def _percentile(ratios: list[float]) -> float:
    """The 99th: one of the ratios, so that an infinite one makes no NaN of its neighbours."""
    return float(np.percentile(ratios, 99, method="higher"))


def group_of(quantity: Quantity) -> str:
    """What kind of quantity it is."""
    if quantity in FORWARD:
        return "forward"
    if quantity in GRADIENTS:
        return "gradients"
    return "statistics" if quantity in BATCH_STATISTICS else "state"


def percent(part: int, whole: int) -> str:
    """A share; never rounded to none or to all unless it is."""
    if not whole:
        return "-"
    share = 100.0 * part / whole
    if 0 < share < 0.05:
        return "<0.1 %"
    return f"{share:.1f} %" if share < 99.95 or part == whole else ">99.9 %"


def markdown(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| " + " | ".join(headings) + " |"
    yield "|" + " --- |" * len(headings)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"
    yield ""
