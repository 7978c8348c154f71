"""Runs as pandas frames: read, merged, checked, and written as Parquet and CSV.

``FRAMES`` (in ``columns.py``) documents every column. Several runs may be given: shards of one
campaign, runs of other subjects, other framework versions or other seeds. Rows keep the number of
their run; a subject that ran with several framework versions becomes several *entries*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from bnconform.conformance.record import UNEXPECTED, VerdictKind
from bnconform.reports.columns import FRAMES, documented, rows
from bnconform.reports.errors import DuplicateRecordsError, MixedVersionsError, RunNotFoundError
from bnconform.reports.reading import Run, RunFacts, read_run
from bnconform.reports.words import slug


class Standing(StrEnum):
    """What one row means for its clause; every row has exactly one."""

    CONFORMING = "conforming"
    VACUOUS = "vacuous"
    KNOWN = "known"
    UNEXPECTED = "unexpected"
    UNSUPPORTED = "unsupported"


JUDGED = (Standing.CONFORMING, Standing.KNOWN, Standing.UNEXPECTED)
"""Standings of rows in which something was looked at."""


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Several runs as one. Columns are documented in ``FRAMES``.

    ``directories`` says where each run's arrays and scripts lie, by run number; it is no part of
    the frames, so that equal runs give equal reports wherever they lie.
    """

    records: pd.DataFrame
    cases: pd.DataFrame
    topics: pd.DataFrame
    subjects: pd.DataFrame
    divergences: pd.DataFrame
    causes: pd.DataFrame
    runs: pd.DataFrame
    known: pd.DataFrame
    directories: Mapping[int, Path]

    @property
    def entries(self) -> tuple[str, ...]:
        """The report's columns, sorted; an entry that was unavailable in every run is included."""
        return tuple(sorted(set(self.subjects["entry"])))


def load_runs(paths: Iterable[Path | str]) -> Runs:
    """Read and merge the runs at ``paths``; their order does not matter.

    Raises the errors of :func:`bnconform.reports.reading.read_run`,
    :class:`DuplicateRecordsError` and :class:`MixedVersionsError`.
    """
    runs = sorted((read_run(Path(path)) for path in paths), key=_order)
    if not runs:
        msg = "no run was given: name at least one run directory, see `bnconform run --out`"
        raise RunNotFoundError(msg)
    hosts = {number: run.facts.host for number, run in enumerate(runs, 1)}
    subjects = _with_entries(_stack("subjects", [run.subjects for run in runs]), hosts)
    records = _records(_stack("records", [run.records for run in runs]), subjects, runs)
    divergences = _stack("divergences", [run.divergences for run in runs])
    cases = _stack("cases", [run.cases for run in runs])
    topics = _stack("topics", [run.topics for run in runs])
    facts = [{"run": number, **asdict(run.facts)} for number, run in enumerate(runs, 1)]
    return Runs(
        records=records,
        cases=cases.drop_duplicates("case_id").sort_values("case_id", ignore_index=True),
        topics=topics.drop_duplicates("case_id").sort_values("case_id", ignore_index=True),
        subjects=subjects,
        divergences=_divergences(divergences, subjects),
        causes=_causes(_stack("causes", [run.causes for run in runs]), subjects),
        runs=documented("runs", pd.DataFrame(facts)),
        known=_known(runs, records),
        directories={number: run.path for number, run in enumerate(runs, 1)},
    )


def write_frames(frames: Mapping[str, pd.DataFrame], out: Path) -> None:
    """Write each frame into the folder ``out`` as Parquet and CSV, and README.md beside them."""
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.to_parquet(out / f"{name}.parquet", index=False)
        frame.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
    (out / "README.md").write_text(_readme(frames), encoding="utf-8")


def _order(run: Run) -> tuple[str, ...]:
    """A key made of what the run says, so that the order of the paths does not show."""
    facts: RunFacts = run.facts
    return (facts.created, facts.arguments, facts.shard, facts.versions, facts.machine)


