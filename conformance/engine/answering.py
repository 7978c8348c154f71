"""A unit of work put to its subject: everything it asks, answered and judged."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, cast

from ..case import Case
from ..cases.malformed import Probe
from ..contract import Adapter, Observation, Outcome, Unsupported
from ..experiments.experiment import Experiment
from ..judging.judge import judge_unsupported
from ..judging.judge_malformed import judge_not_asked, why_not_asked
from ..topic import topic_of_case, topic_of_probe
from .judging import Judged, judged_cases, judged_experiment, judged_probe
from .process import Question, SubjectProcess
from .units import Unit

Answer: TypeAlias = tuple[Case | Experiment | Probe, Outcome | Observation]
"""What was asked, and what became of it."""

REPEAT_EVERY = 8
"""One case in so many is run twice, to see whether it gives the same bits."""

BATCH = 128
"""Answers that are judged together."""

BATCH_ELEMENTS = 2**17
"""Elements of input that a batch may have, unless one case has more: they do not pile up."""

_ONE_LARGE = threading.Lock()
"""Held while a large batch is judged: several at a time would take that much more memory."""


def repeats(case: Case) -> bool:
    """Whether ``case`` is run twice: the same cases for every subject and at every run."""
    return int(case.id, 16) % REPEAT_EVERY == 0


def answers(unit: Unit, process: SubjectProcess, limit: float) -> Iterator[Judged]:
    """Everything the unit asks, judged, what is out of the subject's reach first."""
    yield from judged_answers(unit, asked(unit, process, limit))


def asked(unit: Unit, process: SubjectProcess, limit: float) -> Iterator[Answer]:
    """What the subject answers to all that the unit asks of it; ``limit`` seconds for each."""
    adapter = unit.subject.adapter
    cases = [case for case in unit.cases if adapter.capabilities.unsupported(case) is None]
    yield from process.ask((Question(case=case, repeat=repeats(case)) for case in cases), limit)
    by_name = {experiment.name: experiment for experiment in unit.experiments}
    for name, observation in process.observe(by_name, limit):
        yield by_name[name], observation
    probes = [p for p in unit.probes if why_not_asked(p, adapter.capabilities) is None]
    yield from process.call_malformed(probes, limit)


def judged_answers(unit: Unit, found: Iterable[Answer]) -> Iterator[Judged]:
    """The judgements of a unit, of which ``found`` is what :func:`asked` gave."""
    adapter = unit.subject.adapter
    for case in unit.cases:
        if (reason := adapter.capabilities.unsupported(case)) is not None:
            yield _case_out_of_reach(case, reason)
    others: list[Answer] = []
    for batch in batches(_of_cases(found, others)):
        with room_for(batch):
            judged = deque(_judged_batch(batch, adapter))
        # Let go one by one: each holds all its arrays, and the next batch takes as much again.
        batch.clear()
        while judged:
            yield judged.popleft()
    for probe in unit.probes:
        if (reason := why_not_asked(probe, adapter.capabilities)) is not None:
            yield _probe_out_of_reach(probe, reason)
    for question, outcome in others:
        match question:
            case Experiment():
                yield judged_experiment(question, cast("Observation", outcome))
            case Probe():
                yield judged_probe(question, cast("Outcome", outcome), adapter)


def _of_cases(found: Iterable[Answer], others: list[Answer]) -> Iterator[tuple[Case, Outcome]]:
    """The answers to cases; those to anything else, which come last, go to ``others``."""
    for question, outcome in found:
        if isinstance(question, Case):
            yield question, cast("Outcome", outcome)
        else:
            others.append((question, outcome))


def batches(
    answers: Iterable[tuple[Case, Outcome]],
) -> Iterator[list[tuple[Case, Outcome]]]:
    """``answers`` in order, as many at a time as are worth judging together."""
    batch: list[tuple[Case, Outcome]] = []
    elements = 0
    for case, outcome in answers:
        if batch and elements + case.elements > BATCH_ELEMENTS:
            yield batch
            batch, elements = [], 0
        batch.append((case, outcome))
        elements += case.elements
        if len(batch) >= BATCH:
            yield batch
            batch, elements = [], 0
    if batch:
        yield batch


def room_for(batch: Sequence[tuple[Case, Outcome]]) -> AbstractContextManager[Any]:
    """To be held while ``batch`` is judged; what is large waits for what is large."""
    large = sum(case.elements for case, _ in batch) > BATCH_ELEMENTS // 2
    return _ONE_LARGE if large else contextlib.nullcontext()


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
