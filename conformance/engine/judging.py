"""From an outcome to its judgements and its exhibit, for each kind of question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..case import Case
from ..cases.fills import make_many
from ..cases.malformed import MalformedCall, Probe, make_call
from ..contract import Adapter, Observation, Outcome
from ..experiments.experiment import Experiment
from ..judging.judge import Trial, judge_all
from ..judging.judge_experiment import judge_experiment
from ..judging.judge_malformed import judge_malformed
from ..reference import Conventions, expect_many
from ..topic import Topic, topic_of_case, topic_of_experiment, topic_of_probe
from ..verdict import Judgement
from .bundles import Exhibit


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A question's topic, what became of it, and all that follows; no exhibit if not asked."""

    topic: Topic
    outcome: Outcome | Observation
    judgements: tuple[Judgement, ...]
    exhibit: Exhibit | None = None


def make_trial(case: Case, adapter: type[Adapter]) -> Trial:
    """The arrays of ``case`` and what they must give under the adapter's dialect."""
    (trial,) = make_trials([case], adapter)
    return trial


def make_trials(cases: Sequence[Case], adapter: type[Adapter]) -> list[Trial]:
    """What :func:`make_trial` gives for each of ``cases``, those of a signature all at once."""
    inputs = make_many(cases)
    expected = expect_many(cases, inputs, Conventions.of(adapter.dialect))
    return [
        Trial(case=case, inputs=given, expected=want)
        for case, given, want in zip(cases, inputs, expected, strict=True)
    ]


def judged_case(case: Case, outcome: Outcome, adapter: type[Adapter]) -> Judged:
    """A case that was asked."""
    (judged,) = judged_cases([(case, outcome)], adapter)
    return judged


def judged_cases(asked: Sequence[tuple[Case, Outcome]], adapter: type[Adapter]) -> Iterator[Judged]:
    """Cases that were asked, in their order: together they cost a fraction of what each would."""
    trials = make_trials([case for case, _ in asked], adapter)
    outcomes = [outcome for _, outcome in asked]
    pairs = list(zip(trials, outcomes, strict=True))
    found = judge_all(pairs, adapter.dialect, adapter.capabilities)
    for (trial, outcome), judgements in zip(pairs, found, strict=True):
        yield _judged(topic_of_case(trial.case), trial, outcome, judgements)


def judged_experiment(experiment: Experiment, outcome: Observation) -> Judged:
    """An experiment that was tried."""
    judgements = judge_experiment(experiment, outcome)
    return _judged(topic_of_experiment(experiment), experiment, outcome, judgements)


def judged_probe(probe: Probe, outcome: Outcome, adapter: type[Adapter]) -> Judged:
    """A malformed call that was made."""
    call = make_call(probe)
    judgements = judge_malformed(call, outcome, adapter.dialect, adapter.capabilities)
    return _judged(topic_of_probe(probe), call, outcome, judgements)


def _judged(
    topic: Topic,
    asked: Trial | Experiment | MalformedCall,
    outcome: Outcome | Observation,
    judgements: tuple[Judgement, ...],
) -> Judged:
    exhibit = Exhibit(topic=topic, asked=asked, outcome=outcome)
    return Judged(topic=topic, outcome=outcome, judgements=judgements, exhibit=exhibit)
