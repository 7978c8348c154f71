"""Read one run directory, and refuse it unless it is whole.

What comes out are typed frames of that run alone; ``frames.py`` merges several.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd

from bnconform.conformance.record import COLUMNS, UNEXPECTED, Record
from bnconform.reports.columns import FRAMES
from bnconform.reports.errors import (
    RunCountsError,
    RunFormatError,
    RunIncompleteError,
    RunNotFoundError,
)

RUN_FORMAT = "bn-run/1"

_TYPES = {"str": "str", "float": "float64", "int": "int64", "bool": "bool"}
_CASE_FIELDS = (
    "last_batch", "dtype", "layout", "upstream_layout", "center", "scale", "mode", "steps",
    "epsilon", "decay",
)  # fmt: skip
_DIVERGENCE_TEXTS = (
    "id", "subject", "clause", "quantity", "verdict", "cause", "known", "case_id", "message",
    "output",
)  # fmt: skip
_DIVERGENCE_NUMBERS = ("expected", "got", "bound", "error_ratio")


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a run says of itself; the fields are the columns of the ``runs`` frame."""

    created: str
    profile: str
    cases_asked: int
    seed: int
    shard: str
    seconds: float
    exit_status: int
    unexpected: int
    stale_known: str
    machine: str
    host: str
    versions: str
    arguments: str
    campaign: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """One complete run directory. The frames have the columns of ``FRAMES`` that one run knows."""

    path: Path
    facts: RunFacts
    records: pd.DataFrame
    cases: pd.DataFrame
    topics: pd.DataFrame
    subjects: pd.DataFrame
    divergences: pd.DataFrame
    causes: pd.DataFrame
    known: pd.DataFrame


def read_run(path: Path) -> Run:
    """The run at ``path``.

    Raises :class:`RunNotFoundError`, :class:`RunIncompleteError` (no footer),
    :class:`RunFormatError` (a file that cannot be read as what it must be) or
    :class:`RunCountsError` (the footer disagrees with the parts).
    """
    if not (path / "manifest.json").is_file():
        msg = f"no run at {path}: a run directory holds a manifest.json; see `bnconform run --out`"
        raise RunNotFoundError(msg)
    if not (path / "footer.json").is_file():
        msg = (
            f"the run at {path} has no footer.json, so it is not complete; "
            f"finish it with `bnconform run --resume --out {path}`"
        )
        raise RunIncompleteError(msg)
    manifest = _document(path / "manifest.json")
    footer = _document(path / "footer.json")
    try:
        run = _assemble(path, manifest, footer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} does not hold a {RUN_FORMAT} run: {error!r}; run it again"
        raise RunFormatError(msg) from error
    _check_counts(run, footer)
    _check_references(run)
    return run


def number(value: object) -> float:
    """A JSON number as float; None, which JSON writers use for NaN, as NaN."""
    return float("nan") if value is None else float(str(value))


