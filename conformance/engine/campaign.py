"""A campaign: every subject answers the planned cases, every answer is judged and recorded.

The work is a list of units, (subject, block of cases with neighbouring signatures); a unit is
written when it is done. Subjects run side by side, each in its own process; their answers are
judged here, in the harness's process, whose arithmetic no framework can have tampered with.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock
from typing import Any

from ..case import Case
from ..cases.malformed import Probe
from ..cases.plan import plan_cases
from ..contract import Adapter, Outcome, Unsupported
from ..judging.judge import judge_unsupported
from ..judging.judge_malformed import judge_not_asked, why_not_asked
from ..known.divergences import KnownDivergence
from ..record import Record
from ..topic import topic_of_case, topic_of_probe
from .bundles import Bundles
from .closing import close_run
from .explaining import explain_subject, explained_rows, write_explanations
from .judging import Judged, judged_cases, judged_experiment, judged_probe, make_trial
from .manifest import make_manifest, recorded_versions, subject_to_dict
from .process import Question, SubjectProcess
from .recording import KnownTally, SubjectInfo, make_records
from .run_directory import RunDirectory
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

REPEAT_EVERY = 8
"""One case in so many is run twice, to see whether it gives the same bits."""

BATCH = 128
"""Answers that are judged together."""

BATCH_ELEMENTS = 2**20
"""Elements of input from which on a batch is judged, so that large cases do not pile up."""


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
    campaign = _Campaign(run, versions, known, listener, request.profile.seconds_per_case, cases)
    campaign.run(units, request.workers)
    footer, diverging = close_run(run, known, cases, today)
    campaign.bundles.close(diverging)
    footer["seconds"] = round(time.monotonic() - began, 1)
    run.close(footer)
    return footer


class _Campaign:
    """Drives the units; holds what they share."""

    def __init__(
        self,
        run: RunDirectory,
        versions: Mapping[str, str],
        known: Sequence[KnownDivergence],
        listener: Listener,
        limit: float,
        cases: Sequence[Case],
    ) -> None:
        self.run_directory, self.versions, self.listener = run, versions, listener
        self.cases = {case.id: case for case in cases}
        self.tally = KnownTally(entries=known)
        self.bundles = Bundles(run.divergences)
        self.limit = limit
        self._stop = Event()
        self._judging = Lock()

    def run(self, units: Sequence[Unit], workers: int) -> None:
        """All units, ``workers`` subjects at a time; the first harness error stops everything."""
        by_subject: dict[str, list[Unit]] = {}
        for unit in units:
            by_subject.setdefault(unit.subject.name, []).append(unit)
        with ThreadPoolExecutor(max_workers=workers) as executor:
            left = [mine for mine in by_subject.values() if not self._done(mine)]
            waiting = [executor.submit(self._run_subject, mine) for mine in left]
            try:
                for future in as_completed(waiting):
                    future.result()
            except BaseException:
                self._stop.set()
                for future in waiting:
                    future.cancel()
                raise

    def _done(self, units: Sequence[Unit]) -> bool:
        """Whether all that is to be known of a subject is on disk."""
        run, subject = self.run_directory, units[0].subject.name
        parts = all(run.part(subject, unit.block).exists() for unit in units)
        return parts and run.explanation(subject).exists()

    def _run_subject(self, units: Sequence[Unit]) -> None:
        """What of a subject's units is not on disk yet, and then the causes of what diverges."""
        subject, run = units[0].subject, self.run_directory
        left = [unit for unit in units if not run.part(subject.name, unit.block).exists()]
        self.listener.started(subject.name, sum(unit.questions for unit in left))
        with SubjectProcess(subject.target, subject.adapter.environment) as process:
            for unit in left:
                rows = self._run_unit(unit, process)
                if self._stop.is_set():
                    return
                run.write_part(run.part(subject.name, unit.block), rows)
            self._explain(subject, process)

    def _explain(self, subject: Subject, process: SubjectProcess) -> None:
        rows = self.run_directory.records_of(subject.name)
        found = explain_subject(
            subject.adapter, rows, self.cases, process, self.limit, REPEAT_EVERY
        )
        explained = explained_rows(found, rows, self.cases)
        write_explanations(self.run_directory.explanation(subject.name), explained)

    def _run_unit(self, unit: Unit, process: SubjectProcess) -> list[Record]:
        rows: list[Record] = []
        for judged in self._answers(unit, process):
            rows += self._record(unit.subject, judged)
            self.listener.advanced(unit.subject.name, 1)
            if self._stop.is_set():
                break
        return sorted(rows, key=lambda row: (row.case_id, row.clause, row.quantity))

    def _answers(self, unit: Unit, process: SubjectProcess) -> Iterator[Judged]:
        """Everything the unit asks, judged, what is out of the subject's reach first."""
        adapter = unit.subject.adapter
        asked: list[Case] = []
        for case in unit.cases:
            reason = adapter.capabilities.unsupported(case)
            if reason is None:
                asked.append(case)
            else:
                yield _case_out_of_reach(case, reason)
        questions = (
            Question(case=case, repeat=int(case.id, 16) % REPEAT_EVERY == 0) for case in asked
        )
        for batch in _batches(process.ask(questions, self.limit)):
            yield from _judged_batch(batch, adapter)
        by_name = {experiment.name: experiment for experiment in unit.experiments}
        for name, observation in process.observe(by_name, self.limit):
            yield judged_experiment(by_name[name], observation)
        yield from self._malformed(unit, process)

    def _malformed(self, unit: Unit, process: SubjectProcess) -> Iterator[Judged]:
        adapter = unit.subject.adapter
        sent: list[Probe] = []
        for probe in unit.probes:
            reason = why_not_asked(probe, adapter.capabilities)
            if reason is None:
                sent.append(probe)
            else:
                yield _probe_out_of_reach(probe, reason)
        for probe, outcome in process.call_malformed(sent, self.limit):
            yield judged_probe(probe, outcome, adapter)

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


def _batches(
    answers: Iterable[tuple[Case, Outcome]],
) -> Iterator[list[tuple[Case, Outcome]]]:
    """``answers`` in order, as many at a time as are worth judging together."""
    batch: list[tuple[Case, Outcome]] = []
    elements = 0
    for case, outcome in answers:
        batch.append((case, outcome))
        elements += case.steps * math.prod(case.shape)
        if len(batch) >= BATCH or elements >= BATCH_ELEMENTS:
            yield batch
            batch, elements = [], 0
    if batch:
        yield batch


def _judged_batch(
    batch: Sequence[tuple[Case, Outcome]], adapter: type[Adapter]
) -> Iterator[Judged]:
    asked = []
    for case, outcome in batch:
        if isinstance(outcome, Unsupported):
            yield _case_out_of_reach(case, outcome.reason)
        else:
            asked.append((case, outcome))
    yield from judged_cases(asked, adapter)


def _case_out_of_reach(case: Case, reason: str) -> Judged:
    """A case that is not judged; nothing to compare with, so no reference is computed."""
    outcome = Unsupported(reason=reason)
    judgements = (judge_unsupported(outcome),)
    return Judged(topic=topic_of_case(case), outcome=outcome, judgements=judgements)


def _probe_out_of_reach(probe: Probe, reason: str) -> Judged:
    outcome = Unsupported(reason=reason)
    judgements = (judge_not_asked(probe, outcome),)
    return Judged(topic=topic_of_probe(probe), outcome=outcome, judgements=judgements)


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
