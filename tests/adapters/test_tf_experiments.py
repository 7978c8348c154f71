"""The experiments on real TensorFlow, and what its layer says and does about its parameters.

TensorFlow reads its environment when it is imported, so it never is in this process: this file,
run as a script, runs every experiment for both subjects in one go.
"""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from bnconform.adapters.tf_layers import TfLayersFused, TfLayersUnfused
from bnconform.conformance.answers import parameters
from bnconform.conformance.contract import Observed
from bnconform.conformance.experiments.experiment import Experiment
from bnconform.conformance.experiments.registry import LAYERS
from bnconform.conformance.judging.judge_experiment import judge_experiment
from bnconform.conformance.verdict import Conforms

Found: TypeAlias = dict[str, Any]
Subject: TypeAlias = type[TfLayersFused | TfLayersUnfused]
SUBJECTS: tuple[Subject, ...] = (TfLayersFused, TfLayersUnfused)


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What both subjects observe, by subject and experiment, and the function's parameters."""
    file = tmp_path_factory.mktemp("tensorflow") / "experiments.pickle"
    environment = os.environ | TfLayersFused.environment
    command = [sys.executable, __file__, str(file)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    answers: Found = pickle.loads(file.read_bytes())  # noqa: S301 -- written by this file
    return answers


NO_GROUPS = pytest.mark.xfail(
    raises=AssertionError,
    strict=True,
    reason="virtual_batch_size is ignored in training when training is fed",
)
"""tf_keras, BatchNormalizationBase.call: ``if training_value else [-1, 1]``, None if fed."""


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
@pytest.mark.parametrize(
    "experiment",
    [
        pytest.param(
            each, id=each.name, marks=NO_GROUPS if each.name == "training.virtual_batches" else ()
        )
        for each in LAYERS
    ],
)
def test_tensorflow_shows_what_its_documentation_says(
    experiment: Experiment, subject: Subject, found: Found
) -> None:
    """Every observed array is within its bound of what the clause promises."""
    arrays = found[f"{subject.name}: {experiment.name}"]
    judgements = judge_experiment(experiment, Observed(arrays=arrays, seconds=0.0, output=""))
    wrong = [each for each in judgements if not isinstance(each.verdict, Conforms)]
    assert not wrong
    assert set(arrays) == set(experiment.clauses)


def test_the_parameters_that_are_answered_are_those_of_the_real_function(found: Found) -> None:
    """Every one of ``tf.compat.v1.layers.batch_normalization``, in its order."""
    answered = [parameter.name for parameter in parameters()]
    assert answered == found["parameters"]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_the_subjects_declare_all_experiments(subject: Subject) -> None:
    """The layer has every parameter that an experiment is about."""
    assert subject.capabilities.experiments >= {experiment.name for experiment in LAYERS}


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        pytest.param("second layer of one name", "Variable shared/gamma already exists", id="name"),
        pytest.param("a remainder", "evenly divisible", id="virtual batch"),
    ],
)
def test_what_is_rejected_is_rejected_for_the_reason_that_the_experiment_is_about(
    fact: str, words: str, found: Found
) -> None:
    """The error says so."""
    assert words in found[fact]


def _main(file: Path) -> None:
    adapters = [subject() for subject in SUBJECTS]
    answers: Found = {
        f"{adapter.name}: {experiment.name}": adapter.observe(experiment.name, experiment.arrays)
        for adapter in adapters
        for experiment in LAYERS
    }
    tf = adapters[0].tf
    function = tf.compat.v1.layers.batch_normalization
    kept = [name for name in inspect.signature(function).parameters if name != "kwargs"]
    answers["parameters"] = kept
    answers["second layer of one name"] = _error(tf, _same_name)
    answers["a remainder"] = _error(tf, _remainder)
    file.write_bytes(pickle.dumps(answers))


def _same_name(tf: Any) -> None:
    x = tf.constant([[1.0, 2.0]])
    for _ in range(2):
        tf.compat.v1.layers.batch_normalization(x, name="shared")


def _remainder(tf: Any) -> None:
    x = tf.constant([[1.0, 2.0]] * 3)
    y = tf.compat.v1.layers.batch_normalization(x, training=True, virtual_batch_size=2)
    with tf.compat.v1.Session() as session:
        session.run(tf.compat.v1.global_variables_initializer())
        session.run(y)


def _error(tf: Any, call: Any) -> str:
    with tf.Graph().as_default():
        try:
            call(tf)
        except Exception as error:  # noqa: BLE001 -- which one it is, is the question
            return f"{type(error).__name__}: {error}"
    return "nothing"


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
