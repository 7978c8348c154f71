"""Conversion and export: what must be seen, and journeys in NumPy on which something is lost.

A miniature goes every way there is, first as it should and then with one defect. The defect must be
found, under its clause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from bnconform.adapters.exports.scenes import Found, Scene, settings, travel
from bnconform.conformance.clauses import BY_ID
from bnconform.conformance.contract import Array, Observed
from bnconform.conformance.experiments.export_ways import CLAUSES, Way
from bnconform.conformance.experiments.exports import EXPORTS, WAYS
from bnconform.conformance.formats import FORMATS, DType
from bnconform.conformance.judging.judge_experiment import judge_experiment
from bnconform.conformance.verdict import Conforms

_HALVES = {"float16", "bfloat16"}

EVERY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


class Layer:
    """A layer in NumPy, in float64 whatever the scene's format; results are rounded once."""

    def __init__(self, scene: Scene, way: Way) -> None:
        self.scene, self.way, self.steps = scene, way, 0
        self.epsilon, self.decay = scene.epsilon, scene.decay
        ones = np.ones(scene.channels)
        self.gamma = ones if scene.gamma is None else scene.gamma.astype(float)
        self.beta = ones * 0 if scene.beta is None else scene.beta.astype(float)
        self.mean, self.var = (
            None if array is None else array.astype(float) for array in (scene.mean, scene.variance)
        )
        self.hidden: tuple[Array, Array] = (ones * 0, ones * 0)
        self.unbiased = way.unbiased

    def moments(self, x: Array) -> tuple[Array, Array]:
        """Mean and biased variance of a batch with features last."""
        return x.mean((0, 1, 2)), x.var((0, 1, 2))

    def infer(self, x: Array) -> Array:
        """By the running statistics, or by the batch where there are none."""
        x = np.moveaxis(x.astype(float), self.scene.axis, -1)
        x = 2 * x + 1 if self.way.folds else x
        held = self.mean is not None and self.var is not None
        return self.normalized(x, *((self.mean, self.var) if held else self.moments(x)))

    def normalized(self, x: Array, mean: Array | None, var: Array | None) -> Array:
        """gamma (x - mean) / sqrt(var + epsilon) + beta, features back on their axis."""
        assert mean is not None
        assert var is not None
        y = self.gamma * (x - mean) / np.sqrt(var + self.epsilon) + self.beta
        return np.moveaxis(y, -1, self.scene.axis)

    def train(self, x: Array) -> Array:
        """By the batch; the running statistics move."""
        x = np.moveaxis(x.astype(float), self.scene.axis, -1)
        mu, v = self.moments(x)
        self.steps += 1
        bessel = x.size / x.shape[-1]
        new = (mu, v * bessel / (bessel - 1) if self.unbiased else v)
        decay = 1 - 1 / self.steps if self.decay is None else self.decay
        rest = 1.0
        if not self.way.debiased:
            assert self.mean is not None
            assert self.var is not None
            self.hidden = (self.mean, self.var)
        else:
            rest = 1 - decay**self.steps
        mean, var = (
            decay * old + (1 - decay) * each for old, each in zip(self.hidden, new, strict=True)
        )
        self.hidden = (mean, var)
        self.mean, self.var = mean / rest, var / rest
        return self.normalized(x, mu, v)


Defect = Callable[[Layer], None]


def went(way: Way, defect: Defect | None = None) -> set[tuple[str, str]]:
    """(clause, quantity) of what diverges when a layer goes ``way`` and suffers ``defect``."""
    experiment = way.experiment()
    found = travel(experiment.arrays, lambda scene: _journey(way, scene, defect))
    shown = {name: array for name, array in found.items() if name in experiment.clauses}
    judged = judge_experiment(experiment, Observed(arrays=shown, seconds=0.0, output=""))
    return {
        (each.clause, each.quantity) for each in judged if not isinstance(each.verdict, Conforms)
    }


