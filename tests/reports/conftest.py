"""Synthetic run directories: small, complete, and with one cell of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.clauses import Clause, Level
from bnconform.conformance.formats import DType
from bnconform.conformance.record import UNEXPECTED, Record
from bnconform.reports import build_report

HOSTILE = "<script>alert('x')</script> \"quoted\" & <b>bold</b>"
"""What a framework could print; it must arrive on the page as text."""


def make_clause(name: str, section: str, level: Level = Level.MUST) -> Clause:
    """A clause that says its own name."""
    return Clause(
        id=name,
        section=section,
        level=level,
        statement=f"What {name} requires.",
        equation="batch_mean" if name == "BN-Y-1" else "",
        source="a test",
    )


CLAUSES = (
    make_clause("BN-Y-1", "Forward"),
    make_clause("BN-VAR-1", "Forward"),
    make_clause("BN-HALF-1", "Forward", Level.SHOULD),
    make_clause("BN-CALL-1", "Calls"),
    make_clause("BN-NEVER-1", "Calls", Level.MAY),
)


def make_case(*, kind: FillKind = FillKind.NORMAL, seed: int = 1, **changes: Any) -> Case:
    """A small case; ``changes`` are its fields."""
    offset = 1e4 if kind is FillKind.OFFSET else 0.0
    plain = Case(
        shape=(4, 3, 2),
        last_batch=4,
        feature_axes=(1,),
        dtype=DType.FLOAT32,
        layout=Layout.CONTIGUOUS,
        upstream_layout=Layout.CONTIGUOUS,
        center=True,
        scale=True,
        mode=Mode.TRAIN,
        steps=1,
        epsilon=1e-3,
        decay=0.9,
        fill=Fill(kind=kind, seed=seed, offset=offset),
    )
    return replace(plain, **changes)


def make_record(subject: str, case: Case, clause: str, **changes: Any) -> Record:
    """A row that conforms, with ``changes``."""
    plain = Record(
        subject=subject,
        framework=subject.partition(".")[0],
        framework_version="1.0",
        device="cpu",
        case_id=case.id,
        clause=clause,
        quantity="y",
        verdict="conforms",
        known="",
        cause="",
        error_ratio=0.25,
        max_abs_error=1e-8,
        max_ulp=1.0,
        bound=4e-8,
        vacuous=False,
        seconds=0.01,
        step=0,
        worst_index="0,1,1",
        expected=1.0,
        got=1.00000001,
        judged_elements=24,
        vacuous_elements=0,
        message="",
        mode=case.mode,
        dtype=case.dtype,
        fill=case.fill.kind,
        rank=case.rank,
        smallest_count=case.smallest_count,
        signature=case.signature,
    )
    return plain._replace(**changes)


def make_subject(name: str, **changes: Any) -> dict[str, Any]:
    """A subject as the manifest describes it."""
    return {
        "name": name,
        "available": True,
        "reason": "",
        "framework": name.partition(".")[0],
        "version": "1.0",
        "device": "cpu",
        "dialect": {"momentum": {"value": "decay", "source": "its manual"}},
        "capabilities": {"dtypes": ["float32"], "cumulative": True, "notes": {}},
        **changes,
    }


def make_divergence(name: str, record: Record, case: Case, **changes: Any) -> dict[str, Any]:
    """A divergence as its folder describes it, made from the row that it explains."""
    taken = (
        "subject", "clause", "quantity", "verdict", "cause", "known", "case_id", "step",
        "worst_index", "expected", "got", "bound", "error_ratio", "message",
    )  # fmt: skip
    return {
        "id": name,
        **{key: getattr(record, key) for key in taken},
        "count": 1,
        "case": case.to_dict(),
        "output": f"warning: {HOSTILE}",
        "versions": {"numpy": "2.4.6"},
        **changes,
    }


@dataclass(kw_only=True)
class SyntheticRun:
    """What to write as a run directory; tests change it before they write it."""

    subjects: list[dict[str, Any]] = field(default_factory=list)
    cases: dict[str, tuple[Case, list[str]]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    divergences: list[dict[str, Any]] = field(default_factory=list)
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    stale_known: list[str] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    created: str = "2026-11-21T05:00:00Z"

    case = staticmethod(make_case)
    row = staticmethod(make_record)
    subject = staticmethod(make_subject)
    divergence = staticmethod(make_divergence)

    def add_case(self, case: Case, *corners: str) -> Case:
        """Put a case into the run."""
        self.cases[case.id] = (case, list(corners))
        return case

    def manifest(self) -> dict[str, Any]:
        """The manifest's content."""
        return {
            "format": "bn-run/1",
            "arguments": {
                "subjects": [subject["name"] for subject in self.subjects],
                "cases": 500,
                "profile": "quick",
                "seed": 0,
                "shard": [1, 1],
                **self.arguments,
            },
            "versions": {"bnconform": "0.1.0", "python": "3.11.2", "numpy": "2.4.6"},
            "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
            "created": self.created,
            "subjects": self.subjects,
            "known": self.known,
        }

    def footer(self) -> dict[str, Any]:
        """The footer that belongs to the records."""
        frame = pd.DataFrame(self.records, columns=_COLUMNS)
        unexpected = frame["verdict"].isin(UNEXPECTED) & (frame["known"] == "")
        return {
            "format": "bn-run/1",
            "records": {str(k): int(n) for k, n in frame["subject"].value_counts().items()},
            "counts": {str(k): int(n) for k, n in frame["verdict"].value_counts().items()},
            "known": int((frame["known"] != "").sum()),
            "vacuous": int(frame["vacuous"].sum()),
            "unexpected": int(unexpected.sum()),
            "stale_known": self.stale_known,
            "exit_status": int(bool(unexpected.any())),
            "seconds": 12.5,
        }

    def write(self, path: Path) -> Path:
        """Write everything below ``path``, which is given back."""
        (path / "records").mkdir(parents=True)
        _dump(path / "manifest.json", self.manifest())
        lines = [
            json.dumps({"id": name, "case": case.to_dict(), "corners": corners})
            for name, (case, corners) in self.cases.items()
        ]
        (path / "cases.jsonl").write_text("".join(f"{line}\n" for line in lines))
        # Two parts, as a run that goes on writes them.
        for number, start in enumerate((0, 3)):
            part = self.records[start : start + 3] if not number else self.records[start:]
            frame = pd.DataFrame(part, columns=_COLUMNS)
            frame.to_parquet(path / "records" / f"part-{number}.parquet")
        for divergence in self.divergences:
            _write_divergence(path / "divergences" / divergence["id"], divergence)
        _dump(path / "footer.json", self.footer())
        return path


