"""Closing a run: its footer, from its parts one by one, so that memory does not grow with them."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ..case import Case
from ..explanation.names import Kind
from ..explanation.row_causes import Facts
from ..known.divergences import KnownDivergence, stale
from ..known.scope import over_broad, reaches
from ..record import UNEXPECTED
from ..topic import topic_of_case
from .explaining import EXPLANATIONS, NEEDED, explanation_of, read_explanations, write_explanations
from .run_directory import RUN_FORMAT, RunDirectory
from .units import other_topics

COUNTED = (*NEEDED, "framework_version", "device", "vacuous")
"""Columns of records that closing a run looks at."""

TOGETHER = 30_000
"""Rows that are counted at a time."""


@dataclass(kw_only=True)
class Tally:
    """What the parts of a run hold, added up.

    The rows that do not conform, which are few, are kept; the others are only counted.
    """

    known: Sequence[KnownDivergence]
    facts: Facts
    subjects: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    looked: Counter[str] = field(default_factory=Counter)
    matched: Counter[str] = field(default_factory=Counter)
    vacuous: int = 0
    accepted: int = 0
    unexpected: int = 0
    _diverging: list[pd.DataFrame] = field(default_factory=list)

    def add(self, part: pd.DataFrame) -> None:
        """Count some rows, which have at least the columns :data:`COUNTED`."""
        for counter, column in ((self.subjects, "subject"), (self.verdicts, "verdict")):
            counts = part[column].value_counts()
            counter.update({str(name): int(count) for name, count in counts.items()})
        self.vacuous += int(part["vacuous"].sum())
        present = set(part["subject"])
        concerned = [entry for entry in self.known if present & set(entry.subjects)]
        for name, reach in reaches(concerned, part, self.facts).items():
            self.looked[name] += reach.looked
            self.matched[name] += reach.matched
        diverging = part[part["verdict"].isin(UNEXPECTED)]
        accepted = int((diverging["known"] != "").sum())
        self.accepted += accepted
        self.unexpected += len(diverging) - accepted
        self._diverging.append(diverging)

    @property
    def diverging(self) -> pd.DataFrame:
        """The rows that do not conform, known ones among them, in the order of the parts."""
        return pd.concat(self._diverging, ignore_index=True)

    def footer(self) -> dict[str, Any]:
        """The counts, which must equal what the parts hold."""
        return {
            "format": RUN_FORMAT,
            "records": dict(sorted(self.subjects.items())),
            "counts": dict(sorted(self.verdicts.items())),
            "known": self.accepted,
            "vacuous": self.vacuous,
            "unexpected": self.unexpected,
        }


def close_run(
    run: RunDirectory,
    known: Sequence[KnownDivergence],
    cases: Sequence[Case],
    today: datetime.date,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The footer of a run whose parts are all there, and the rows that do not conform."""
    facts = {topic.id: topic.facts for topic in (*map(topic_of_case, cases), *other_topics())}
    tally = Tally(known=known, facts=facts)
    tally.add(run.no_records())
    for some in some_at_a_time(run.read_parts(columns=COUNTED)):
        tally.add(some)
    footer, diverging = tally.footer(), tally.diverging
    footer["stale_known"] = [
        *stale(known, tally.matched, tally.looked, today),
        *over_broad(known, diverging, _conventions(collect_explanations(run)), facts),
    ]
    footer["exit_status"] = int(bool(footer["unexpected"] or footer["stale_known"]))
    return footer, diverging


def some_at_a_time(parts: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Parts together, as many as make ``TOGETHER`` rows: each counted alone takes far longer."""
    some: list[pd.DataFrame] = []
    for part in parts:
        some.append(part)
        if sum(map(len, some)) >= TOGETHER:
            yield pd.concat(some, ignore_index=True)
            some = []
    if some:
        yield pd.concat(some, ignore_index=True)


def collect_explanations(run: RunDirectory) -> list[dict[str, Any]]:
    """The explanations of all subjects, which are also written as one file."""
    paths = sorted(run.explanations.glob("*.json"))
    found = [each for path in paths for each in read_explanations(path)]
    write_explanations(run.path / EXPLANATIONS, found)
    return found


def _conventions(found: Iterable[Mapping[str, Any]]) -> list[Any]:
    # One cause shows at several stages and in several forms, but follows one convention.
    return [explanation_of(each) for each in found if each["kind"] == Kind.CONVENTION]
