"""Experiments with ``keras.layers.BatchNormalization`` on any backend, called eagerly.

What each is for, with what it is given and what must be seen, is in ``conformance/experiments``.
Keras has one layer object where TensorFlow 1 has variables that calls find by name, so that of the
experiments about sharing only those remain which an object can show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bnconform.conformance.contract import Array

_VARIABLES = ("gamma", "beta", "moving_mean", "moving_variance")

Found = dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Keras, and what the experiment was handed."""

    keras: Any
    arrays: Mapping[str, Array]

    def layer(self, **options: Any) -> Any:
        """A layer; arrays called ``initial_*`` start its variables."""
        given = [name for name in _VARIABLES if f"initial_{name}" in self.arrays]
        initial = {f"{name}_initializer": self.constant(f"initial_{name}") for name in given}
        settings = {name: float(self.arrays[name]) for name in ("momentum", "epsilon")}
        return self.keras.layers.BatchNormalization(**(settings | initial | options))

    def constant(self, name: str) -> Any:
        """An initializer that gives the array ``name``."""
        return self.keras.initializers.Constant(self.arrays[name])

    def tensor(self, name: str) -> Any:
        """The array ``name`` as the backend has it."""
        return self.keras.ops.convert_to_tensor(self.arrays[name])

    def numpy(self, tensor: Any) -> Array:
        """A float32 array of its own."""
        return np.array(self.keras.ops.convert_to_numpy(tensor), np.float32)

    def loss(self, layer: Any) -> Any:
        """sum(y dy) in training."""
        y = layer(self.tensor("x"), training=True)
        return self.keras.ops.sum(y * self.tensor("dy"))

    def gradient(self, loss: Callable[[], Any], variable: Any) -> Any:
        """The gradient of ``loss()``, by the means of the backend."""
        match self.keras.backend.backend():
            case "tensorflow":
                import tensorflow as tf

                with tf.GradientTape() as tape:
                    value = loss()
                return tape.gradient(value, variable.value)
            case "torch":
                import torch

                return torch.autograd.grad(loss(), variable.value)[0]
            case _:
                import jax

                def of(value: Any) -> Any:
                    with self.keras.StatelessScope(state_mapping=[(variable, value)]):
                        return loss()

                return jax.grad(of)(variable.value)


def _initializer(variable: str, bench: Bench) -> Found:
    given = {f"{variable}_initializer": bench.constant("initial")}
    found = {}
    for name, options in {"default": {}, "given": given}.items():
        layer = bench.layer(**options)
        layer.build(bench.arrays["x"].shape)
        found[name] = bench.numpy(getattr(layer, variable))
    return found


def _regularizer(variable: str, bench: Bench) -> Found:
    """The user adds the layer's losses to the loss."""
    l2 = bench.keras.regularizers.L2(float(bench.arrays["strength"]))
    layer = bench.layer(**{f"{variable}_regularizer": l2})
    y = layer(bench.tensor("x"), training=True)
    parameter = getattr(layer, variable)
    return {
        "loss": bench.numpy(sum(layer.losses)),
        "gradient": bench.numpy(
            bench.gradient(lambda: bench.loss(layer) + sum(layer.losses), parameter)
        ),
        "gradient_without": bench.numpy(bench.gradient(lambda: bench.loss(layer), parameter)),
        "y": bench.numpy(y),
    }


def _constraint(variable: str, bench: Bench) -> Found:
    layer = bench.layer(**{f"{variable}_constraint": bench.keras.constraints.NonNeg()})
    layer.build(bench.arrays["x"].shape)
    parameter = getattr(layer, variable)
    before = bench.numpy(parameter)
    gradient = bench.gradient(lambda: bench.loss(layer), parameter)
    optimizer = bench.keras.optimizers.SGD(float(bench.arrays["rate"]))
    optimizer.apply([gradient], [parameter])
    return {"before": before, "after": bench.numpy(parameter)}


def _training_omitted(bench: Bench) -> Found:
    layer = bench.layer()
    y = layer(bench.tensor("x"))
    state = {name: getattr(layer, name) for name in ("moving_mean", "moving_variance")}
    return {"y": bench.numpy(y), **{name: bench.numpy(v) for name, v in state.items()}}


def _trainable(bench: Bench) -> Found:
    counts = {}
    for trainable in (True, False):
        layer = bench.layer(trainable=trainable)
        layer.build(bench.arrays["x"].shape)
        counts[trainable] = len(layer.trainable_variables)
    return {
        "trainable": _number(counts[True]),
        "frozen": _number(counts[False]),
        "variables_of_frozen": _number(len(layer.variables)),
    }


def _name(bench: Bench) -> Found:
    wanted = [f"named/{variable}" for variable in _VARIABLES]
    layer = bench.layer(name="named")
    layer.build(bench.arrays["x"].shape)
    names = [variable.path for variable in layer.variables]
    return {
        "found": np.array([name in names for name in wanted], np.float32),
        "others": _number(len(set(names) - set(wanted))),
    }


def _called_twice(bench: Bench) -> Found:
    """Calling one layer object twice is how Keras shares."""
    layer = bench.layer()
    layer(bench.tensor("first"), training=True)
    after_first = bench.numpy(layer.moving_mean)
    layer(bench.tensor("second"), training=True)
    return {
        "variables": _number(len(layer.variables)),
        "mean_after_first": after_first,
        "mean_after_second": bench.numpy(layer.moving_mean),
    }


def _number(value: float) -> Array:
    return np.asarray(value, np.float32)


_EXPERIMENTS: Mapping[str, Callable[[Bench], Found]] = {
    **{f"initializer.{variable}": partial(_initializer, variable) for variable in _VARIABLES},
    **{f"regularizer.{name}": partial(_regularizer, name) for name in ("beta", "gamma")},
    **{f"constraint.{name}": partial(_constraint, name) for name in ("beta", "gamma")},
    "training.omitted": _training_omitted,
    "trainable": _trainable,
    "name": _name,
    "reuse.true": _called_twice,
}

NAMES = frozenset(_EXPERIMENTS)
"""The experiments that the layer can run."""


def observe(keras: Any, experiment: str, arrays: Mapping[str, Array]) -> Found:
    """What ``experiment`` observes; KeyError for one that is not in :data:`NAMES`."""
    return _EXPERIMENTS[experiment](Bench(keras=keras, arrays=arrays))
