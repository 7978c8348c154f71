"""A run directory: what was asked, the rows as they come, and a footer that closes it.

Parts appear complete or not at all (written beside and renamed), so a killed run loses at most
the units it was working on, and ``--resume`` does those again, and those whose part was damaged
since. One run at a time writes to a directory.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
        self._lock: int | None = None

    def _take(self) -> None:
        """Keep other runs out, until :meth:`release` or the end of this process."""
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            msg = f"another run is writing to {self.path}; wait for it, or choose another --out"
            raise RunDirectoryError(msg) from None

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
            run._take()
            if (path / "manifest.json").exists():
                msg = f"{path} already holds a run; --resume continues it, or choose another --out"
                raise RunDirectoryError(msg)
            if not _barely_begun(path):
                msg = f"{path} is not empty and holds no run; choose another --out"
                raise RunDirectoryError(msg)
            for folder in (run.records, run.divergences, run.explanations):
                folder.mkdir(exist_ok=True)
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
        run._take()
        for leftover in path.glob("**/*.tmp"):
            leftover.unlink()
        (path / "footer.json").unlink(missing_ok=True)
        run._drop_damaged()
        return run

    def _drop_damaged(self) -> None:
        """Remove what cannot be read back, so that it is made again."""
        for part in self.records.glob("*.parquet"):
            try:
                pq.read_table(part, page_checksum_verification=True)
            except (OSError, pa.ArrowException):
                part.unlink()
        bundles = self.divergences.glob("*/divergence.json")
        for path in (*self.explanations.glob("*.json"), *bundles):
            try:
                json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                path.unlink()

    def part(self, subject: str, block: int) -> Path:
        """Where the rows of one unit of work are."""
        return self.records / f"{subject.replace('@', '-at-')}-{block:05d}.parquet"

    def explanation(self, subject: str) -> Path:
        """Where the causes of one subject's divergences are."""
        return self.explanations / f"{subject.replace('@', '-at-')}.json"

    def records_of(self, subject: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """All rows of one subject written so far, in a fixed order, or some of their columns."""
        frame = self.read_records(f"{subject.replace('@', '-at-')}-[0-9]*", columns)
        return frame[frame["subject"] == subject]

    def write_part(self, path: Path, rows: Iterable[Record]) -> None:
        """Write one unit's rows, complete or not at all."""
        frame = pd.DataFrame.from_records(list(rows), columns=list(Record._fields))
        with writing(path) as temporary:
            frame.to_parquet(temporary, index=False, write_page_checksum=True)

    def read_records(self, name: str = "*", columns: Sequence[str] | None = None) -> pd.DataFrame:
        """All rows written so far in parts that are called ``name``, in a fixed order."""
        parts = list(self.read_parts(name, columns))
        return pd.concat(parts, ignore_index=True) if parts else self.no_records()

    def read_parts(
        self, name: str = "*", columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """The same part by part."""
        for path in sorted(self.records.glob(f"{name}.parquet")):
            yield pd.read_parquet(path, columns=None if columns is None else list(columns))

    @staticmethod
    def no_records() -> pd.DataFrame:
        """The columns of records, and no row."""
        return pd.DataFrame(columns=list(Record._fields))

    def close(self, footer: Mapping[str, Any]) -> None:
        """Write the footer: from now on the run is complete."""
        write_json(self.path / "footer.json", footer)

    def release(self) -> None:
        """Let other runs write here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _barely_begun(path: Path) -> bool:
    """Whether ``path`` holds nothing but what a run writes before its manifest, or not even that.

    A run that was killed that early can neither be resumed nor need it.
    """
    left = {each.name: each for each in path.iterdir()}
    for name in ("records", "divergences", "explanations"):
        folder = left.pop(name, None)
        if folder is not None and any(folder.iterdir()):
            return False
    stems = ("cases", "topics", "manifest")
    return {each.stem for each in left.values()} <= set(stems) and {
        each.suffix for each in left.values()
    } <= {".jsonl", ".tmp"}


def write_json(path: Path, data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write ``data`` as indented JSON, complete or not at all."""
    write_atomically(path, json.dumps(data, indent=1, sort_keys=True) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, complete or not at all."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which then takes its place.

    Raises :class:`RunDirectoryError` where that cannot be written; what is there stays.
    """
    temporary = path.with_suffix(".tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            # Else a power cut can leave a name without content.
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        msg = (
            f"cannot write {path}: {error.strerror or error}; what was written before is kept: "
            "mend that, and continue with --resume"
        )
        raise RunDirectoryError(msg) from error
