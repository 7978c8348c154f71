"""A campaign: every subject answers the planned cases, every answer is judged and recorded.

The work is a list of units, (subject, block of cases with neighbouring signatures); a unit is
written when it is done. Subjects run side by side, each in its own process; their answers are
judged here, in the harness's process, whose arithmetic no framework can have tampered with.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from threading import Event, Lock
from typing import Any, Protocol

import pandas as pd

from ..case import Case
from ..clauses import CLAUSES
from ..contract import Adapter, Outcome, Unsupported
from ..fills import make_inputs
from ..judge import Trial, judge, judge_unsupported
from ..known import KnownDivergence, stale
from ..plan import Profile, plan_cases
from ..record import Record
from ..reference import Conventions, expect
from .bundles import Bundles
from .loading import Target, capabilities_to_dict, dialect_to_dict
from .process import Question, SubjectProcess
from .recording import KnownTally, SubjectInfo, make_records
from .run_directory import RUN_FORMAT, RunDirectory, summarize
from .worker import Described

BLOCK_SIGNATURES = 8
"""Signatures to a unit of work: few enough to lose little, many enough for whole files."""

REPEAT_EVERY = 8
"""One case in so many is run twice, to see whether it gives the same bits."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An adapter class and where it came from; ``described`` is what its process said."""

    target: Target
    adapter: type[Adapter]
    described: Described

    @property
    def name(self) -> str:
        """The subject's dotted name."""
        return self.adapter.name


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of a campaign; ``shard`` is (I, N) with I from 1."""

    profile: Profile
    cases: int
    seed: int
    shard: tuple[int, int]
    workers: int
    out: Path
    resume: bool


class Listener(Protocol):
    """Is told how a campaign gets on."""

    def started(self, subject: str, total: int) -> None:
        """A subject begins its ``total`` cases."""
        ...

    def advanced(self, subject: str, cases: int) -> None:
        """So many more cases of a subject are judged."""
        ...


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work: a subject and a block of cases."""

    subject: Subject
    block: int
    cases: tuple[Case, ...]


def describe_subject(target: Target, adapter: type[Adapter]) -> Subject:
    """Start the subject's process once to learn its version, or why it is unavailable."""
    with SubjectProcess(target, adapter.environment) as process:
        return Subject(target=target, adapter=adapter, described=process.describe())


def run_campaign(
    request: Request,
    subjects: Sequence[Subject],
    known: Sequence[KnownDivergence],
    listener: Listener,
    today: datetime.date,
) -> dict[str, Any]:
    """Run every unit that is not yet on disk, close the run, and return its footer."""
    began = time.monotonic()
    cases = plan_cases(request.profile, cases=request.cases, seed=request.seed)
    run = _open(request, subjects, known, cases)
    versions = _versions()
    campaign = _Campaign(run, versions, known, listener, request.profile.seconds_per_case)
    campaign.run(plan_units(subjects, cases, request.shard), request.workers)
    frame = run.read_records()
    tally = retally(known, frame, cases)
    campaign.bundles.close(frame)
    footer = summarize(frame)
    footer["format"] = RUN_FORMAT
    footer["stale_known"] = list(stale(known, tally.matched, tally.looked, today))
    footer["exit_status"] = int(bool(footer["unexpected"] or footer["stale_known"]))
    footer["seconds"] = round(time.monotonic() - began, 1)
    run.close(footer)
    return footer


def plan_units(
    subjects: Sequence[Subject], cases: Sequence[Case], shard: tuple[int, int]
) -> list[Unit]:
    """All units of this shard: every N-th of the list that all shards agree on."""
    by_signature: dict[str, list[Case]] = {}
    for case in cases:
        by_signature.setdefault(case.signature, []).append(case)
    signatures = list(by_signature)
    blocks = [
        tuple(case for name in signatures[i : i + BLOCK_SIGNATURES] for case in by_signature[name])
        for i in range(0, len(signatures), BLOCK_SIGNATURES)
    ]
    units = [
        Unit(subject=subject, block=block, cases=members)
        for subject in subjects
        for block, members in enumerate(blocks)
    ]
    index, count = shard
    mine = units[index - 1 :: count]
    return [unit for unit in mine if unit.subject.described.available]


def retally(
    known: Sequence[KnownDivergence], frame: pd.DataFrame, cases: Sequence[Case]
) -> KnownTally:
    """How often each known divergence was looked for and found, over all rows of a run."""
    by_id = {case.id: case for case in cases}
    tally = KnownTally(entries=known)
    subjects = {name for entry in known for name in entry.subjects}
    for row in frame[frame["subject"].isin(subjects)].to_dict("records"):
        record = Record(**{str(name): value for name, value in row.items()})
        if record.case_id in by_id:
            tally.label(record, by_id[record.case_id])
    return tally


