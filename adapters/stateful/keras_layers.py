"""Keras 3's layer with its life, on each backend: ``trainable``, ``momentum``, files of weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from bnconform.adapters.keras_layer import KerasJax, KerasTensorflow, KerasTorch
from bnconform.adapters.torch_arrays import is_variable, to_leaf, to_numpy, to_torch
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Dialect

Call: TypeAlias = Callable[[Any, Array, Array, bool], dict[str, Array]]
"""A layer, x, dy and ``training`` to the arrays of a step."""


class _KerasLayer:
    """What the backends share."""

    declines: ClassVar[Mapping[str, str]] = {
        "set_mode": "training is an argument of the call, and the layer holds no mode",
        "reset": "no method resets the moving statistics",
    }
    decays: ClassVar[tuple[float | None, ...]] = (0.75, 0.9, 0.5, 0.0, 1.0)
    capabilities: ClassVar[Capabilities] = KerasTensorflow.capabilities
    dialect: ClassVar[Dialect]
    adapter: ClassVar[type[KerasTensorflow | KerasTorch | KerasJax]]

    def __init__(self) -> None:
        """Import Keras on this backend; ImportError where it runs on another."""
        self.maker = self.adapter()
        self.call = self.differentiated()

    def differentiated(self) -> Call:
        """How the backend calls a layer and differentiates it."""
        raise NotImplementedError

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """A fresh layer."""
        return Layer(self.call, self.maker.keras, self.maker.make(case, parameters), case.shape)


class KerasTensorflowLayer(_KerasLayer):
    """On TensorFlow, eagerly."""

    name: ClassVar[str] = "keras.tensorflow"
    adapter = KerasTensorflow
    environment: ClassVar[Mapping[str, str]] = KerasTensorflow.environment
    dialect: ClassVar[Dialect] = KerasTensorflow.dialect

    def differentiated(self) -> Call:
        """By ``tf.GradientTape``."""
        import tensorflow as tf

        def call(layer: Any, x: Array, dy: Array, training: bool) -> dict[str, Array]:  # noqa: FBT001
            named = {"dgamma": layer.gamma.value, "dbeta": layer.beta.value}
            sources = {"dx": tf.constant(x)} | named
            with tf.GradientTape() as tape:
                tape.watch(sources)
                y = layer(sources["dx"], training=training)
            found = {"y": y} | tape.gradient(y, sources, output_gradients=tf.constant(dy))
            return {name: np.array(tensor) for name, tensor in found.items()}

        return call


class KerasTorchLayer(_KerasLayer):
    """On PyTorch, eagerly."""

    name: ClassVar[str] = "keras.torch"
    adapter = KerasTorch
    environment: ClassVar[Mapping[str, str]] = KerasTorch.environment
    dialect: ClassVar[Dialect] = KerasTorch.dialect

    def differentiated(self) -> Call:
        """By autograd."""
        import torch

        def call(layer: Any, x: Array, dy: Array, training: bool) -> dict[str, Array]:  # noqa: FBT001
            leaf = to_leaf(torch, x)
            named = {"dx": leaf, "dgamma": layer.gamma.value, "dbeta": layer.beta.value}
            sources = {name: source for name, source in named.items() if is_variable(source)}
            y = layer(leaf, training=training)
            grads = torch.autograd.grad(y, list(sources.values()), to_torch(torch, dy))
            found = {"y": y} | dict(zip(sources, grads, strict=True))
            return {name: to_numpy(torch, tensor) for name, tensor in found.items()}

        return call


class KerasJaxLayer(_KerasLayer):
    """On JAX: ``stateless_call``, and its state assigned to the layer afterwards."""

    name: ClassVar[str] = "keras.jax"
    adapter = KerasJax
    environment: ClassVar[Mapping[str, str]] = KerasJax.environment
    dialect: ClassVar[Dialect] = KerasJax.dialect

    def differentiated(self) -> Call:
        """By ``jax.vjp``, not compiled: a compiled step would hold the settings of its tracing."""
        import jax

        def call(layer: Any, x: Array, dy: Array, training: bool) -> dict[str, Array]:  # noqa: FBT001
            fixed = [variable.value for variable in layer.non_trainable_variables]

            def forward(trainable: list[Any], x: Any) -> Any:
                return layer.stateless_call(trainable, fixed, x, training=training)

            trainable = [variable.value for variable in layer.trainable_variables]
            y, pull, fixed_then = jax.vjp(forward, trainable, jax.numpy.asarray(x), has_aux=True)
            grads, dx = pull(jax.numpy.asarray(dy))
            for variable, value in zip(layer.non_trainable_variables, fixed_then, strict=True):
                variable.assign(value)
            names = [f"d{variable.name}" for variable in layer.trainable_variables]
            found = {"y": y, "dx": dx} | dict(zip(names, grads, strict=True))
            return {name: np.array(array) for name, array in found.items()}

        return call


class Layer:
    """A Keras layer, called eagerly."""

    def __init__(self, call: Call, keras: Any, layer: Any, shape: tuple[int, ...]) -> None:
        """Hold a built layer, in a model of its own, which is what can be saved."""
        self.call_layer, self.layer = call, layer
        self.model = keras.Sequential([layer])
        self.model.build(shape)

    def train(self, x: Array, dy: Array) -> Step:
        """Call with ``training=True``."""
        return Step(**self.call_layer(self.layer, x, dy, True))  # noqa: FBT003

    def infer(self, x: Array, dy: Array) -> Step:
        """Call with ``training=False``."""
        return Step(**self.call_layer(self.layer, x, dy, False))  # noqa: FBT003

    def set_decay(self, decay: float | None) -> None:
        """Another ``momentum``."""
        self.layer.momentum = decay

    def freeze(self, *, frozen: bool) -> None:
        """``layer.trainable = False``."""
        self.layer.trainable = not frozen

    def save(self) -> bytes:
        """A file of weights."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "saved.weights.h5"
            self.model.save_weights(path)
            return path.read_bytes()

    def load(self, saved: bytes) -> None:
        """``load_weights`` from such a file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "saved.weights.h5"
            path.write_bytes(saved)
            self.model.load_weights(path)

    def state(self) -> Mapping[str, Array]:
        """The four variables."""
        layer = self.layer
        variables = {
            "gamma": layer.gamma,
            "beta": layer.beta,
            "running_mean": layer.moving_mean,
            "running_var": layer.moving_variance,
        }
        return {name: np.array(_host(variable.value)) for name, variable in variables.items()}


def _host(value: Any) -> Any:
    """PyTorch gives no array of a tensor that asks for its gradient."""
    return value.detach() if hasattr(value, "detach") else value
