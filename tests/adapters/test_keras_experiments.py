"""The experiments on Keras 3, with each of its backends.

Keras has one backend per process: this file, run as a script, runs every experiment for one.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from bnconform.adapters.keras_experiments import NAMES, observe
from bnconform.adapters.keras_layer import KerasJax, KerasTensorflow, KerasTorch
from bnconform.conformance.contract import Observed
from bnconform.conformance.experiments.registry import ALL, EXPERIMENTS
from bnconform.conformance.judging.judge_experiment import judge_experiment
from bnconform.conformance.verdict import Conforms

Found: TypeAlias = dict[str, Any]
Subject: TypeAlias = type[KerasTensorflow | KerasTorch | KerasJax]
SUBJECTS: tuple[Subject, ...] = (KerasTensorflow, KerasTorch, KerasJax)


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What every backend observes, by subject and experiment."""
    answers: Found = {}
    for subject in SUBJECTS:
        file = tmp_path_factory.mktemp("keras") / "experiments.pickle"
        command = [sys.executable, __file__, subject.name, str(file)]
        environment = os.environ | subject.environment
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        answers |= pickle.loads(file.read_bytes())  # noqa: S301 -- written by this file
    return answers


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
@pytest.mark.parametrize("name", sorted(NAMES))
def test_keras_shows_what_its_documentation_says(name: str, subject: Subject, found: Found) -> None:
    """Every observed array is within its bound of what the clause promises."""
    experiment, arrays = EXPERIMENTS[name], found[f"{subject.name}: {name}"]
    judgements = judge_experiment(experiment, Observed(arrays=arrays, seconds=0.0, output=""))
    wrong = [each for each in judgements if not isinstance(each.verdict, Conforms)]
    assert not wrong
    assert set(arrays) == set(experiment.clauses)


def test_keras_runs_experiments_that_there_are() -> None:
    """An adapter spells them out, because it may not look into the standard."""
    assert {experiment.name for experiment in ALL} >= NAMES


def _main(subject: str, file: Path) -> None:
    import keras

    answers = {
        f"{subject}: {name}": observe(keras, name, EXPERIMENTS[name].arrays) for name in NAMES
    }
    file.write_bytes(pickle.dumps(answers))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