def _journey(way: Way, scene: Scene, defect: Defect | None) -> Found:
    layer = Layer(scene, way)
    if scene.first is not None:
        layer.train(scene.first)
    if defect is not None:
        defect(layer)
    y = layer.infer(scene.x)
    found: Mapping[str, Array | None] = {
        "y": y, "y_folded": y, "gamma": layer.gamma, "beta": layer.beta,
        "running_mean": layer.mean, "running_var": layer.var,
    }  # fmt: skip
    if scene.second is not None:
        more = {"y_train": layer.train(scene.second), "next_mean": layer.mean}
        found = {**found, **more, "next_var": layer.var}
    rounded = {name: each.astype(scene.x.dtype) for name, each in found.items() if each is not None}
    return rounded | settings(layer.epsilon, layer.decay)


@EVERY
def test_a_journey_on_which_nothing_is_lost_conforms(way: Way) -> None:
    """Formulae in float64, rounded once to the layer's format, are within every bound."""
    assert not went(way)


def _epsilon_of_the_framework(layer: Layer) -> None:
    layer.epsilon = 1e-3


def _half_statistics(layer: Layer) -> None:
    layer.mean, layer.var = (
        None if each is None else each.astype(np.float16).astype(float)
        for each in (layer.mean, layer.var)
    )


def _float32(layer: Layer) -> None:
    layer.gamma, layer.beta = (
        each.astype(np.float32).astype(float) for each in (layer.gamma, layer.beta)
    )


def _parameters_swapped(layer: Layer) -> None:
    layer.gamma, layer.beta = layer.beta, layer.gamma


def _state_reset(layer: Layer) -> None:
    ones = np.ones_like(layer.gamma)
    layer.mean, layer.var = ones * 0, ones


def _rate_for_decay(layer: Layer) -> None:
    layer.decay = None if layer.decay is None else 1 - layer.decay


def _other_variance(layer: Layer) -> None:
    layer.unbiased = not layer.unbiased


def _run_once_more(layer: Layer) -> None:
    if layer.scene.second is not None:
        layer.train(layer.scene.second)


def _steps_forgotten(layer: Layer) -> None:
    layer.steps = 0


def _statistics_of_a_neighbour(layer: Layer) -> None:
    layer.mean = None if layer.mean is None else np.roll(layer.mean, 1)


DEFECTS: Mapping[str, tuple[Defect, str, str, str]] = {
    "the framework's own epsilon": (
        _epsilon_of_the_framework, "flax.serialization", "BN-PORT-1", "y",
    ),
    "epsilon of a layer near 0": (
        _epsilon_of_the_framework, "tf.lite", "BN-PORT-1", "y_no_variance",
    ),
    "statistics in half precision": (
        _half_statistics, "torch.state_dict", "BN-PORT-2", "running_mean",
    ),
    "float64 by way of float32": (_float32, "keras.file", "BN-PORT-2", "gamma_float64"),
    "gamma and beta swapped": (_parameters_swapped, "onnx.written", "BN-PORT-2", "beta"),
    "initial statistics": (_state_reset, "equinox.ema.leaves", "BN-PORT-2", "running_var"),
    "momentum taken the other way": (
        _rate_for_decay, "torch.export", "BN-PORT-3", "next_mean",
    ),
    "momentum lost, read back": (_rate_for_decay, "torch.pickle", "BN-PORT-4", "decay"),
    "epsilon lost, read back": (
        _epsilon_of_the_framework, "keras.configuration", "BN-PORT-4", "epsilon_large_epsilon",
    ),
    "a variance without Bessel's correction": (
        _other_variance, "torch.decomposed", "BN-PORT-3", "next_var_float16",
    ),
    "a variance with it": (_other_variance, "flax.jax_export", "BN-PORT-3", "next_var"),
    "one step too many": (_run_once_more, "torch.trace", "BN-PORT-3", "next_mean"),
    "the count of a cumulative average": (
        _steps_forgotten, "torch.state_dict", "BN-PORT-3", "next_mean_cumulative",
    ),
    "the counter of a debiased average": (
        _steps_forgotten, "haiku.pickle", "BN-PORT-3", "next_var",
    ),
    "epsilon lost in folding": (
        _epsilon_of_the_framework, "torch.fuse_conv", "BN-PORT-5", "y_folded_float16",
    ),
    "folded over another axis": (
        _statistics_of_a_neighbour, "onnx.matmul_transposed", "BN-PORT-5", "y_folded",
    ),
}  # fmt: skip
"""What is lost: how, on which way, and under which clause and name it must show."""


