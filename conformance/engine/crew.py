"""What a campaign and those who do its units elsewhere have to say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from ..case import Case
from ..known.divergences import KnownDivergence
from ..record import Record
from .bundles import Exhibit
from .recording import SubjectInfo
from .scheduling import Scheduler
from .units import Subject, Unit


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of one unit: its rows, and the simplest example of each of its divergences."""

    rows: tuple[Record, ...]
    exhibits: tuple[tuple[Record, Exhibit], ...]


class Desk(Protocol):
    """Where a crew hands in its work; every method may be called from any thread."""

    @property
    def known(self) -> tuple[KnownDivergence, ...]:
        """The divergences that rows are labelled with."""
        ...

    @property
    def cases(self) -> Mapping[str, Case]:
        """All cases of the campaign by their id."""
        ...

    @property
    def limit(self) -> float:
        """Seconds that a case may take."""
        ...

    @property
    def memory(self) -> int:
        """Bytes that a subject's process may take."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether everybody is to stop."""
        ...

    def begins(self, unit: Unit) -> bool:
        """Whether the unit is still to be done; asked once for each that is taken."""
        ...

    def keep(self, unit: Unit, found: Found) -> None:
        """Write the rows and examples of a unit, which is done with that."""
        ...

    def rows_of(self, subject: Subject) -> pd.DataFrame:
        """All rows of a subject that were kept."""
        ...

    def expects(self, scheduler: Scheduler) -> None:
        """Tell how long the rest will take; called whenever a unit is done."""
        ...

    def keep_explanations(self, subject: Subject, explained: Sequence[Mapping[str, Any]]) -> None:
        """Write the causes of a subject's divergences."""
        ...


class Crew(Protocol):
    """Does the units of a campaign on other machines."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a run's manifest says of it, JSON-ready."""
        ...

    def work(self, scheduler: Scheduler, desk: Desk) -> None:
        """Take units, one after another, until there are none; called by each worker's thread."""
        ...


def info_of(subject: Subject) -> SubjectInfo:
    """What the rows of ``subject`` say of it."""
    return SubjectInfo(
        name=subject.name,
        framework=subject.adapter.framework,
        version=subject.described.version,
        device=subject.described.device,
    )