def canonical(data: object) -> str:
    """JSON with sorted keys, so that equal data gives equal text."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False)


def _assemble(path: Path, manifest: Mapping[str, Any], footer: Mapping[str, Any]) -> Run:
    return Run(
        path=path,
        facts=_facts(manifest, footer),
        records=_records(path),
        cases=_frame("cases", map(_case_row, _lines(path / "cases.jsonl"))),
        topics=_frame("topics", _topic_rows(path / "topics.jsonl")),
        subjects=_frame("subjects", map(_subject_row, manifest["subjects"])),
        divergences=_frame("divergences", _divergence_rows(path)),
        causes=_frame("causes", _cause_rows(path / "explanations.json")),
        known=_frame("known", _known_rows(manifest.get("known", {}))),
    )


def _document(path: Path) -> dict[str, Any]:
    """A JSON object that names the run format."""
    data = _json(path)
    found = data.get("format")
    if found != RUN_FORMAT:
        msg = f"{path} must say 'format': {RUN_FORMAT!r}, got {found!r}; run it again"
        raise RunFormatError(msg)
    return data


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as JSON: {error}; run it again"
        raise RunFormatError(msg) from error
    if not isinstance(data, dict):
        msg = f"{path} must hold a JSON object, got {type(data).__name__}; run it again"
        raise RunFormatError(msg)
    return data


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line]
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as one JSON object a line: {error}; run it again"
        raise RunFormatError(msg) from error


def _facts(manifest: Mapping[str, Any], footer: Mapping[str, Any]) -> RunFacts:
    arguments = manifest["arguments"]
    # Shards, and runs of some of the subjects, are parts of one campaign: the same case ids.
    shared = {key: arguments[key] for key in arguments if key not in ("shard", "subjects")}
    return RunFacts(
        created=str(manifest["created"]),
        profile=str(arguments["profile"]),
        cases_asked=int(arguments["cases"]),
        seed=int(arguments["seed"]),
        shard="/".join(str(part) for part in arguments["shard"]),
        seconds=number(footer["seconds"]),
        exit_status=int(footer["exit_status"]),
        unexpected=int(footer["unexpected"]),
        stale_known=";".join(sorted(str(entry) for entry in footer["stale_known"])),
        machine="; ".join(f"{key}: {manifest['machine'][key]}" for key in manifest["machine"]),
        host=_host(manifest["machine"], manifest["versions"]),
        versions=canonical(manifest["versions"]),
        arguments=canonical(arguments),
        campaign=hashlib.sha256(canonical(shared).encode()).hexdigest()[:12],
    )


def _host(machine: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    """What else may change an answer: system, processor, Python's minor version."""
    python = ".".join(str(versions.get("python", "?")).split(".")[:2])
    return f"{machine.get('system', '?')} {machine.get('processor', '?')} py{python}"