def _stack(name: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of several runs below each other, with the number of the run where documented."""
    numbered = [frame.assign(run=number) for number, frame in enumerate(frames, 1)]
    # Empty frames have no types of their own and would turn numbers of the others into objects.
    filled = [frame for frame in numbered if len(frame)] or numbered[:1]
    stacked = pd.concat(filled, ignore_index=True)
    return stacked if "run" in FRAMES[name] else stacked.drop(columns="run")


def _with_entries(subjects: pd.DataFrame, hosts: Mapping[int, str]) -> pd.DataFrame:
    """Name the report's columns: a subject, told from its namesakes by what differs.

    That is the version, the device, or the host: the same framework on another processor or
    another Python may answer differently, and is a result of its own.
    """
    labels: dict[tuple[object, ...], str] = {}
    for name, group in subjects.groupby("subject"):
        ran = group[group["available"]]
        found = sorted({(row.version, row.device, hosts[row.run]) for row in rows(ran)})
        differs = [len({each[part] for each in found}) > 1 for part in range(3)]
        for traits in found:
            told = [str(trait) for trait, apart in zip(traits, differs, strict=True) if apart]
            labels[name, *traits] = " ".join([str(name), *told])
    # A subject that was unavailable has no version and keeps its plain name. That is also its entry
    # in a run in which it was available, unless several versions ran: then nobody can tell which.
    entries = [
        labels.get((row.subject, row.version, row.device, hosts[row.run]), row.subject)
        for row in rows(subjects)
    ]
    ordered = subjects.assign(entry=entries).sort_values(["entry", "run"], ignore_index=True)
    return documented("subjects", ordered)


def _records(records: pd.DataFrame, subjects: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    described = subjects[["run", "subject", "entry", "version"]]
    merged = records.merge(described, on=["run", "subject"], how="left")
    _check_versions(merged)
    campaigns = {number: run.facts.campaign for number, run in enumerate(runs, 1)}
    _check_duplicates(merged.assign(campaign=merged["run"].map(campaigns)))
    merged = merged.drop(columns="version").assign(standing=_standing(merged))
    keys = ["entry", "clause", "case_id", "quantity", "step", "run"]
    return documented("records", merged.sort_values(keys, ignore_index=True))


def _standing(records: pd.DataFrame) -> pd.Series[str]:
    """The :class:`Standing` of each row."""
    wrong = records["verdict"].isin(UNEXPECTED)
    standing = np.select(
        [
            wrong & (records["known"] != ""),
            wrong,
            records["verdict"] == VerdictKind.UNSUPPORTED,
            records["vacuous"],
        ],
        [Standing.KNOWN.value, Standing.UNEXPECTED.value, Standing.UNSUPPORTED.value,
         Standing.VACUOUS.value],
        default=Standing.CONFORMING.value,
    )  # fmt: skip
    return pd.Series(standing, index=records.index, dtype="str")


def _check_versions(records: pd.DataFrame) -> None:
    # A worker that died before its import has no version to tell.
    said = records["framework_version"] != ""
    wrong = records[said & (records["framework_version"] != records["version"])]
    for row in rows(wrong):
        msg = (
            f"run {row.run} says that {row.subject} has version {row.version}, but holds rows of "
            f"version {row.framework_version}; a run must not be resumed with another version: "
            f"run it again"
        )
        raise MixedVersionsError(msg)


def _check_duplicates(records: pd.DataFrame) -> None:
    """Refuse rows that are in two parts of one campaign, or twice in one part.

    Other campaigns (another seed or profile) may share cases: those were looked at again.
    """
    columns = ["campaign", "entry", "case_id", "clause", "quantity", "step"]
    twice = records[records.duplicated(columns, keep=False)]
    for _, group in twice.groupby(columns):
        first = next(iter(rows(group)))
        runs = sorted(set(group["run"]))
        msg = (
            f"{first.entry}, case {first.case_id}, clause {first.clause}, {first.quantity} is in "
            f"the records more than once (run {' and '.join(map(str, runs))}, by creation time); "
            f"give each part of a campaign once, and compare repeated runs with `bnconform diff`"
        )
        raise DuplicateRecordsError(msg)


def _divergences(divergences: pd.DataFrame, subjects: pd.DataFrame) -> pd.DataFrame:
    merged = divergences.merge(subjects[["run", "subject", "entry"]], on=["run", "subject"])
    repeated = merged.duplicated("id", keep=False)
    names = merged["id"].where(~repeated, "run" + merged["run"].astype("str") + "-" + merged["id"])
    merged = merged.assign(page=[f"divergences/{slug(str(name))}" for name in names])
    ordered = merged.sort_values(["entry", "clause", "id", "run"], ignore_index=True)
    return documented("divergences", ordered)


def _causes(causes: pd.DataFrame, subjects: pd.DataFrame) -> pd.DataFrame:
    """The causes of each entry, those that account for most rows first."""
    merged = causes.merge(subjects[["run", "subject", "entry"]], on=["run", "subject"])
    order, ascending = (
        ["entry", "count", "name", "clauses", "where", "run"],
        [True, False, *[True] * 4],
    )
    return documented("causes", merged.sort_values(order, ascending=ascending, ignore_index=True))


def _known(runs: Sequence[Run], records: pd.DataFrame) -> pd.DataFrame:
    """Known divergences of all runs; where runs differ in an entry's text, the newest counts."""
    stacked = pd.concat([run.known for run in runs], ignore_index=True)
    known = stacked.drop_duplicates("id", keep="last").sort_values("id", ignore_index=True)
    used = records[records["standing"] == Standing.KNOWN].groupby("known").size()
    covered = [int(used.get(name, 0)) for name in known["id"]]
    stale = {name for run in runs for name in run.facts.stale_known.split(";")}
    today = max(run.facts.created for run in runs)[:10]
    state = [
        "past its review date" if "" < entry.review_by < today
        else "in use" if count
        else "stale: it covers nothing" if entry.id in stale
        else "not reached by these runs"
        for entry, count in zip(rows(known), covered, strict=True)
    ]  # fmt: skip
    return documented("known", known.assign(rows=covered, state=state))


def _readme(frames: Mapping[str, pd.DataFrame]) -> str:
    """The data dictionary as Markdown."""
    lines = ["# Data of this report", "", "Each table as Parquet and as CSV.", ""]
    for name, frame in frames.items():
        lines += [f"## {name}", "", f"{len(frame)} rows.", "", "| column | meaning |", "|---|---|"]
        # A bar would end the table's cell.
        lines += [f"| {column} | {text.replace('|', chr(92) + '|')} |"
                  for column, text in FRAMES[name].items()]  # fmt: skip
        lines.append("")
    return "\n".join(lines)


__all__ = ["FRAMES", "JUDGED", "Runs", "Standing", "load_runs", "write_frames"]
