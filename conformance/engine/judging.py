"""From an outcome to its judgements and its exhibit, for each kind of question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..case import Case
from ..cases.fills import Inputs, make_many
from ..cases.malformed import MalformedCall, Probe, make_call
from ..contract import Adapter, Observation, Outcome
from ..expecting.expectation import NumberSystem
from ..experiments.experiment import Experiment
from ..judging.judge import Trial, judge_all
from ..judging.judge_experiment import judge_experiment
from ..judging.judge_malformed import judge_malformed
from ..reference import Conventions, closely, enough, expect_many
from ..topic import Topic, topic_of_case, topic_of_experiment, topic_of_probe
from ..verdict import Diverges, Judgement
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
    (trial,) = _trials([case], make_many([case]), adapter, closely)
    return trial


def _trials(
    cases: Sequence[Case],
    inputs: Sequence[Inputs],
    adapter: type[Adapter],
    number: Callable[[Case], NumberSystem],
) -> list[Trial]:
    expected = expect_many(cases, inputs, Conventions.of(adapter.dialect), number)
    return [
        Trial(case=case, inputs=given, expected=want)
        for case, given, want in zip(cases, inputs, expected, strict=True)
    ]


def judged_case(case: Case, outcome: Outcome, adapter: type[Adapter]) -> Judged:
    """A case that was asked."""
    (judged,) = judged_cases([(case, outcome)], adapter)
    return judged


def judged_cases(asked: Sequence[tuple[Case, Outcome]], adapter: type[Adapter]) -> Iterator[Judged]:
    """Cases that were asked, in their order: together they cost a fraction of what each would.

    What conforms is judged by as many digits as that takes, what diverges again by all of them, so
    that its evidence has them.
    """
    cases, outcomes = [case for case, _ in asked], [outcome for _, outcome in asked]
    inputs = make_many(cases)
    trials = _trials(cases, inputs, adapter, enough)
    found = judge_all(
        list(zip(trials, outcomes, strict=True)), adapter.dialect, adapter.capabilities
    )
    again = [
        index
        for index, (case, judgements) in enumerate(zip(cases, found, strict=True))
        if enough(case) is not closely(case) and any(map(_diverges, judgements))
    ]
    if again:
        close = _trials([cases[i] for i in again], [inputs[i] for i in again], adapter, closely)
        pairs = list(zip(close, (outcomes[i] for i in again), strict=True))
        surely = judge_all(pairs, adapter.dialect, adapter.capabilities)
        for index, trial, judgements in zip(again, close, surely, strict=True):
            trials[index], found[index] = trial, judgements
    for trial, outcome, judgements in zip(trials, outcomes, found, strict=True):
        yield _judged(topic_of_case(trial.case), trial, outcome, judgements)


def _diverges(judgement: Judgement) -> bool:
    return isinstance(judgement.verdict, Diverges)


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
