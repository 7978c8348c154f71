"""Divergence bundles: for each distinct divergence, its simplest case with all arrays."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..cases.fills import Inputs
from ..cases.malformed import MalformedCall
from ..contract import (
    Answered,
    Array,
    Crashed,
    Hung,
    Observation,
    Observed,
    Outcome,
    Quantity,
    Raised,
)
from ..experiments.experiment import Experiment
from ..judging.judge import Trial
from ..record import UNEXPECTED, Record
from ..reference import Expectation
from ..topic import Rank, Topic
from .run_directory import write_json, writing

BundleKey = tuple[str, str, str, str, str, str]


def bundle_key(record: Record) -> BundleKey:
    """What makes two rows the same divergence."""
    return (
        record.subject, record.clause, record.quantity, record.verdict, record.cause, record.known
    )  # fmt: skip


def bundle_id(key: BundleKey) -> str:
    """Twelve hex digits of the key's hash."""
    return hashlib.sha256("\x1f".join(key).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """What a bundle shows: what was asked, with its arrays, and what became of it."""

    topic: Topic
    asked: Trial | Experiment | MalformedCall
    outcome: Outcome | Observation


class Bundles:
    """Keeps the simplest example of each divergence on disk."""

    def __init__(self, folder: Path) -> None:
        """Take up what an interrupted run left in ``folder``."""
        self.folder = folder
        self._best: dict[str, Rank] = {}
        for path in sorted(folder.glob("*/divergence.json")):
            found = json.loads(path.read_text(encoding="utf-8"))
            steps, elements, rank, name = found["simplicity"]
            self._best[found["id"]] = steps, elements, rank, name

    def offer(self, record: Record, exhibit: Exhibit, versions: Mapping[str, str]) -> None:
        """Keep ``record`` as the example of its divergence if it is the simplest so far."""
        if record.verdict not in UNEXPECTED:
            return
        key = bundle_key(record)
        name, rank = bundle_id(key), exhibit.topic.rank_of_example
        if name in self._best and self._best[name] <= rank:
            return
        self._best[name] = rank
        folder = self.folder / name
        arrays: dict[str, Any] = dict(_arrays(record, exhibit))
        with writing(folder / "arrays.npz") as temporary:
            folder.mkdir(exist_ok=True)
            with temporary.open("wb") as stream:  # by name, NumPy would give it another suffix
                np.savez(stream, **arrays)
        write_json(folder / "divergence.json", _description(name, record, exhibit, versions))

    def close(self, frame: pd.DataFrame) -> None:
        """Write into each bundle how many rows and cases it stands for."""
        columns = ["subject", "clause", "quantity", "verdict", "cause", "known"]
        bad = frame[frame["verdict"].isin([kind.value for kind in UNEXPECTED])]
        for values, rows in bad.groupby(columns):
            subject, clause, quantity, verdict, cause, known = map(str, values)
            name = bundle_id((subject, clause, quantity, verdict, cause, known))
            path = self.folder / name / "divergence.json"
            if not path.exists():
                continue
            found = json.loads(path.read_text(encoding="utf-8"))
            found["count"] = len(rows)
            found["cases"] = sorted(rows["case_id"].unique())[:50]
            write_json(path, found)


def _description(
    name: str, record: Record, exhibit: Exhibit, versions: Mapping[str, str]
) -> dict[str, Any]:
    def number(value: float) -> float | str:
        # JSON has no NaN and no infinity.
        return value if math.isfinite(value) else repr(value)

    return {
        "id": name,
        "subject": record.subject,
        "clause": record.clause,
        "quantity": record.quantity,
        "verdict": record.verdict,
        "cause": record.cause,
        "known": record.known,
        "count": 1,
        "case": dict(exhibit.topic.told),
        "simplicity": list(exhibit.topic.rank_of_example),
        "case_id": record.case_id,
        "step": record.step,
        "worst_index": record.worst_index,
        "expected": number(record.expected),
        "got": number(record.got),
        "bound": number(record.bound),
        "error_ratio": number(record.error_ratio),
        "message": record.message,
        "output": _output(exhibit.outcome),
        "versions": dict(versions),
    }


def _output(outcome: Outcome | Observation) -> str:
    match outcome:
        case Raised(traceback=trace, output=output):
            return f"{output}\n{trace}".strip()
        case Answered() | Observed() | Crashed() | Hung():
            return outcome.output
        case _:
            return ""


def _arrays(record: Record, exhibit: Exhibit) -> dict[str, Array]:
    """What went in, and got, expected and bound where there are any."""
    match exhibit.asked:
        case Trial() as trial:
            return _of_trial(record, trial, exhibit.outcome)
        case Experiment() as experiment:
            return _of_experiment(record, experiment, exhibit.outcome)
        case MalformedCall() as call:
            return _of_call(call, exhibit.outcome)


def _of_call(call: MalformedCall, outcome: Outcome | Observation) -> dict[str, Array]:
    arrays = {name: _portable(array) for name, array in call.arrays.items()}
    if isinstance(outcome, Answered):
        arrays["got"] = _portable(outcome.answer.steps[0].y)
    return arrays


def _of_experiment(
    record: Record, experiment: Experiment, outcome: Outcome | Observation
) -> dict[str, Array]:
    arrays = {name: _portable(array) for name, array in experiment.arrays.items()}
    if isinstance(outcome, Observed) and record.quantity in outcome.arrays:
        want = experiment.expected()[record.quantity]
        arrays["got"] = _portable(outcome.arrays[record.quantity])
        arrays["expected"], arrays["bound"] = want.value.to_float64(), want.bound
    return arrays


def _of_trial(record: Record, trial: Trial, outcome: Outcome | Observation) -> dict[str, Array]:
    """Inputs of the step in question, and the quantity's values."""
    arrays = _inputs(record, trial.inputs)
    if not isinstance(outcome, Answered) or record.quantity not in set(Quantity):
        return arrays
    quantity = Quantity(record.quantity)
    got, want = _pair(quantity, record, trial, outcome)
    if got is not None:
        arrays["got"] = _portable(got)
    if want is not None:
        arrays["expected"], arrays["bound"] = want.value.to_float64(), want.bound
    return arrays


def _pair(
    quantity: Quantity, record: Record, trial: Trial, outcome: Answered
) -> tuple[Array | None, Expectation | None]:
    after = quantity is Quantity.Y_INFER or record.clause == "BN-INFER-2"
    if after and outcome.answer.inference is not None and trial.expected.inference is not None:
        name = "y" if quantity is Quantity.Y_INFER else quantity.value
        return getattr(outcome.answer.inference, name), trial.expected.inference.get(quantity)
    step = max(record.step, 0)
    want = trial.expected.steps[step].get(quantity)
    return getattr(outcome.answer.steps[step], quantity.value, None), want


def _inputs(record: Record, inputs: Inputs) -> dict[str, Array]:
    after = record.quantity == Quantity.Y_INFER
    step = inputs.inference if after else inputs.steps[max(record.step, 0)]
    parameters = inputs.parameters
    named = {
        "x": step.x,
        "dy": step.dy,
        "gamma": parameters.gamma,
        "beta": parameters.beta,
        "running_mean": parameters.running_mean,
        "running_var": parameters.running_var,
    }
    return {name: _portable(array) for name, array in named.items() if array is not None}


def _portable(array: Array) -> Array:
    """bfloat16 widened to float32, exactly: the .npy format does not know it."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
