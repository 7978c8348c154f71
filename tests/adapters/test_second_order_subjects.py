"""Second derivatives of real frameworks: right, but where they are known not to be.

Frameworks read their environment when they are imported and Keras has one backend per process, so
``second_order_script.py`` asks each subject in a process of its own.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bnconform.adapters import REGISTRY
from bnconform.conformance.contract import Array, Observed
from bnconform.conformance.experiments.registry import EXPERIMENTS
from bnconform.conformance.experiments.second_order import (
    REVERSE_OVER_FORWARD,
    VECTORIZED_REVERSE,
)
from bnconform.conformance.judging.judge_experiment import judge_experiment
from bnconform.conformance.verdict import Cause, Conforms, Diverges

SCRIPT = Path(__file__).with_name("second_order_script.py")
NEED_A_GPU = ("torch.cuda", "torch.cudnn")
SUBJECTS = tuple(
    name
    for name in REGISTRY
    if name.split(".")[0] in ("equinox", "flax", "haiku", "keras", "tf", "torch")
    and name not in NEED_A_GPU
)
MOMENTS = ("tf.nn", "tf.layers.unfused", "keras.tensorflow")
"""Their variance is tf.nn.moments', which stops the gradient at the mean."""
TANGENTS = ("torch.functional", "torch.module")
"""Their tangents take the batch's saved statistics as constants when they are differentiated, and
so do their gradients by the weight under torch.func.vmap."""
IN_FLOAT32 = ("keras.torch", "keras.jax")
"""Their float64 is float32's precision."""


def wrong_of(subject: str, experiment: str) -> set[str]:
    """What is known to diverge."""
    if subject in IN_FLOAT32 and ".float64." in experiment:
        return set(EXPERIMENTS[experiment].clauses)
    if subject in MOMENTS and ".training." in experiment:
        return set(EXPERIMENTS[experiment].clauses) & {"by_x", "dx_tangent"}
    if subject in TANGENTS and experiment.startswith(f"{REVERSE_OVER_FORWARD}training."):
        return {"by_x"}
    vectorized = experiment.startswith(f"{VECTORIZED_REVERSE}training.")
    if subject in TANGENTS and vectorized and "gamma" in EXPERIMENTS[experiment].arrays:
        return {"by_x"}
    return set()


def diverging(experiment: str, arrays: Mapping[str, Array]) -> set[str]:
    """Names of the quantities that do not conform."""
    observed = Observed(arrays=arrays, seconds=0.0, output="")
    found = judge_experiment(EXPERIMENTS[experiment], observed)
    return {each.quantity for each in found if not isinstance(each.verdict, Conforms)}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What a subject observes and how often it vectorizes, by experiment; run once."""
    kept: dict[str, Any] = {}

    def of(subject: str) -> Any:
        if subject not in kept:
            file = tmp_path_factory.mktemp("second") / "answers.pickle"
            module, _, name = REGISTRY[subject].partition(":")
            adapter = getattr(importlib.import_module(module), name)
            environment = os.environ | adapter.environment
            command = [sys.executable, str(SCRIPT), subject, str(file)]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            kept[subject] = pickle.loads(file.read_bytes())  # noqa: S301 -- written by our script
        return kept[subject]

    return of


@pytest.fixture(scope="session")
def answers(runs: Callable[[str], Any]) -> Callable[[str], Mapping[str, Any]]:
    """What a subject observes, by experiment."""

    def of(subject: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = runs(subject)[0]
        return found

    return of


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_framework_differentiates_twice_as_it_is_known_to(
    subject: str, answers: Callable[[str], Mapping[str, Any]]
) -> None:
    """Right within every bound, but where conformance/known says that it is not."""
    wrong = {}
    for name, arrays in answers(subject).items():
        if not isinstance(arrays, str):
            wrong[name] = diverging(name, arrays)
    assert wrong
    assert wrong == {name: wrong_of(subject, name) for name in wrong}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_gradient_is_vectorized_where_that_is_asked_for_and_nowhere_else(
    subject: str, runs: Callable[[str], Any]
) -> None:
    """By the framework's own map: an adapter that went round it would find nothing wrong."""
    _, calls = runs(subject)
    mapped = set()
    for mode in (".training.", ".inference."):
        of_mode = {name: times for name, times in calls.items() if mode in name}
        # Not 0 everywhere: Equinox's layer is itself called under a map.
        mapped |= {name for name, times in of_mode.items() if times > min(of_mode.values())}
    assert mapped == {name for name in calls if name.startswith(VECTORIZED_REVERSE)}
    assert mapped


@pytest.mark.parametrize("subject", ["tf.fused", "tf.layers.fused"])
def test_the_fused_operation_has_no_float64(
    subject: str, answers: Callable[[str], Mapping[str, Any]]
) -> None:
    """Said, and not computed in another format."""
    found = answers(subject)
    refused = {name for name, arrays in found.items() if isinstance(arrays, str)}
    assert refused == {name for name in found if ".float64." in name}
    assert refused


@pytest.mark.parametrize("subject", MOMENTS)
def test_a_variance_about_a_stopped_mean_is_wrong_by_more_than_rounding(
    subject: str, answers: Callable[[str], Mapping[str, Any]]
) -> None:
    """A thousand bounds off in float32: nobody could take it for rounding."""
    name = "second.training.float32.channels_first"
    observed = Observed(arrays=answers(subject)[name], seconds=0.0, output="")
    (found,) = (
        each.verdict
        for each in judge_experiment(EXPERIMENTS[name], observed)
        if each.quantity == "by_x"
    )
    assert isinstance(found, Diverges)
    assert found.cause is Cause.BEYOND_BOUND
    assert found.measure is not None
    assert found.measure.ratio > 1000
