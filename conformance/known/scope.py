"""How far known divergences reach, over all rows of a run.

An entry is over-broad when it hides more causes than it names: that fails a run. One whose scope
mostly conforms is too wide, too, but may be so for want of a fact to tell by: that is advice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ..explanation.row_causes import Accounted, Facts, causes_of_rows
from ..record import UNEXPECTED, VerdictKind
from .divergences import KnownDivergence

_FEWEST_CASES = 5
_SMALLEST_SHARE = 10


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How many rows are in an entry's scope, how many of those it covers, how many conform."""

    looked: int
    matched: int
    conforming: int


def in_scope(entry: KnownDivergence, frame: pd.DataFrame, facts: Facts) -> pd.Series[bool]:
    """For each row of ``frame``, which has the columns of records, ``entry.in_scope`` of it."""
    mask = frame["subject"].isin(entry.subjects)
    named = {"device": entry.devices, "clause": entry.clauses, "quantity": entry.quantities}
    for column, allowed in named.items():
        if allowed:
            mask &= frame[column].isin(allowed)
    # Each version and each case once: there are far more rows.
    every = {name: frame.loc[mask, name].unique() for name in ("framework_version", "case_id")}
    versions = [text for text in every["framework_version"] if text in entry.versions]
    ids = [name for name in every["case_id"] if name in facts and entry.met_by(facts[name])]
    return mask & frame["framework_version"].isin(versions) & frame["case_id"].isin(ids)


def covered(entry: KnownDivergence, frame: pd.DataFrame, facts: Facts) -> pd.Series[bool]:
    """For each row of ``frame``, ``entry.covers`` of it."""
    mask = frame["verdict"].isin(UNEXPECTED)
    for column, allowed in (("verdict", entry.verdicts), ("cause", entry.causes)):
        if allowed:
            mask &= frame[column].isin(allowed)
    return mask & in_scope(entry, frame, facts)


def labels(entries: Sequence[KnownDivergence], frame: pd.DataFrame, facts: Facts) -> pd.Series[str]:
    """The column ``known`` as a run with these entries has it: the first one that covers a row."""
    known = pd.Series("", index=frame.index, dtype="str")
    for entry in entries:
        known = known.mask((known == "") & covered(entry, frame, facts), entry.id)
    return known


def reaches(
    entries: Iterable[KnownDivergence], frame: pd.DataFrame, facts: Facts
) -> dict[str, Reach]:
    """How far each entry reaches, by id; ``frame`` has its label in the column ``known``."""
    found = {}
    passed = (frame["verdict"] == VerdictKind.CONFORMS) & ~frame["vacuous"].astype(bool)
    for entry in entries:
        scope = in_scope(entry, frame, facts)
        found[entry.id] = Reach(
            looked=int(scope.sum()),
            matched=int((scope & (frame["known"] == entry.id)).sum()),
            conforming=int((scope & passed).sum()),
        )
    return found


def over_broad(
    entries: Iterable[KnownDivergence],
    frame: pd.DataFrame,
    explanations: Iterable[Accounted],
    facts: Facts,
) -> tuple[str, ...]:
    """One sentence for each entry that hides causes which it does not name.

    ``frame`` has each row's label in the column ``known``. A single cause need not be named; rows
    that no explanation speaks of say nothing, nor does a cause of only a few: near the bounds of
    one cause, another fits as well.
    """
    hidden = frame[frame["known"] != ""]
    causes = causes_of_rows(hidden, explanations, facts)
    found: dict[str, dict[str, list[str]]] = {}
    for name, case_id, cause in zip(hidden["known"], hidden["case_id"], causes, strict=True):
        if cause:
            found.setdefault(name, {}).setdefault(cause, []).append(case_id)
    found = {name: _many(causes) for name, causes in found.items()}
    return tuple(
        f"{entry.id}: {_told(entry, found[entry.id])}"
        for entry in entries
        if len(found.get(entry.id, {})) > (0 if entry.explanations else 1)
        and not set(found[entry.id]) <= set(entry.explanations)
    )


def _many(causes: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The causes of at least five cases, and of a tenth of an entry's rows."""
    rows = sum(map(len, causes.values()))
    return {
        cause: cases
        for cause, cases in causes.items()
        if len(set(cases)) >= _FEWEST_CASES and len(cases) * _SMALLEST_SHARE >= rows
    }


def advice(entries: Iterable[KnownDivergence], reach: Mapping[str, Reach]) -> tuple[str, ...]:
    """One sentence for each entry in use whose scope conforms more often than not."""
    return tuple(
        f"{entry.id}: of the {found.looked} rows in its scope {found.conforming} conform and "
        f"{found.matched} diverge as it says; narrow it if a fact tells them apart"
        for entry in entries
        if (found := reach[entry.id]).matched and found.conforming * 2 > found.looked
    )


def _told(entry: KnownDivergence, found: Mapping[str, Sequence[str]]) -> str:
    counts = {
        cause: f"{cause} ({len(cases)} {'row' if len(cases) == 1 else 'rows'}, case {min(cases)})"
        for cause, cases in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    }
    if not entry.explanations:
        return (
            f"over-broad, it hides {len(found)} causes: {', '.join(counts.values())}; narrow it, "
            f"or name them: explanation = [{', '.join(repr(each) for each in sorted(found))}]"
        )
    strangers = [text for cause, text in counts.items() if cause not in entry.explanations]
    named = ", ".join(entry.explanations)
    return f"over-broad, it hides {', '.join(strangers)} beside what it names ({named}); narrow it"
