"""Second derivatives as experiments: what adapters are handed, and miniatures."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnconform.adapters.second_order import request as second_order
from bnconform.adapters.tf_fused import TfFused
from bnconform.conformance.contract import Array, Observed, Unsupported, UnsupportedError
from bnconform.conformance.engine import worker
from bnconform.conformance.experiments.experiment import Experiment
from bnconform.conformance.experiments.registry import EXPERIMENTS
from bnconform.conformance.experiments.second_order import (
    FORWARD_OVER_REVERSE,
    REVERSE_OVER_FORWARD,
    SECOND,
    SECOND_ORDER,
    VECTORIZED_REVERSE,
    scenes,
)
from bnconform.conformance.judging.judge_experiment import judge_experiment
from bnconform.conformance.verdict import Conforms

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
EVERY = pytest.mark.parametrize("experiment", SECOND_ORDER, ids=lambda each: each.name)

Observe = Callable[[str, Mapping[str, Array]], Mapping[str, Array]]


def diverging(experiment: Experiment, arrays: Mapping[str, Array]) -> set[str]:
    """Names of the quantities that do not conform."""
    found = judge_experiment(experiment, Observed(arrays=arrays, seconds=0.0, output=""))
    return {each.quantity for each in found if not isinstance(each.verdict, Conforms)}


# What is handed over.


def test_the_adapters_name_experiments_that_there_are() -> None:
    """They spell them out, because an adapter may not look into the standard."""
    assert {experiment.name for experiment in SECOND_ORDER} == second_order.NAMES


@pytest.mark.parametrize(
    "kind", [SECOND, FORWARD_OVER_REVERSE, REVERSE_OVER_FORWARD, VECTORIZED_REVERSE]
)
def test_a_request_has_the_scenes_arrays_and_its_memory(kind: str) -> None:
    """Values by their own axes; where axis 1 varies fastest, its stride is the smallest."""
    for scene, _ in scenes(kind):
        name = f"{kind}{scene.name}"
        asked = second_order.request(name, EXPERIMENTS[name].arrays)
        assert asked.forward is (kind == FORWARD_OVER_REVERSE)
        assert asked.over_forward is (kind == REVERSE_OVER_FORWARD)
        assert asked.vectorized is (kind == VECTORIZED_REVERSE)
        last = {"x": scene.x_last, "dy": scene.dy_last, "u": scene.dy_last}
        for array, channels_last in last.items():
            found = getattr(asked, array)
            assert np.array_equal(found, getattr(scene, array))
            fastest = 1 if channels_last else found.ndim - 1
            assert found.strides[fastest] == found.itemsize


def test_no_two_arrays_of_a_scene_lie_alike_where_they_must_not() -> None:
    """x and the gradient in all four pairs of layouts."""
    pairs = {(scene.x_last, scene.dy_last) for scene, _ in scenes(SECOND)}
    assert pairs == {(False, False), (True, True), (True, False), (False, True)}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("second.training.float64.channels_first", "no float64 input", id="format"),
        pytest.param("second.training.float32.matrix", "no input of rank 2", id="rank"),
    ],
)
def test_what_a_subject_does_not_offer_is_unsupported_with_the_reason(
    name: str, reason: str
) -> None:
    """From its capabilities, before anything is computed."""
    with pytest.raises(UnsupportedError, match=reason):
        second_order.request(name, EXPERIMENTS[name].arrays, TfFused.capabilities)


def test_the_worker_makes_an_outcome_of_what_is_unsupported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not a failure of the subject."""

    class Silent:
        def begin(self) -> int:
            return 0

    class Refuses:
        def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
            second_order.request(experiment, arrays, TfFused.capabilities)
            return {}

    monkeypatch.setattr(worker._Process, "adapter", Refuses(), raising=False)  # noqa: SLF001
    monkeypatch.setattr(worker._Process, "output", Silent(), raising=False)  # noqa: SLF001
    outcome = worker.observe("second.training.float32.matrix")
    assert outcome == Unsupported(reason="no input of rank 2")


# Miniatures.


@pytest.fixture
def makes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Right and wrong second derivatives in NumPy."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("second_order_makes")


