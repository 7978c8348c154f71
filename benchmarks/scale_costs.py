"""What cases cost, subject by subject, as the rows and files of a finished run tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

COLUMNS = ["subject", "case_id", "signature", "seconds"]

GROWS_FROM = 8
"""Cases from which on a signature has more of them in a larger plan. The others are the corpus's,
and those of which the plan demands only a few because they are large."""


@dataclass(frozen=True, kw_only=True)
class SignatureCost:
    """One signature, put to one subject; seconds of the framework, without the second runs.

    ``first`` and ``pairs`` are what the first call took beyond ``repeat``, and the first calls
    with another pair of epsilon and decay together; ``repeat`` is one of the others.
    """

    cases: int
    asked: int
    first: float = 0.0
    pairs: float = 0.0
    repeat: float = 0.0

    @property
    def share(self) -> float:
        """Of the cases, those that were asked."""
        return self.asked / self.cases

    @property
    def grows(self) -> bool:
        """Whether a larger plan has more cases of it."""
        return self.cases >= GROWS_FROM

    @property
    def once(self) -> float:
        """Seconds that it costs however many cases it has."""
        return self.first + self.pairs


@dataclass(frozen=True, kw_only=True)
class SubjectCost:
    """What a run tells of one subject.

    ``signatures`` are in the same order for all subjects; ``others`` is the number of questions
    that are not about cases, ``other_seconds`` what they took; ``attribution`` is the time between
    the last part and the causes.
    """

    name: str
    signatures: tuple[SignatureCost, ...]
    records: int
    bytes: int
    others: int
    other_seconds: float
    attribution: float

    @property
    def growing(self) -> tuple[SignatureCost, ...]:
        """The signatures of which a larger plan has more cases."""
        return tuple(each for each in self.signatures if each.grows)

    @property
    def rare(self) -> tuple[SignatureCost, ...]:
        """The others."""
        return tuple(each for each in self.signatures if not each.grows)

    @property
    def cases(self) -> int:
        """All cases of the run."""
        return sum(each.cases for each in self.signatures)

    @property
    def asked(self) -> int:
        """Those within the subject's reach."""
        return sum(each.asked for each in self.signatures)

    @property
    def rows_of_asked(self) -> float:
        """Rows of a case that was asked; one that was not has one row."""
        about_cases = self.records - self.others - (self.cases - self.asked)
        return max(about_cases, 0) / self.asked if self.asked else 0.0


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """What a run directory tells: its subjects, and the bytes of what is kept besides records.

    ``diverging`` is the share of the rows that do not conform, known ones among them.
    """

    subjects: tuple[SubjectCost, ...]
    cases: int
    signatures: int
    records: int
    diverging: float
    parts: int
    case_bytes: float
    divergence_bytes: int
    machine: Mapping[str, Any]
    seconds: float


def read_costs(run: Path) -> RunCost:
    """The costs that the closed run directory ``run`` shows."""
    footer = json.loads((run / "footer.json").read_text(encoding="utf-8"))
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    cases = _cases(run / "cases.jsonl")
    parts = sorted((run / "records").glob("*.parquet"))
    rows = _rows(parts)
    subjects = tuple(
        _subject(run, str(name), mine, cases, footer["records"][name])
        for name, mine in rows.groupby("subject", sort=False)
    )
    return RunCost(
        subjects=tuple(sorted(subjects, key=lambda each: each.name)),
        cases=len(cases),
        signatures=len(subjects[0].signatures),
        records=sum(footer["records"].values()),
        diverging=(footer["known"] + footer["unexpected"]) / sum(footer["records"].values()),
        parts=len(parts),
        case_bytes=(run / "cases.jsonl").stat().st_size / len(cases),
        divergence_bytes=_size_of(run / "divergences"),
        machine=manifest["machine"],
        seconds=footer["seconds"],
    )


def _cases(path: Path) -> pd.DataFrame:
    """Of every case its place in the plan and what some subjects build a graph for."""
    found = []
    with path.open(encoding="utf-8") as lines:
        for place, line in enumerate(lines):
            told = json.loads(line)
            case = told["case"]
            found.append((told["id"], place, f"{case.get('epsilon')} {case.get('decay')}"))
    frame: pd.DataFrame = pd.DataFrame(found, columns=["case_id", "place", "pair"])
    return frame.set_index("case_id")


def _rows(parts: Sequence[Path]) -> pd.DataFrame:
    """One row for each topic and subject."""
    frames: list[pd.DataFrame] = [
        pq.read_table(part, columns=COLUMNS).to_pandas().drop_duplicates("case_id")
        for part in parts
    ]
    return pd.concat(frames, ignore_index=True)


def _subject(
    run: Path, name: str, rows: pd.DataFrame, cases: pd.DataFrame, records: int
) -> SubjectCost:
    mine = rows.join(cases, on="case_id")
    others = mine[mine["place"].isna()]
    about = mine[mine["place"].notna()].sort_values("place")
    stem = name.replace("@", "-at-")
    parts = sorted((run / "records").glob(f"{stem}-[0-9]*.parquet"))
    return SubjectCost(
        name=name,
        signatures=tuple(_signatures(about)),
        records=records,
        bytes=sum(part.stat().st_size for part in parts),
        others=len(others),
        other_seconds=float(others["seconds"].sum()),
        attribution=_attribution(run / "explanations" / f"{stem}.json", parts),
    )


def _attribution(explanation: Path, parts: Sequence[Path]) -> float:
    """Seconds from the subject's last part to its causes, which are found after it."""
    last = max(part.stat().st_mtime for part in parts)
    return max(explanation.stat().st_mtime - last, 0.0) if explanation.exists() else 0.0


def _signatures(cases: pd.DataFrame) -> list[SignatureCost]:
    asked = cases[cases["seconds"] > 0]
    repeats = asked[asked.duplicated(["signature", "pair"])]
    usual = float(repeats["seconds"].median()) if len(repeats) else 0.0
    return [_signature(mine, usual) for _, mine in cases.groupby("signature", sort=True)]


def _signature(cases: pd.DataFrame, usual: float) -> SignatureCost:
    """Its costs; ``usual`` is what a repeat takes where none was seen."""
    asked = cases[cases["seconds"] > 0]
    if asked.empty:
        return SignatureCost(cases=len(cases), asked=0)
    again = asked.duplicated("pair")
    repeats = asked.loc[again, "seconds"]
    firsts = asked.loc[~again, "seconds"]
    repeat = float(repeats.mean()) if len(repeats) else min(usual, float(firsts.min()))
    beyond = (firsts - repeat).clip(lower=0.0)
    return SignatureCost(
        cases=len(cases),
        asked=len(asked),
        first=float(beyond.iloc[0]),
        pairs=float(beyond.iloc[1:].sum()),
        repeat=repeat,
    )


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
