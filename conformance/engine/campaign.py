"""A campaign: every subject answers the planned cases, every answer is judged and recorded.

The work is a list of units, (subject, block of cases with neighbouring signatures); a unit is
written when it is done. Subjects run side by side, each in its own process; their answers are
judged here, in the harness's process, whose arithmetic no framework can have tampered with.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock
from typing import Any

from ..case import Case
from ..cases.plan import plan_cases
from ..known.divergences import KnownDivergence
from ..record import Record
from .answering import REPEAT_EVERY, answers
from .bundles import Bundles
from .closing import close_run
from .explaining import explain_subject, explained_rows, write_explanations
from .judging import Judged, make_trial
from .manifest import make_manifest, recorded_versions, subject_to_dict
from .process import SubjectProcess
from .recording import KnownTally, SubjectInfo, make_records
from .run_directory import RunDirectory
from .scheduling import Scheduler
from .units import (
    Listener,
    Request,
    Subject,
    Unit,
    describe_subject,
    other_topics,
    plan_units,
)

__all__ = [
    "Listener",
    "Request",
    "Subject",
    "describe_subject",
    "make_trial",
    "plan_units",
    "run_campaign",
    "subject_to_dict",
]


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
    units = plan_units(subjects, cases, request.shard)
    run = _open(request, subjects, known, cases)
    versions = recorded_versions()
    try:
        campaign = _Campaign(run, versions, known, listener, request, cases)
        campaign.run(units, request.workers)
        footer, diverging = close_run(run, known, cases, today)
        campaign.bundles.close(diverging)
        footer["seconds"] = round(time.monotonic() - began, 1)
        run.close(footer)
    finally:
        run.release()
    return footer


class _Campaign:
    """Drives the units; holds what they share."""

    def __init__(
        self,
        run: RunDirectory,
        versions: Mapping[str, str],
        known: Sequence[KnownDivergence],
        listener: Listener,
        request: Request,
        cases: Sequence[Case],
    ) -> None:
        self.run_directory, self.versions, self.listener = run, versions, listener
        self.cases = {case.id: case for case in cases}
        self.tally = KnownTally(entries=known)
        self.bundles = Bundles(run.divergences)
        self.limit, self.memory = request.profile.seconds_per_case, request.memory
        self._stop = Event()
        self._judging = Lock()
        self._left: dict[str, int] = {}

    def run(self, units: Sequence[Unit], workers: int) -> None:
        """All that is not on disk, by ``workers``; the first harness error stops everything."""
        scheduler = self._schedule(units)
        with ThreadPoolExecutor(max_workers=workers) as executor:
            waiting = [executor.submit(self._work, scheduler) for _ in range(workers)]
            try:
                for future in as_completed(waiting):
                    future.result()
            except BaseException:
                self._stop.set()
                scheduler.close()
                raise

    def _schedule(self, units: Sequence[Unit]) -> Scheduler:
        """What is left of each subject: units without rows, or the last one for the causes."""
        run, scheduler = self.run_directory, Scheduler()
        by_subject: dict[str, list[Unit]] = {}
        for unit in units:
            by_subject.setdefault(unit.subject.name, []).append(unit)
        for subject, mine in by_subject.items():
            left = [unit for unit in mine if not run.part(subject, unit.block).exists()]
            if not left and not run.explanation(subject).exists():
                left = mine[-1:]
            if left:
                scheduler.add(subject, left)
                self._left[subject] = sum(unit.questions for unit in left)
        return scheduler

    def _work(self, scheduler: Scheduler) -> None:
        """One worker: units of one subject after another, until there are none to take."""
        holding: str | None = None
        unit = scheduler.take(None)
        while unit is not None:
            subject = unit.subject
            holding = subject.name
            environment = subject.adapter.environment
            with SubjectProcess(subject.target, environment, memory=self.memory) as process:
                while unit is not None and unit.subject.name == holding:
                    self._do(unit, process)
                    if self._stop.is_set():
                        return
                    if scheduler.done(unit):
                        self._explain(subject, process)
                    process.refresh()
                    unit = scheduler.take(holding)

    def _do(self, unit: Unit, process: SubjectProcess) -> None:
        """The rows of one unit, on disk when it is done."""
        subject, part = unit.subject.name, self.run_directory.part(unit.subject.name, unit.block)
        with self._judging:
            total = self._left.pop(subject, None)
        if total is not None:
            self.listener.started(subject, total)
        if part.exists():
            return
        rows: list[Record] = []
        for judged in answers(unit, process, self.limit):
            rows += self._record(unit.subject, judged)
            self.listener.advanced(subject, 1)
            if self._stop.is_set():
                return
        rows.sort(key=lambda row: (row.case_id, row.clause, row.quantity))
        self.run_directory.write_part(part, rows)

    def _explain(self, subject: Subject, process: SubjectProcess) -> None:
        rows = self.run_directory.records_of(subject.name)
        found = explain_subject(
            subject.adapter, rows, self.cases, process, self.limit, REPEAT_EVERY
        )
        explained = explained_rows(found, rows, self.cases)
        write_explanations(self.run_directory.explanation(subject.name), explained)

    def _record(self, subject: Subject, judged: Judged) -> list[Record]:
        info = SubjectInfo(
            name=subject.name,
            framework=subject.adapter.framework,
            version=subject.described.version,
            device=subject.described.device,
        )
        topic, outcome = judged.topic, judged.outcome
        with self._judging:
            rows = make_records(info, topic, outcome, judged.judgements, self.tally)
            if judged.exhibit is not None:
                for row in rows:
                    self.bundles.offer(row, judged.exhibit, self._versions_of(info))
        return rows

    def _versions_of(self, info: SubjectInfo) -> dict[str, str]:
        return {**self.versions, info.framework: info.version}


def _open(
    request: Request,
    subjects: Sequence[Subject],
    known: Sequence[KnownDivergence],
    cases: Sequence[Case],
) -> RunDirectory:
    manifest = make_manifest(request, subjects, known, len(cases))
    if request.resume:
        return RunDirectory.resume(request.out, manifest)
    return RunDirectory.create(request.out, manifest, cases, other_topics())