_COLUMNS = list(Record._fields)


def _dump(path: Path, data: object) -> None:
    path.write_text(json.dumps(data))


def _write_divergence(folder: Path, divergence: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    _dump(folder / "divergence.json", divergence)
    expected = np.linspace(0.0, 1.0, 24, dtype=np.float64).reshape(4, 3, 2)
    got = expected.astype(np.float32)
    got[2, 0, 1] += 0.5
    bound = np.full(expected.shape, 1e-6)
    np.savez(folder / "arrays.npz", x=expected, expected=expected, got=got, bound=bound)
    (folder / "reproduce.py").write_text("print('a script of its own')\n")


def make_run() -> SyntheticRun:
    """One cell of every kind: see :data:`EXPECTED_STATUSES`."""
    run = SyntheticRun()
    run.subjects = [
        make_subject("good.one"),
        make_subject("known.two"),
        make_subject("bad.three@gpu", device="gpu"),
        make_subject("absent.four", available=False, reason="no module named 'absent'", version=""),
    ]
    run.known = {
        "two-biased": {
            "subject": ["known.two"],
            "clause": ["BN-VAR-1"],
            "reason": "It stores the biased variance.",
            "evidence": "its source",
            "upstream": "https://example.org/issues/1",
            "date": "2026-11-01",
            "review_by": "2027-11-01",
        }
    }
    plain = run.add_case(make_case(), "plain")
    far = run.add_case(make_case(kind=FillKind.OFFSET), "large_mean", "plain")
    half = run.add_case(make_case(dtype=DType.FLOAT16), "half")
    run.records = [
        make_record("good.one", plain, "BN-Y-1"),
        make_record("good.one", far, "BN-Y-1", error_ratio=0.5),
        make_record("good.one", far, "BN-VAR-1", vacuous=True, judged_elements=0),
        make_record("good.one", half, "BN-HALF-1", verdict="unsupported", message="no float16"),
        make_record("good.one", plain, "BN-CALL-1", quantity="call"),
        make_record("known.two", plain, "BN-Y-1"),
        make_record(
            "known.two", plain, "BN-VAR-1", verdict="diverges", known="two-biased",
            error_ratio=40.0, quantity="running_var", message="biased",
        ),
        *_bad_rows(plain, far),
    ]  # fmt: skip
    by_subject = {"d-known": run.records[6], "d-bad": run.records[7]}
    run.divergences = [make_divergence(name, record, plain) for name, record in by_subject.items()]
    return run


def _bad_rows(plain: Case, far: Case) -> list[Record]:
    name = "bad.three@gpu"
    nothing = {"expected": float("nan"), "got": float("nan"), "worst_index": "", "step": -1}
    return [
        make_record(
            name, plain, "BN-Y-1", verdict="diverges", error_ratio=123456.789, cause="beyond bound",
            message=HOSTILE, device="gpu",
        ),
        make_record(name, far, "BN-Y-1", device="gpu"),
        make_record(
            name, far, "BN-CALL-1", verdict="crashed", quantity="call", error_ratio=0.0,
            message="the worker died", framework_version="", device="gpu", **nothing,
        ),
        make_record(name, plain, "BN-CALL-1", verdict="diverges", error_ratio=2.0, device="gpu"),
    ]  # fmt: skip


EXPECTED_STATUSES = {
    ("BN-Y-1", "good.one"): "conforms",
    ("BN-VAR-1", "good.one"): "not judged",
    ("BN-HALF-1", "good.one"): "unsupported",
    ("BN-CALL-1", "good.one"): "conforms",
    ("BN-NEVER-1", "good.one"): "not run",
    ("BN-Y-1", "known.two"): "conforms",
    ("BN-VAR-1", "known.two"): "known divergence",
    ("BN-Y-1", "bad.three@gpu"): "diverges",
    ("BN-CALL-1", "bad.three@gpu"): "crashed",
    ("BN-Y-1", "absent.four"): "unavailable",
    ("BN-NEVER-1", "absent.four"): "unavailable",
}
"""What :func:`make_run` must come out as."""


@pytest.fixture
def run() -> SyntheticRun:
    """A run with one cell of every kind, not yet written."""
    return make_run()


@pytest.fixture
def blank() -> Callable[[], SyntheticRun]:
    """Makes runs without subjects, cases and rows."""
    return SyntheticRun


@pytest.fixture
def clauses() -> tuple[Clause, ...]:
    """The clauses of the synthetic runs; BN-NEVER-1 is reached by no row."""
    return CLAUSES


@pytest.fixture
def statuses() -> dict[tuple[str, str], str]:
    """What the cells of ``run`` must come out as."""
    return EXPECTED_STATUSES


@pytest.fixture
def hostile() -> str:
    """Text that would be markup if it were not escaped; ``run`` holds it in several places."""
    return HOSTILE


@pytest.fixture
def written(run: SyntheticRun, tmp_path: Path) -> Path:
    """``run`` as a directory."""
    return run.write(tmp_path / "run")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of ``run``, made once: tests only read it."""
    folder = tmp_path_factory.mktemp("reports")
    return build_report([make_run().write(folder / "run")], folder / "site", CLAUSES).parent