def _frame(name: str, rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Rows as a frame with those of the documented columns that a single run knows."""
    added = {"run", "entry", "page", "rows", "state"}
    columns = [column for column in FRAMES[name] if column not in added]
    return pd.DataFrame(list(rows), columns=columns)


def _records(path: Path) -> pd.DataFrame:
    types = {name: _TYPES[kind.__name__] for name, kind in get_type_hints(Record).items()}
    frames = [_part(part) for part in sorted((path / "records").glob("*.parquet"))]
    if not frames:
        frames = [pd.DataFrame(columns=list(COLUMNS))]
    records = pd.concat(frames, ignore_index=True)
    texts = [name for name, kind in types.items() if kind == "str"]
    return records.fillna(dict.fromkeys(texts, "")).astype(types)


def _part(path: Path) -> pd.DataFrame:
    try:
        part = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises OSError, ArrowInvalid, ... for a broken file
        msg = f"{path} cannot be read as Parquet: {error}; run it again"
        raise RunFormatError(msg) from error
    missing = [column for column in COLUMNS if column not in part.columns]
    if missing:
        msg = f"{path} lacks the columns {missing}; run it again with this version of bnconform"
        raise RunFormatError(msg)
    return part[list(COLUMNS)]


def _case_row(line: Mapping[str, Any]) -> dict[str, object]:
    case = line["case"]
    return {
        "case_id": line["id"],
        "shape": "x".join(str(size) for size in case["shape"]),
        "feature_axes": ",".join(str(axis) for axis in case["feature_axes"]),
        **{field: case[field] for field in _CASE_FIELDS},
        "fill": case["fill"]["kind"],
        "fill_seed": case["fill"]["seed"],
        "fill_offset": case["fill"]["offset"],
        "corners": ";".join(sorted(line["corners"])),
        "json": canonical(case),
    }


def _topic_rows(path: Path) -> list[dict[str, object]]:
    """What was asked besides cases; runs of earlier versions asked nothing else."""
    lines = _lines(path) if path.is_file() else []
    return [{"case_id": line["id"], "json": canonical(line["told"])} for line in lines]


def _subject_row(subject: Mapping[str, Any]) -> dict[str, object]:
    return {
        "subject": subject["name"],
        "available": bool(subject["available"]),
        **{field: str(subject[field] or "") for field in ("reason", "framework")},
        **{field: str(subject[field] or "") for field in ("version", "device")},
        # Order is kept here: a dialect's fields come in the order of its declaration.
        "dialect": json.dumps(subject["dialect"], ensure_ascii=False),
        "capabilities": json.dumps(subject["capabilities"], ensure_ascii=False),
    }


def _divergence_rows(path: Path) -> list[dict[str, object]]:
    files = sorted((path / "divergences").glob("*/divergence.json"))
    return [_divergence_row(_json(file)) for file in files]


def _divergence_row(found: Mapping[str, Any]) -> dict[str, object]:
    index = found["worst_index"]
    return {
        **{field: str(found[field] or "") for field in _DIVERGENCE_TEXTS},
        **{field: number(found[field]) for field in _DIVERGENCE_NUMBERS},
        "count": int(found["count"]),
        "step": -1 if found["step"] is None else int(found["step"]),
        "worst_index": index if isinstance(index, str) else ",".join(map(str, index or ())),
        "case": canonical(found["case"]),
        "versions": canonical(found["versions"]),
    }


def _cause_rows(path: Path) -> list[dict[str, object]]:
    """Why subjects diverge; runs of earlier versions did not ask."""
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as JSON: {error}; run it again"
        raise RunFormatError(msg) from error
    return [
        {
            **{field: str(each[field]) for field in ("subject", "kind", "name", "sentence")},
            **{field: ";".join(each[field]) for field in ("clauses", "quantities", "divergences")},
            "where": canonical(each["where"]),
            "count": int(each["rows"]),
            "cases": int(each["cases"]),
        }
        for each in found
    ]


def _known_rows(entries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, object]]:
    added = ("id", "rows", "state")
    fields = [column for column in FRAMES["known"] if column not in added]
    return [
        {"id": name, **{field: _joined(entries[name].get(field)) for field in fields}}
        for name in sorted(entries)
    ]


def _joined(value: object) -> str:
    """A text, a list or an object of a known divergence as one text."""
    if isinstance(value, list):
        return ";".join(str(part) for part in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {value[key]}" for key in sorted(value))
    return "" if value is None else str(value)


def _check_counts(run: Run, footer: Mapping[str, Any]) -> None:
    """Compare each count of the footer with the rows."""
    unexpected = run.records["verdict"].isin(UNEXPECTED) & (run.records["known"] == "")
    held: dict[str, object] = {
        "records": _tally(run.records["subject"]),
        "counts": _tally(run.records["verdict"]),
        "known": int((run.records["known"] != "").sum()),
        "vacuous": int(run.records["vacuous"].sum()),
        "unexpected": int(unexpected.sum()),
    }
    for name, value in held.items():
        said = footer[name]
        if isinstance(said, dict):
            said = {key: count for key, count in said.items() if count}
        if said != value:
            msg = (
                f"the footer of {run.path} says {name} = {said}, its parts hold {value}; "
                f"rows were lost or added after the run: run it again"
            )
            raise RunCountsError(msg)


def _tally(column: pd.Series[str]) -> dict[str, int]:
    return {str(value): int(count) for value, count in sorted(column.value_counts().items())}


def _check_references(run: Run) -> None:
    """Every subject and case that a record or a divergence names must be described."""
    subjects = set(run.subjects["subject"])
    _check_names(run, "subject", set(run.records["subject"]) - subjects)
    _check_names(run, "subject", set(run.divergences["subject"]) - subjects)
    described = {"", *run.cases["case_id"], *run.topics["case_id"]}
    _check_names(run, "case_id", set(run.records["case_id"]) - described)


def _check_names(run: Run, what: str, strangers: set[str]) -> None:
    if strangers:
        msg = (
            f"records of {run.path} name a {what} that the run does not describe: "
            f"{', '.join(sorted(strangers)[:3])} ({len(strangers)} in all); run it again"
        )
        raise RunFormatError(msg)
