"""What the harness costs, and starting a subject: measured here, kept as a small JSON file."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import platform
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd
from scale_costs import GROWS_FROM

from bnconform.adapters import REGISTRY
from bnconform.cli.subjects import select_targets
from bnconform.conformance.case import Case
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.contract import Adapter, Answered, Outcome
from bnconform.conformance.engine.answering import BATCH, repeats
from bnconform.conformance.engine.closing import COUNTED, Tally, some_at_a_time
from bnconform.conformance.engine.crew import info_of
from bnconform.conformance.engine.judging import Judged, judged_cases
from bnconform.conformance.engine.loading import load_class
from bnconform.conformance.engine.process import Question, SubjectProcess
from bnconform.conformance.engine.recording import Labels, make_records
from bnconform.conformance.engine.run_directory import RunDirectory
from bnconform.conformance.engine.units import Subject, describe_subject
from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.record import Record
from bnconform.conformance.topic import topic_of_case

REFERENCE = "numpy.reference"
LIMIT = 120.0
SMALL, LARGE = 200, 10_000
"""Rows of the two parts that are written to tell what a part costs from what a row costs."""


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Seconds and bytes that no run directory tells.

    ``carrying`` is what a case takes on its way to a subject and back, its inputs included, beyond
    the subject's own seconds; ``judging`` its inputs again, reference, bounds and verdict; ``rare``
    both for a case of a signature that has few, some of which are large. ``labelling`` is one row,
    ``fetching`` unpickling one that was judged elsewhere; ``merged`` the bytes of a row in one
    large file, as pandas writes it and with Zstandard; ``startup`` is by subject, 0 where it is not
    available. Seconds are those of processes, not of the clock, wherever that can be told.
    """

    machine: Mapping[str, Any]
    planning: float
    planned_bytes: float
    carrying: float
    judging: float
    rare: float
    labelling: float
    writing: float
    writing_part: float
    fetching: float
    fetched_bytes: float
    closing: float
    closing_part: float
    fact_bytes: float
    row_bytes: float
    merged: Mapping[str, float]
    startup: Mapping[str, float]


def load_constants(path: Path) -> Constants:
    """Those that :func:`measure` wrote to ``path``."""
    return Constants(**json.loads(path.read_text(encoding="utf-8")))


def save_constants(path: Path, constants: Constants) -> None:
    """Write them as JSON."""
    path.write_text(json.dumps(asdict(constants), indent=1) + "\n", encoding="utf-8")


