"""From a divergence that was found to the line of the corpus that keeps it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from ..corpus import CorpusEntry
from ..engine.recording import SubjectInfo
from .distinct import Distinct


def entries_of(
    found: Iterable[Distinct], info: SubjectInfo, date: datetime.date
) -> Iterator[CorpusEntry]:
    """One entry for each divergence; none for one that did not show again."""
    for each in found:
        record, shows = each.shrunk.record, each.shrunk.shows
        if record is not None:
            yield CorpusEntry(
                case=each.shrunk.case,
                subject=info.name,
                version=info.version,
                clause=shows.clause,
                quantity=shows.quantity,
                verdict=shows.verdict,
                cause=shows.cause,
                known=shows.known,
                date=date,
                sentence=f"{record.quantity}: {record.message}",
            )
