"""The Keras 2 layer of ``tf_keras``, eagerly, with its life.

Only sequences are played on it: its arithmetic is that of ``tf.compat.v1.layers``, its base class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.stateful.archive import from_bytes, to_bytes
from bnconform.adapters.tf_layers import TfLayersFused, TfLayersUnfused
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Claim, Dialect, FrozenPolicy

_DOCS = "https://www.tensorflow.org/api_docs/python/tf/keras/layers/BatchNormalization"
_FROZEN = Claim(
    FrozenPolicy.RUNNING_STATISTICS,
    _DOCS
    + ": 'setting trainable = False ... the layer will be subsequently run in inference mode'",
)


class _TfKeras:
    """What the fused and the unfused layer share."""

    fused: ClassVar[bool]
    environment: ClassVar[Mapping[str, str]] = TfLayersFused.environment
    declines: ClassVar[Mapping[str, str]] = {
        "set_mode": "training is an argument of the call, and the layer holds no mode",
        "reset": "no method resets the moving statistics",
    }
    decays: ClassVar[tuple[float | None, ...]] = (0.75, 0.9, 0.5, 0.0, 1.0)

    def __init__(self) -> None:
        """Import TensorFlow and tf_keras; ImportError where one is absent."""
        import tensorflow as tf
        import tf_keras

        self.tf, self.tf_keras = tf, tf_keras

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """A built layer with these weights."""
        layer = self.tf_keras.layers.BatchNormalization(
            axis=case.feature_axes[0],
            momentum=case.decay,
            epsilon=case.epsilon,
            dtype=case.dtype.value,
            fused=self.fused,
        )
        layer.build((None, *case.shape[1:]))
        p = parameters
        layer.set_weights([p.gamma, p.beta, p.running_mean, p.running_var])
        return Layer(self.tf, layer)


class TfKerasFused(_TfKeras):
    """Over the fused operation, for inputs of rank 4."""

    name: ClassVar[str] = "tf_keras.fused"
    fused: ClassVar[bool] = True
    dialect: ClassVar[Dialect] = replace(TfLayersFused.dialect, frozen=_FROZEN)
    capabilities: ClassVar[Capabilities] = TfLayersFused.capabilities


class TfKerasUnfused(_TfKeras):
    """Over ``tf.nn``."""

    name: ClassVar[str] = "tf_keras.unfused"
    fused: ClassVar[bool] = False
    dialect: ClassVar[Dialect] = replace(TfLayersUnfused.dialect, frozen=_FROZEN)
    capabilities: ClassVar[Capabilities] = TfLayersUnfused.capabilities


class Layer:
    """A Keras 2 layer, called eagerly."""

    def __init__(self, tf: Any, layer: Any) -> None:
        """Hold a built layer."""
        self.tf, self.layer = tf, layer

    def train(self, x: Array, dy: Array) -> Step:
        """Call with ``training=True``."""
        return self._call(x, dy, training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call with ``training=False``."""
        return self._call(x, dy, training=False)

    def _call(self, x: Array, dy: Array, *, training: bool) -> Step:
        tf, layer = self.tf, self.layer
        # Variables, not their values: the layer reads them itself.
        sources = {"dx": tf.constant(x), "dgamma": layer.gamma, "dbeta": layer.beta}
        with tf.GradientTape() as tape:
            tape.watch(list(sources.values()))
            y = layer(sources["dx"], training=training)
        grads = tape.gradient(y, sources, output_gradients=tf.constant(dy))
        found = {"y": y} | grads
        return Step(**{name: np.array(tensor) for name, tensor in found.items()})

    def set_decay(self, decay: float | None) -> None:
        """Another ``momentum``."""
        self.layer.momentum = decay

    def freeze(self, *, frozen: bool) -> None:
        """``layer.trainable = False``."""
        self.layer.trainable = not frozen

    def save(self) -> bytes:
        """``get_weights``, whose order depends on ``trainable``, by name."""
        named = zip(self.layer.weights, self.layer.get_weights(), strict=True)
        return to_bytes({variable.name.split("/")[-1]: values for variable, values in named})

    def load(self, saved: bytes) -> None:
        """``set_weights``."""
        found = from_bytes(saved)
        self.layer.set_weights([found[v.name.split("/")[-1]] for v in self.layer.weights])

    def state(self) -> Mapping[str, Array]:
        """The four variables."""
        layer = self.layer
        variables = {
            "gamma": layer.gamma,
            "beta": layer.beta,
            "running_mean": layer.moving_mean,
            "running_var": layer.moving_variance,
        }
        return {name: np.array(variable) for name, variable in variables.items()}
