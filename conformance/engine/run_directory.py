"""A run directory: what was asked, the rows as they come, and a footer that closes it.

Parts appear complete or not at all (written beside and renamed), so a killed run loses at most
the units it was working on, and ``--resume`` does those again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ..case import Case
from ..cases.corners import corners_of
from ..record import Record
from ..topic import Topic

RUN_FORMAT = "bn-run/1"


class RunDirectoryError(Exception):
    """A run directory that cannot be used as asked; the text says what to do."""


class RunDirectory:
    """Writes one run. Create it with :meth:`create` or :meth:`resume`."""

    def __init__(self, path: Path) -> None:
        """Wrap ``path``; nothing is read or written yet."""
        self.path = path
        self.records = path / "records"
        self.divergences = path / "divergences"
        self.explanations = path / "explanations"

    @classmethod
    def create(
        cls,
        path: Path,
        manifest: Mapping[str, Any],
        cases: Sequence[Case],
        topics: Sequence[Topic] = (),
    ) -> RunDirectory:
        """A new run at ``path``, which must not hold anything yet.

        ``topics`` are what is asked besides cases.
        """
        run = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if (path / "manifest.json").exists():
                msg = f"{path} already holds a run; --resume continues it, or choose another --out"
                raise RunDirectoryError(msg)
            if any(path.iterdir()):
                msg = f"{path} is not empty and holds no run; choose another --out"
                raise RunDirectoryError(msg)
            run.records.mkdir()
            run.divergences.mkdir()
            run.explanations.mkdir()
        except OSError as error:
            msg = f"cannot write to {path}: {error.strerror}; choose another --out"
            raise RunDirectoryError(msg) from error
        lines = (
            json.dumps({"id": case.id, "case": case.to_dict(), "corners": corners_of(case)})
            for case in cases
        )
        write_atomically(path / "cases.jsonl", "".join(f"{line}\n" for line in lines))
        others = (json.dumps({"id": topic.id, "told": dict(topic.told)}) for topic in topics)
        write_atomically(path / "topics.jsonl", "".join(f"{line}\n" for line in others))
        write_json(path / "manifest.json", manifest)
        return run

    @classmethod
    def resume(cls, path: Path, manifest: Mapping[str, Any]) -> RunDirectory:
        """Continue the run at ``path``, which must have been asked for the same on the same."""
        run = cls(path)
        try:
            before = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            msg = f"{path} holds no run to resume; leave --resume out to start one"
            raise RunDirectoryError(msg) from None
        except (OSError, ValueError) as error:
            msg = f"cannot read {path / 'manifest.json'}: {error}; start anew in another --out"
            raise RunDirectoryError(msg) from error
        for key in ("format", "arguments", "versions", "subjects", "known", "topics"):
            if before.get(key) != json.loads(json.dumps(manifest[key])):
                msg = f"cannot resume {path}: its {key} differ from now; choose another --out"
                raise RunDirectoryError(msg)
        for leftover in path.glob("**/*.tmp"):
            leftover.unlink()
        (path / "footer.json").unlink(missing_ok=True)
        return run

    def part(self, subject: str, block: int) -> Path:
        """Where the rows of one unit of work are."""
        return self.records / f"{subject.replace('@', '-at-')}-{block:05d}.parquet"

    def explanation(self, subject: str) -> Path:
        """Where the causes of one subject's divergences are."""
        return self.explanations / f"{subject.replace('@', '-at-')}.json"

    def records_of(self, subject: str) -> pd.DataFrame:
        """All rows of one subject written so far, in a fixed order."""
        frame = self.read_records(f"{subject.replace('@', '-at-')}-[0-9][0-9][0-9][0-9][0-9]")
        return frame[frame["subject"] == subject]

    def write_part(self, path: Path, rows: Iterable[Record]) -> None:
        """Write one unit's rows, complete or not at all."""
        frame = pd.DataFrame([asdict(row) for row in rows], columns=list(Record.__annotations__))
        temporary = path.with_suffix(".tmp")
        frame.to_parquet(temporary, index=False)
        temporary.replace(path)

    def read_records(self, name: str = "*") -> pd.DataFrame:
        """All rows written so far in parts that are called ``name``, in a fixed order."""
        parts = list(self.read_parts(name))
        return pd.concat(parts, ignore_index=True) if parts else self.no_records()

    def read_parts(self, name: str = "*") -> Iterator[pd.DataFrame]:
        """The same part by part."""
        for path in sorted(self.records.glob(f"{name}.parquet")):
            yield pd.read_parquet(path)

    @staticmethod
    def no_records() -> pd.DataFrame:
        """The columns of records, and no row."""
        return pd.DataFrame(columns=list(Record.__annotations__))

    def close(self, footer: Mapping[str, Any]) -> None:
        """Write the footer: from now on the run is complete."""
        write_json(self.path / "footer.json", footer)


def write_json(path: Path, data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write ``data`` as indented JSON, complete or not at all."""
    write_atomically(path, json.dumps(data, indent=1, sort_keys=True) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` beside ``path`` and rename."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
