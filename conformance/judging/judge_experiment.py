"""Where an experiment is judged: what was observed against what must be."""

from __future__ import annotations

from collections.abc import Iterator

from ..contract import Crashed, Hung, Observation, Observed, Raised, Unsupported
from ..experiments.experiment import Experiment
from ..verdict import Cause, Conforms, Diverges, Judgement, WorkerCrashed, WorkerHung, WrongContract
from .compare import compare
from .judge import call_judgement, judge_unsupported


def judge_experiment(experiment: Experiment, outcome: Observation) -> tuple[Judgement, ...]:
    """Every judgement that ``outcome`` allows, in a fixed order."""
    match outcome:
        case Unsupported():
            return (judge_unsupported(outcome),)
        case Crashed(exit_code=exit_code):
            return (call_judgement("BN-CALL-1", WorkerCrashed(exit_code=exit_code)),)
        case Hung(limit=limit):
            return (call_judgement("BN-CALL-1", WorkerHung(limit=limit)),)
        case Raised(error=error):
            return (call_judgement("BN-CALL-1", WrongContract(message=f"raised {error}")),)
        case Observed():
            return tuple(_judge_observed(experiment, outcome))


def _judge_observed(experiment: Experiment, outcome: Observed) -> Iterator[Judgement]:
    yield call_judgement("BN-CALL-1", Conforms())
    expected = experiment.expected()
    for name, clause in experiment.clauses.items():
        got = outcome.arrays.get(name)
        if got is None:
            message = f"did not observe {name}; it gave {', '.join(outcome.arrays) or 'nothing'}"
            missing = Diverges(cause=Cause.MISSING, message=message)
            yield Judgement(clause=clause, quantity=name, verdict=missing)
        else:
            yield Judgement(clause=clause, quantity=name, verdict=compare(got, expected[name]))
