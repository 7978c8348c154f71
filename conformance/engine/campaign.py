"""A campaign: every subject answers the planned cases, every answer is judged and recorded.

The work is a list of units, (subject, block of cases with neighbouring signatures); a unit is
written when it is done. Subjects run side by side, each in its own process; their answers are
judged here, in the harness's process, whose arithmetic no framework can have tampered with.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from threading import Event, Lock
from typing import Any, TypeAlias

import pandas as pd

from ..case import Case
from ..cases.plan import plan_cases
from ..known.divergences import KnownDivergence
from ..record import Record
from .answering import BATCH_ELEMENTS, Answer, asked, judged_answers
from .bundles import Bundles
from .closing import close_run
from .crew import Crew, Found, info_of
from .explaining import NEEDED, explain_subject, explained_rows, write_explanations
from .judging import Judged, make_trial
from .manifest import make_manifest, recorded_versions, subject_to_dict
from .pipe import Pipe
from .process import SubjectProcess
from .recording import Labels, SubjectInfo, make_records
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

AHEAD_ELEMENTS = 2 * BATCH_ELEMENTS
"""Elements of input whose answers may wait to be judged, for each worker."""

AHEAD_ANSWERS = 512
"""Answers that may wait, however small they are."""

TURN = 0.0005
"""Seconds that a thread may compute while another one waits for its turn."""


def run_campaign(
    request: Request,
    subjects: Sequence[Subject],
    known: Sequence[KnownDivergence],
    listener: Listener,
    today: datetime.date,
    crew: Crew | None = None,
) -> dict[str, Any]:
    """Run every unit that is not yet on disk, close the run, and return its footer.

    A ``crew`` does the units elsewhere; without one, processes of this machine do.
    """
    began = time.monotonic()
    cases = plan_cases(request.profile, cases=request.cases, seed=request.seed)
    units = plan_units(subjects, cases, request.shard)
    run = _open(request, subjects, known, cases, crew)
    versions = recorded_versions()
    try:
        campaign = _Campaign(run, versions, known, listener, request, cases)
        with _set_aside(), _short_turns():
            campaign.run(units, request.workers, crew)
        footer, diverging = close_run(run, known, cases, today)
        campaign.bundles.close(diverging)
        footer["seconds"] = round(time.monotonic() - began, 1)
        run.close(footer)
    finally:
        run.release()
    return footer


@contextlib.contextmanager
def _set_aside() -> Iterator[None]:
    """Spare the garbage collector what is there already, modules and cases, till this is over.

    Judging makes so many small objects that it would look through all of it again and again, and
    find nothing.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def _short_turns() -> Iterator[None]:
    """Let a thread that reads answers go before one that judges, till this is over.

    An answer comes through a pipe in many pieces, and for each the reader waits until the judge's
    turn ends: at Python's 5 ms a turn, workers would wait for it, too (``benchmarks/turns.py``).
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


_Pair: TypeAlias = tuple[Unit, Answer | None]
"""An answer with its unit, or a unit by itself, which begins there."""


def _weight(pair: _Pair) -> float:
    """What an answer that waits counts as, in elements of input."""
    _, answer = pair
    each = AHEAD_ELEMENTS / AHEAD_ANSWERS
    return each if answer is None else max(each, getattr(answer[0], "elements", 0))


def _by_unit(pairs: Iterable[_Pair]) -> Iterator[tuple[Unit, Iterator[Answer]]]:
    """Each unit with its answers, to be taken before the next unit is, once there is the first."""
    for _, same in itertools.groupby(pairs, key=lambda pair: pair[0].block):
        unit, _ = next(same)
        answers = (answer for _, answer in same if answer is not None)  # noqa: B031 -- once
        # Waited for here: what comes before the first answer is no work, but a process's start.
        first = list(itertools.islice(answers, 1))
        yield unit, itertools.chain(first, answers)


class _Campaign:
    """Drives the units; holds what they share. It is the :class:`Desk` of a crew."""

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
        self.labels = Labels(entries=known)
        self.bundles = Bundles(run.divergences)
        self.known = tuple(known)
        self.limit, self.memory = request.profile.seconds_per_case, request.memory
        self.workers = request.workers
        self._stop = Event()
        self._judging = Lock()
        self._left: dict[str, int] = {}

    @property
    def stopped(self) -> bool:
        """Whether everybody is to stop."""
        return self._stop.is_set()

    def run(self, units: Sequence[Unit], workers: int, crew: Crew | None) -> None:
        """All that is not on disk, by ``workers``; the first harness error stops everything."""
        scheduler = self._schedule(units)
        work = self._work if crew is None else partial(crew.work, desk=self)
        with ThreadPoolExecutor(max_workers=workers) as executor:
            waiting = [executor.submit(work, scheduler) for _ in range(workers)]
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
            questions = sum(unit.questions for unit in left)
            if not left and not run.explanation(subject).exists():
                left = mine[-1:]
            if left:
                scheduler.add(subject, left)
                self._left[subject] = questions
        return scheduler

    def _work(self, scheduler: Scheduler) -> None:
        """One worker: units of one subject after another, until there are none to take."""
        unit = scheduler.take(None)
        while unit is not None:
            subject = unit.subject
            environment = subject.adapter.environment
            with SubjectProcess(subject.target, environment, memory=self.memory) as process:
                self._work_for(unit, scheduler, process)
            if self._stop.is_set():
                return
            unit = scheduler.take(subject.name)

    def _work_for(self, first: Unit, scheduler: Scheduler, process: SubjectProcess) -> None:
        """Units of one subject, from ``first`` on, while any waits.

        The next ones are asked while a thread of its own judges the answers to this one.
        """
        pipe = Pipe[_Pair](AHEAD_ELEMENTS, _weight)
        # Asked from here, where the process is started: it would end with its thread.
        with ThreadPoolExecutor(max_workers=1) as executor:
            judging = executor.submit(self._judge, pipe, scheduler)
            with pipe.filling():
                for pair in self._asked(first, scheduler, process):
                    if not pipe.put(pair):
                        break
        if judging.result():
            self._explain(first.subject, process)
            self.expects(scheduler)

    def _judge(self, pipe: Pipe[_Pair], scheduler: Scheduler) -> bool:
        """Judge what comes; whether that was the last of the subject."""
        last = False
        with pipe.emptying():
            for unit, found in _by_unit(pipe):
                scheduler.begin(unit)
                self._do(unit, found)
                if self._stop.is_set():
                    return False
                last = scheduler.done(unit)
                self.expects(scheduler)
        return last

    def _asked(self, first: Unit, scheduler: Scheduler, process: SubjectProcess) -> Iterator[_Pair]:
        """One unit after another, by itself and then with each answer that there is to it."""
        unit: Unit | None = first
        while unit is not None:
            yield unit, None
            if self.begins(unit):
                yield from ((unit, answer) for answer in asked(unit, process, self.limit))
            process.refresh()
            unit = scheduler.more(unit.subject.name)

    def _do(self, unit: Unit, found: Iterable[Answer]) -> None:
        """The rows of one unit, on disk when it is done."""
        if self._is_written(unit):
            return
        rows: list[Record] = []
        for judged in judged_answers(unit, found):
            rows += self._record(unit.subject, judged)
            self.listener.advanced(unit.subject.name, 1)
            # It holds arrays, which must not stay while the next ones are made.
            del judged
            if self._stop.is_set():
                return
        self._write(unit, rows)

    def begins(self, unit: Unit) -> bool:
        """Tell the listener of a subject's first unit; whether the unit is not on disk yet."""
        subject = unit.subject.name
        with self._judging:
            total = self._left.pop(subject, None)
        if total is not None:
            self.listener.started(subject, total)
        return not self._is_written(unit)

    def _is_written(self, unit: Unit) -> bool:
        return self.run_directory.part(unit.subject.name, unit.block).exists()

    def keep(self, unit: Unit, found: Found) -> None:
        """Write what a crew found in a unit."""
        info = info_of(unit.subject)
        with self._judging:
            for row, exhibit in found.exhibits:
                self.bundles.offer(row, exhibit, self._versions_of(info))
        self.listener.advanced(unit.subject.name, unit.questions)
        self._write(unit, found.rows)

    def expects(self, scheduler: Scheduler) -> None:
        """Tell the listener how long the rest will take."""
        seconds, sure = scheduler.estimate(self.workers)
        self.listener.expects(seconds, at_least=not sure)

    def _write(self, unit: Unit, rows: Sequence[Record]) -> None:
        rows = sorted(rows, key=lambda row: (row.case_id, row.clause, row.quantity))
        part = self.run_directory.part(unit.subject.name, unit.block)
        self.run_directory.write_part(part, rows)

    def rows_of(self, subject: Subject) -> pd.DataFrame:
        """All rows of a subject that are on disk, in the columns that explaining them needs."""
        return self.run_directory.records_of(subject.name, NEEDED)

    def keep_explanations(self, subject: Subject, explained: Sequence[Mapping[str, Any]]) -> None:
        """Write the causes that :func:`explained_rows` gave for a subject."""
        write_explanations(self.run_directory.explanation(subject.name), explained)

    def _explain(self, subject: Subject, process: SubjectProcess) -> None:
        rows = self.rows_of(subject)
        found = explain_subject(subject.adapter, rows, self.cases, process, self.limit)
        self.keep_explanations(subject, explained_rows(found, rows, self.cases))

    def _record(self, subject: Subject, judged: Judged) -> list[Record]:
        info = info_of(subject)
        topic, outcome = judged.topic, judged.outcome
        with self._judging:
            rows = make_records(info, topic, outcome, judged.judgements, self.labels)
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
    crew: Crew | None,
) -> RunDirectory:
    manifest = make_manifest(request, subjects, known, len(cases))
    if crew is not None:
        manifest["cluster"] = dict(crew.facts)
    if request.resume:
        return RunDirectory.resume(request.out, manifest)
    return RunDirectory.create(request.out, manifest, cases, other_topics())
