"""In what two runs are not alike, before any result is compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bnconform.reports.columns import rows
from bnconform.reports.frames import Runs
from bnconform.reports.shards import missing_shards

_NEVER_COMPARED = {"shard", "subjects"}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """``what`` differs: in run A it is ``before``, in run B ``after``; '' where it is absent."""

    what: str
    before: str
    after: str
    note: str = ""


def differences(before: Runs, after: Runs) -> tuple[Difference, ...]:
    """Versions, machines, arguments, shards, subjects and cases that differ."""
    return (
        *_versions(before, after),
        *_machines(before, after),
        *_arguments(before, after),
        *_shards(before, after),
        *_subjects(before, after),
        *_cases(before, after),
    )


def _versions(before: Runs, after: Runs) -> Iterator[Difference]:
    """The subjects' own versions first, as they said them; then those of all packages."""
    merged = _described(before).merge(
        _described(after), on=["subject", "framework"], suffixes=("_a", "_b")
    )
    moved = merged[merged["version_a"] != merged["version_b"]]
    told = set()
    for (framework, old, new), group in moved.groupby(["framework", "version_a", "version_b"]):
        told.add(str(framework))
        note = ", ".join(sorted(group["subject"]))
        yield Difference(what=str(framework), before=str(old), after=str(new), note=note)
    old_packages, new_packages = _packages(before), _packages(after)
    for name in sorted({*old_packages, *new_packages} - told, key=lambda each: (each != _US, each)):
        pair = old_packages.get(name, ""), new_packages.get(name, "")
        if pair[0] != pair[1]:
            yield Difference(what=name, before=pair[0], after=pair[1])


_US = "bnconform"


def _described(runs: Runs) -> pd.DataFrame:
    ran = runs.subjects[runs.subjects["available"]]
    return ran[["subject", "framework", "version"]].drop_duplicates()


def _packages(runs: Runs) -> dict[str, str]:
    """Versions by package; where shards differ, all of them."""
    found: dict[str, set[str]] = {}
    for text in runs.runs["versions"]:
        for name, version in json.loads(text).items():
            found.setdefault(name, set()).add(str(version))
    return {name: " and ".join(sorted(versions)) for name, versions in found.items()}


def _machines(before: Runs, after: Runs) -> Iterator[Difference]:
    old, new = (" and ".join(sorted(set(runs.runs["host"]))) for runs in (before, after))
    if old != new:
        yield Difference(what="machine", before=old, after=new)


def _arguments(before: Runs, after: Runs) -> Iterator[Difference]:
    old, new = (_asked(runs) for runs in (before, after))
    for name in sorted({*old, *new} - _NEVER_COMPARED):
        if old.get(name) != new.get(name):
            pair = str(old.get(name, "")), str(new.get(name, ""))
            yield Difference(what=f"--{name}", before=pair[0], after=pair[1])


def _asked(runs: Runs) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runs.runs["arguments"].iloc[0])
    return found


def _shards(before: Runs, after: Runs) -> Iterator[Difference]:
    old, new = missing_shards(before), missing_shards(after)
    if old or new:
        yield Difference(what="shards", before=old or "all", after=new or "all")


def _subjects(before: Runs, after: Runs) -> Iterator[Difference]:
    old, new = _states(before), _states(after)
    for name in sorted({*old, *new}):
        pair = old.get(name, "not asked"), new.get(name, "not asked")
        if pair[0] != pair[1]:
            yield Difference(what=name, before=pair[0], after=pair[1])


def _states(runs: Runs) -> dict[str, str]:
    states: dict[str, str] = {}
    for row in rows(runs.subjects.sort_values("available")):
        states[row.subject] = "available" if row.available else f"unavailable: {row.reason}"
    return states


def _cases(before: Runs, after: Runs) -> Iterator[Difference]:
    old, new = ({*runs.cases["case_id"], *runs.topics["case_id"]} for runs in (before, after))
    if old != new:
        yield Difference(
            what="cases",
            before=f"{len(old):,}",
            after=f"{len(new):,}",
            note=f"{len(old - new):,} only in A, {len(new - old):,} only in B",
        )