@pytest.mark.parametrize(("defect", "name", "clause", "quantity"), DEFECTS.values(), ids=DEFECTS)
def test_what_is_lost_on_the_way_is_found(
    defect: Defect, name: str, clause: str, quantity: str
) -> None:
    """Under the clause that speaks of it."""
    (way,) = (way for way in WAYS if way.name == name)
    assert (clause, quantity) in went(way, defect)


def test_every_clause_about_the_journey_has_a_defect_that_breaks_it() -> None:
    """BN-PORT-1 to the last."""
    clauses = {clause for clause in BY_ID if clause.startswith("BN-PORT-")}
    assert {clause for _, _, clause, _ in DEFECTS.values()} == clauses
    assert set(CLAUSES.values()) == clauses


@EVERY
def test_what_is_expected_is_what_evidence_is_promised_for(way: Way) -> None:
    """Name by name, and each clause exists."""
    experiment = way.experiment()
    assert set(experiment.expected()) == set(experiment.clauses)
    assert set(experiment.clauses.values()) <= set(BY_ID)
    assert experiment.name == f"export.{way.name}"


@EVERY
def test_what_allows_no_error_is_held_by_its_format(way: Way) -> None:
    """A bound of 0 would otherwise fail every subject."""
    for name, want in way.experiment().expected().items():
        if not want.bound.any():
            rounded = want.value.hi.astype(want.output.numpy).astype(float)
            np.testing.assert_array_equal(rounded, want.value.hi, err_msg=name)


@EVERY
def test_no_bound_is_wider_than_its_format_needs(way: Way) -> None:
    """Outputs are wrong from a thousandth of their size on, in half precision from a tenth."""
    experiment = way.experiment()
    for name, want in experiment.expected().items():
        coarse = want.output.dtype.value in _HALVES
        size = np.abs(want.value.hi).max(initial=1.0)
        assert want.bound.max(initial=0.0) <= size * (0.1 if coarse else 1e-3), name
        assert not want.vacuous.any()


@pytest.mark.parametrize("dtype", DType)
def test_parameters_carry_the_last_digit_of_their_format(dtype: DType) -> None:
    """Their significands are odd, so that a detour through a narrower format shows."""
    arrays = next(each for each in EXPORTS if each.name == "export.torch.state_dict").arrays
    gamma = arrays["gamma" if dtype is DType.FLOAT32 else f"gamma_{dtype}"]
    assert gamma.dtype == FORMATS[dtype].numpy
    fraction, _ = np.frexp(gamma.astype(float))
    assert np.all(np.mod(fraction / FORMATS[dtype].unit_roundoff, 2) == 1)


def test_names_are_unique() -> None:
    """A record's case id leads to one experiment."""
    assert len({way.name for way in WAYS}) == len(WAYS)
    assert len({experiment.id for experiment in EXPORTS}) == len(EXPORTS)


def test_a_scene_without_training_has_no_batches() -> None:
    """Nor anything to be seen after one."""
    way = next(way for way in WAYS if way.name == "torch.export")
    untrained = replace(way, scenes=tuple(replace(s, trains=False) for s in way.scenes))
    experiment = untrained.experiment()
    assert not [name for name in experiment.arrays if name.startswith(("first", "second"))]
    assert not [name for name in experiment.clauses if name.startswith(("next", "y_train"))]