class _Campaign:
    """Drives the units; holds what they share."""

    def __init__(
        self,
        run: RunDirectory,
        versions: Mapping[str, str],
        known: Sequence[KnownDivergence],
        listener: Listener,
        limit: float,
    ) -> None:
        self.run_directory, self.versions, self.listener = run, versions, listener
        self.tally = KnownTally(entries=known)
        self.bundles = Bundles(run.divergences)
        self.limit = limit
        self._stop = Event()
        self._judging = Lock()

    def run(self, units: Sequence[Unit], workers: int) -> None:
        """All units, ``workers`` subjects at a time; the first harness error stops everything."""
        by_subject: dict[str, list[Unit]] = {}
        for unit in units:
            if not self.run_directory.part(unit.subject.name, unit.block).exists():
                by_subject.setdefault(unit.subject.name, []).append(unit)
        with ThreadPoolExecutor(max_workers=workers) as executor:
            waiting = [executor.submit(self._run_subject, mine) for mine in by_subject.values()]
            try:
                for future in as_completed(waiting):
                    future.result()
            except BaseException:
                self._stop.set()
                for future in waiting:
                    future.cancel()
                raise

    def _run_subject(self, units: Sequence[Unit]) -> None:
        subject = units[0].subject
        self.listener.started(subject.name, sum(len(unit.cases) for unit in units))
        with SubjectProcess(subject.target, subject.adapter.environment) as process:
            for unit in units:
                rows = self._run_unit(unit, process)
                if self._stop.is_set():
                    return
                path = self.run_directory.part(subject.name, unit.block)
                self.run_directory.write_part(path, rows)

    def _run_unit(self, unit: Unit, process: SubjectProcess) -> list[Record]:
        capabilities = unit.subject.adapter.capabilities
        reasons = {case.id: capabilities.unsupported(case) for case in unit.cases}
        rows: list[Record] = []
        for case in unit.cases:
            reason = reasons[case.id]
            if reason is not None:
                rows += self._judge(unit.subject, case, Unsupported(reason=reason))
        questions = (
            Question(case=case, repeat=int(case.id, 16) % REPEAT_EVERY == 0)
            for case in unit.cases
            if reasons[case.id] is None
        )
        for case, outcome in process.ask(questions, self.limit):
            rows += self._judge(unit.subject, case, outcome)
            self.listener.advanced(unit.subject.name, 1)
            if self._stop.is_set():
                break
        self.listener.advanced(unit.subject.name, sum(r is not None for r in reasons.values()))
        return sorted(rows, key=lambda row: (row.case_id, row.clause, row.quantity))

    def _judge(self, subject: Subject, case: Case, outcome: Outcome) -> list[Record]:
        info = SubjectInfo(
            name=subject.name,
            framework=subject.adapter.framework,
            version=subject.described.version,
            device=subject.described.device,
        )
        if isinstance(outcome, Unsupported):
            # Nothing to compare with, so the reference need not be computed.
            with self._judging:
                return make_records(info, case, outcome, [judge_unsupported(outcome)], self.tally)
        trial = make_trial(case, subject.adapter)
        judgements = judge(trial, outcome, subject.adapter.dialect, subject.adapter.capabilities)
        with self._judging:
            rows = make_records(info, case, outcome, judgements, self.tally)
            for row in rows:
                self.bundles.offer(row, trial, outcome, self._versions_of(info))
        return rows

    def _versions_of(self, info: SubjectInfo) -> dict[str, str]:
        return {**self.versions, info.framework: info.version}


def make_trial(case: Case, adapter: type[Adapter]) -> Trial:
    """The arrays of ``case`` and what they must give under the adapter's dialect."""
    inputs = make_inputs(case)
    expected = expect(case, inputs, Conventions.of(adapter.dialect))
    return Trial(case=case, inputs=inputs, expected=expected)


def _open(
    request: Request,
    subjects: Sequence[Subject],
    known: Sequence[KnownDivergence],
    cases: Sequence[Case],
) -> RunDirectory:
    manifest = _manifest(request, subjects, known, len(cases))
    if request.resume:
        return RunDirectory.resume(request.out, manifest)
    return RunDirectory.create(request.out, manifest, cases)


def _manifest(
    request: Request,
    subjects: Sequence[Subject],
    known: Sequence[KnownDivergence],
    cases: int,
) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "format": RUN_FORMAT,
        "arguments": {
            "subjects": [subject.name for subject in subjects],
            "cases": cases,
            "profile": request.profile.name,
            "seed": request.seed,
            "shard": list(request.shard),
        },
        "versions": _versions(),
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "created": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "subjects": [subject_to_dict(subject) for subject in subjects],
        "known": {entry.id: _known_to_dict(entry) for entry in known},
        "clauses": [clause.id for clause in CLAUSES],
    }


def subject_to_dict(subject: Subject) -> dict[str, Any]:
    """A subject as JSON-ready data, as `bnconform list --json` and the manifest give it."""
    return {
        "name": subject.name,
        "available": subject.described.available,
        "reason": subject.described.reason,
        "framework": subject.adapter.framework,
        "version": subject.described.version,
        "device": subject.described.device,
        "dialect": dialect_to_dict(subject.adapter.dialect),
        "capabilities": capabilities_to_dict(subject.adapter.capabilities),
    }


def _known_to_dict(entry: KnownDivergence) -> dict[str, Any]:
    return {
        "subject": list(entry.subjects),
        "versions": str(entry.versions),
        "clause": list(entry.clauses),
        "quantity": list(entry.quantities),
        "where": dict(entry.where),
        "reason": entry.reason,
        "evidence": entry.evidence,
        "upstream": entry.upstream,
        "date": entry.date.isoformat(),
        "review_by": entry.review_by.isoformat(),
    }


RECORDED_PACKAGES = (
    "bnconform", "numpy", "ml_dtypes", "pandas", "pyarrow", "hypothesis", "torch", "triton",
    "tensorflow", "tensorflow-cpu", "tf_keras", "keras", "jax", "jaxlib", "flax",
)  # fmt: skip
"""Packages whose versions a run records where they are installed."""


def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
