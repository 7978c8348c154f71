"""Reading and writing the corpus: ``cases/*.jsonl``, one JSON object a line.

A line holds a case and what it was found for: the subject and its version, the clause, quantity,
verdict and cause that it showed, the known divergence that covered it, the day, and a sentence.
What a subject makes of the case today is for a run to say; the line only says why it is kept.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ..case import Case, InvalidCaseError
from ..clauses import BY_ID
from ..record import UNEXPECTED

CORPUS_FORMAT = "bn-corpus/1"


class CorpusError(ValueError):
    """A line that cannot be understood; the text names file, line and field."""


@dataclass(frozen=True, kw_only=True)
class CorpusEntry:
    """One frozen case, and what it was found for; ``known`` is '' where no entry covered it."""

    case: Case
    subject: str
    version: str
    clause: str
    quantity: str
    verdict: str
    cause: str
    known: str
    date: datetime.date
    sentence: str

    @property
    def rank(self) -> tuple[int, int, int, str, str, str, str]:
        """Order from simple to complicated; equal only for equal entries of one divergence."""
        case = self.case
        return (
            case.steps, math.prod(case.shape), case.rank, case.id,
            self.subject, self.quantity, self.clause,
        )  # fmt: skip

    def to_json(self) -> str:
        """The entry's line."""
        data: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        data |= {
            "format": CORPUS_FORMAT,
            "case": self.case.to_dict(),
            "date": self.date.isoformat(),
        }
        return json.dumps(data, sort_keys=True, allow_nan=False, ensure_ascii=False)


def load_corpus(folder: Path | None = None) -> tuple[Case, ...]:
    """Every case once, simple ones first; what :func:`load_entries` says holds here too."""
    entries = load_entries(folder)
    return tuple({entry.case.id: entry.case for entry in entries}.values())


def load_entries(folder: Path | None = None) -> tuple[CorpusEntry, ...]:
    """All entries under ``folder`` (the package's own by default), simple cases first.

    Raises :class:`CorpusError` for a malformed line or one that is there twice.
    """
    root: Traversable = folder or resources.files(__package__).joinpath("cases")
    found: dict[tuple[int, int, int, str, str, str, str], str] = {}
    entries: list[CorpusEntry] = []
    paths = (path for path in root.iterdir() if path.name.endswith(".jsonl"))
    for path in sorted(paths, key=lambda each: each.name):
        for number, entry in _numbered(path):
            if entry.rank in found:
                msg = f"{path.name}, line {number}: repeats {found[entry.rank]}; remove one"
                raise CorpusError(msg)
            found[entry.rank] = f"{path.name}, line {number}"
            entries.append(entry)
    return tuple(sorted(entries, key=lambda entry: entry.rank))


def read_entries(path: Traversable) -> tuple[CorpusEntry, ...]:
    """The entries of one file in its order; :class:`CorpusError` for a malformed line."""
    return tuple(entry for _, entry in _numbered(path))


def write_entries(path: Path, entries: Iterable[CorpusEntry]) -> None:
    """Write ``entries`` to ``path``, simple cases first, each once."""
    by_rank = {entry.rank: entry for entry in entries}
    lines = [by_rank[rank].to_json() + "\n" for rank in sorted(by_rank)]
    path.write_text("".join(lines), encoding="utf-8")


def _numbered(path: Traversable) -> list[tuple[int, CorpusEntry]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append((number, _entry(line)))
        except (CorpusError, InvalidCaseError) as error:
            msg = f"{path.name}, line {number}: {error}"
            raise CorpusError(msg) from error
    return found


_NAMES = {"format", *(field.name for field in fields(CorpusEntry))}


def _entry(line: str) -> CorpusEntry:
    data = _object(line)
    case = Case.from_dict(data.pop("case"))
    try:
        date = datetime.date.fromisoformat(data.pop("date"))
    except (TypeError, ValueError) as error:
        msg = f"date must be one like 2026-11-21: {error}"
        raise CorpusError(msg) from error
    entry = CorpusEntry(case=case, date=date, **data)
    if entry.clause not in BY_ID:
        msg = f"clause: unknown {entry.clause!r}; `bnconform spec` lists them"
        raise CorpusError(msg)
    if entry.verdict not in UNEXPECTED:
        verdicts = ", ".join(sorted(kind.value for kind in UNEXPECTED))
        msg = f"verdict must be one of {verdicts}, got {entry.verdict!r}"
        raise CorpusError(msg)
    return entry


def _object(line: str) -> dict[str, Any]:
    """The line's fields but for 'format'; the case is an object and the rest is text."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        msg = f"must be one JSON object: {error}"
        raise CorpusError(msg) from error
    if not isinstance(data, dict) or data.get("format") != CORPUS_FORMAT:
        msg = f"must be a JSON object with 'format': {CORPUS_FORMAT!r}"
        raise CorpusError(msg)
    if set(data) != _NAMES:
        msg = (
            f"lacks {sorted(_NAMES - set(data))} and has unknown {sorted(set(data) - _NAMES)}; "
            f"the fields are {', '.join(sorted(_NAMES))}"
        )
        raise CorpusError(msg)
    del data["format"]
    wrong = [name for name, value in data.items() if isinstance(value, str) == (name == "case")]
    if wrong or not isinstance(data["case"], dict):
        msg = f"'case' must be an object and the rest text, got otherwise: {', '.join(wrong)}"
        raise CorpusError(msg)
    return data