def measure(run: Path, subjects: Iterable[str], every: int, *, planned: int = 10_000) -> Constants:
    """All constants, from the cases of every ``every``-th signature of the run at ``run``.

    ``planned`` is the number of cases that are planned to see how long that takes.
    """
    growing, rare = _sample(run, every)
    few = _rows(rare)[1] if rare else {"carrying": 0.0, "judging": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        rows, some = _rows(growing)
        return Constants(
            machine={
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "processor": platform.machine(),
                "load": round(os.getloadavg()[0], 1),
            },
            **_planning(planned),
            **some,
            rare=few["carrying"] + few["judging"],
            **_writing(rows, Path(folder)),
            **_fetching(rows),
            **_closing(run),
            **_facts(growing),
            startup={name: _startup(name) for name in subjects},
        )


def _sample(run: Path, every: int) -> tuple[list[Case], list[Case]]:
    """Cases of signatures that grow with the plan, and of such as do not."""
    by_signature: dict[str, list[Case]] = {}
    with (run / "cases.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            case = Case.from_dict(json.loads(line)["case"])
            by_signature.setdefault(case.signature, []).append(case)
    every_one = by_signature.values()
    growing = [mine for mine in every_one if len(mine) >= GROWS_FROM]
    rare = [mine for mine in every_one if len(mine) < GROWS_FROM]
    chain = itertools.chain.from_iterable
    return list(chain(growing[::every])), list(chain(rare))


def _planning(cases: int) -> dict[str, Any]:
    """Planning a case, a longer plan less a shorter one; and the memory that one takes."""
    short, _ = _timed(lambda: plan_cases(PROFILES["deep"], cases=cases, seed=1))
    long, _ = _timed(lambda: plan_cases(PROFILES["deep"], cases=3 * cases, seed=1))
    tracemalloc.start()
    plan = plan_cases(PROFILES["deep"], cases=cases // 5, seed=2)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "planning": max(long - short, 0.0) / (2 * cases),
        "planned_bytes": taken / len(plan),
    }


def _rows(cases: Sequence[Case]) -> tuple[list[Record], dict[str, Any]]:
    """The rows of ``cases`` by the reference subject, and what making them takes."""
    (target,) = select_targets(REFERENCE, [])
    adapter = load_class(target)
    subject = describe_subject(target, adapter)
    with SubjectProcess(target, adapter.environment) as process:
        process.describe()
        questions = [Question(case=case, repeat=repeats(case)) for case in cases]
        began = time.perf_counter()
        answered = list(process.ask(questions, LIMIT))
        seconds = time.perf_counter() - began
    own = sum(
        outcome.seconds * (1 + repeats(case))
        for case, outcome in answered
        if isinstance(outcome, Answered)
    )
    judging, judged = _timed(lambda: _judged(answered, adapter))
    labelling, rows = _timed(lambda: _labelled(judged, subject))
    return rows, {
        "carrying": max(seconds - own, 0.0) / len(cases),
        "judging": judging / len(cases),
        "labelling": labelling / len(rows),
    }


def _judged(answered: Sequence[tuple[Case, Outcome]], adapter: type[Adapter]) -> list[Judged]:
    found: list[Judged] = []
    for start in range(0, len(answered), BATCH):
        found += judged_cases(answered[start : start + BATCH], adapter)
    return found


def _labelled(judged: Iterable[Judged], subject: Subject) -> list[Record]:
    labels, info = Labels(entries=load_known()), info_of(subject)
    return [
        row
        for each in judged
        for row in make_records(info, each.topic, each.outcome, each.judgements, labels)
    ]


def _writing(rows: Sequence[Record], folder: Path) -> dict[str, Any]:
    run = RunDirectory(folder)
    many = list(itertools.islice(itertools.cycle(rows), LARGE))
    run.write_part(folder / "first.parquet", many)
    small = min(
        _timed(lambda: run.write_part(folder / "a.parquet", many[:SMALL]))[0] for _ in "abc"
    )
    large = min(_timed(lambda: run.write_part(folder / "b.parquet", many))[0] for _ in "abc")
    each = max(large - small, 0.0) / (LARGE - SMALL)
    return {"writing": each, "writing_part": max(small - SMALL * each, 0.0)}


def _fetching(rows: Sequence[Record]) -> dict[str, Any]:
    sent = pickle.dumps(tuple(rows), protocol=5)
    seconds, _ = _timed(lambda: pickle.loads(sent))  # noqa: S301 -- written the line before
    return {"fetching": seconds / len(rows), "fetched_bytes": len(sent) / len(rows)}


def _closing(run: Path, most: int = 120) -> dict[str, Any]:
    """Reading parts and adding them up; and what all their rows would take in one file."""
    directory, known = RunDirectory(run), load_known()
    parts = sorted(directory.records.glob("*.parquet"))
    chosen = parts[:: max(1, len(parts) // most)]
    frames = [pd.read_parquet(part) for part in chosen]
    tally = Tally(known=known, facts=_facts_of(run))
    reading = []
    for frame, part in zip(frames, chosen, strict=True):
        took, _ = _timed(partial(pd.read_parquet, part, columns=list(COUNTED)))
        reading.append((len(frame), took))
    narrow = [frame[list(COUNTED)] for frame in frames]
    adding, _ = _timed(lambda: [tally.add(some) for some in some_at_a_time(narrow)])
    rows = sum(map(len, frames))
    slope, base = _line(reading)
    whole = pd.concat(frames, ignore_index=True)
    return {
        "closing": slope + adding / rows,
        "closing_part": base,
        "row_bytes": float(whole.memory_usage(deep=True).sum()) / rows,
        "merged": {name: _size(whole, name) / rows for name in ("snappy", "zstd")},
    }


def _line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Slope and intercept, neither negative, of the straight line through ``points``."""
    x, y = pd.Series([n for n, _ in points]), pd.Series([t for _, t in points])
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 0.0
    slope = min(max(slope, 0.0), float(y.mean() / x.mean()))
    return slope, float(y.mean() - slope * x.mean())


def _size(rows: pd.DataFrame, compression: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.parquet"
        rows.to_parquet(path, index=False, compression=cast("Any", compression))
        return path.stat().st_size


def _facts_of(run: Path) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    with (run / "cases.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            topic = topic_of_case(Case.from_dict(json.loads(line)["case"]))
            found[topic.id] = topic.facts
    with (run / "topics.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            found.setdefault(json.loads(line)["id"], json.loads(line)["told"])
    return found


def _facts(cases: Sequence[Case]) -> dict[str, Any]:
    """Bytes of the facts of a case, which closing holds for all of them."""
    held = [pickle.dumps(dict(topic_of_case(case).facts)) for case in cases]
    return {"fact_bytes": sum(map(len, held)) / len(held)}


def _startup(name: str) -> float:
    """From nothing to a subject that answers, and back to nothing, as its process's own time."""
    (target,) = select_targets(name, [])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subject = describe_subject(target, load_class(target))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not subject.described.available:
        return 0.0
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    # Of this process: what else the machine does is no cost of ours.
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


ALL_SUBJECTS = tuple(REGISTRY)