def miniature(makes: Any, make: Any) -> Observe:
    """A subject that answers by ``make``, which takes (channels, n) arrays."""

    def observe(experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        asked = second_order.request(experiment, arrays)
        axis, shape = asked.case.channel_axes[0], asked.x.shape
        moved = np.moveaxis(asked.x, axis, 0).shape
        zeros = np.zeros((shape[axis], 1), asked.x.dtype)

        def flat(array: Array) -> Array:
            return np.moveaxis(array, axis, 0).reshape(len(zeros), -1)

        gamma, _ = [each[:, None] for each in asked.affine] or (zeros + 1, zeros)
        a, b = [each[:, None] for each in asked.directions] or (zeros, zeros)
        state = asked.parameters
        call = makes.Call(
            x=flat(asked.x), g=flat(asked.dy), u=flat(asked.u), gamma=gamma, a=a, b=b,
            epsilon=asked.case.epsilon,
            mean=None if asked.training else state.running_mean[:, None],
            var=None if asked.training else state.running_var[:, None],
        )  # fmt: skip
        by_x, by_dy, by_gamma = make(call)
        by_x, by_dy = (np.moveaxis(each.reshape(moved), 0, axis) for each in (by_x, by_dy))
        affine = (by_gamma[:, 0],) if asked.affine else ()
        if asked.forward:
            return asked.tangents((by_dy, by_x, *affine))
        return asked.second((by_x, by_dy, *affine))

    return observe


@EVERY
def test_a_right_miniature_passes_every_experiment(experiment: Experiment, makes: Any) -> None:
    """By the closed formula, term by term, folded, and with a one-pass variance."""
    for make in makes.NUMPY_MAKES.values():
        arrays = miniature(makes, make)(experiment.name, experiment.arrays)
        assert set(arrays) == set(experiment.clauses)
        assert diverging(experiment, arrays) == set()


TRAINING = [each for each in SECOND_ORDER if ".training." in each.name]
PLANTED = (
    "SlipByX", "StoppedMean", "NoCovariance", "NoProduct", "NoTermOfU", "NoTermOfG",
    "NoDirectionOfGamma", "NoGamma", "ConstantStatistics", "UnbiasedVariance", "MixedVariance",
    "StaleRoot",
)  # fmt: skip


@pytest.mark.parametrize("experiment", TRAINING, ids=lambda each: each.name)
@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_fails_every_experiment_that_can_show_it(
    fault: str, experiment: Experiment, makes: Any
) -> None:
    """In the derivative by x; without gamma there is no gamma to forget."""
    observe = miniature(makes, getattr(makes, fault)())
    found = diverging(experiment, observe(experiment.name, experiment.arrays))
    of_gamma = fault in ("NoGamma", "NoDirectionOfGamma")
    if of_gamma and "gamma" not in experiment.arrays:
        assert found == set()
    else:
        assert found & {"by_x", "dx_tangent"}


@EVERY
def test_statistics_that_are_constants_where_it_is_vectorized_show_there_and_nowhere_else(
    experiment: Experiment, makes: Any
) -> None:
    """As in PyTorch's batching rule: dgamma as a formula of saved statistics, differentiated."""

    class Vectorized(makes.Pairwise):  # type: ignore[misc]
        def by_x(self, call: Any, r: Array, xhat: Array, a: Array, b: Array) -> Any:
            rest = super().by_x(dataclasses.replace(call, a=call.a * 0), r, xhat, a, b)
            return rest + call.a * r * call.g

    vectorized = experiment.name.startswith(VECTORIZED_REVERSE)
    observe = miniature(makes, Vectorized() if vectorized else makes.Pairwise())
    found = diverging(experiment, observe(experiment.name, experiment.arrays))
    can_show = ".training." in experiment.name and "gamma" in experiment.arrays
    assert found == ({"by_x"} if vectorized and can_show else set())


@EVERY
def test_a_transposed_answer_is_not_taken_for_a_right_one(
    experiment: Experiment, makes: Any
) -> None:
    """Values in another order, as a layout that was misread would have them."""
    right = miniature(makes, makes.Pairwise())(experiment.name, experiment.arrays)
    mixed = {name: np.roll(array, 1, axis=0) for name, array in right.items()}
    unmoved = {name for name, array in right.items() if np.array_equal(array, mixed[name])}
    assert diverging(experiment, mixed) == set(right) - unmoved
