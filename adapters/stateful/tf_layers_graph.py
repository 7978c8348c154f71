"""TensorFlow 1's layer in its graph and session, with its life: a ``Saver`` is all there is."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.stateful.archive import from_bytes, to_bytes
from bnconform.adapters.tf_layers import TfLayersFused, TfLayersUnfused
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Dialect


class _TfLayers:
    """What the fused and the unfused layer share."""

    fused: ClassVar[bool]
    environment: ClassVar[Mapping[str, str]] = TfLayersFused.environment
    declines: ClassVar[Mapping[str, str]] = {
        "set_mode": "training is an argument of the call, and the layer holds no mode",
        "set_decay": "momentum is a constant of the graph",
        "freeze": "trainable is an argument of the constructor, read when the graph is built",
        "reset": "no operation resets the moving statistics",
    }
    decays: ClassVar[tuple[float | None, ...]] = (0.75, 0.5)

    def __init__(self) -> None:
        """Import TensorFlow with the layer; ImportError where either is absent."""
        import tensorflow as tf

        if not hasattr(tf.compat.v1.layers, "BatchNormalization"):
            msg = "tf.compat.v1.layers needs tf_keras and, before the import, TF_USE_LEGACY_KERAS=1"
            raise ImportError(msg)
        self.tf = tf

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """A graph, a session, and the variables set."""
        return Layer(self.tf, case, parameters, fused=self.fused)


class TfLayersFusedGraph(_TfLayers):
    """``fused=True``."""

    name: ClassVar[str] = "tf.layers.fused"
    fused: ClassVar[bool] = True
    dialect: ClassVar[Dialect] = TfLayersFused.dialect
    capabilities: ClassVar[Capabilities] = TfLayersFused.capabilities


class TfLayersUnfusedGraph(_TfLayers):
    """``fused=False``."""

    name: ClassVar[str] = "tf.layers.unfused"
    fused: ClassVar[bool] = False
    dialect: ClassVar[Dialect] = TfLayersUnfused.dialect
    capabilities: ClassVar[Capabilities] = TfLayersUnfused.capabilities


class Layer:
    """A layer in a graph of its own, and the session that holds its variables."""

    def __init__(self, tf: Any, case: Case, parameters: Parameters, *, fused: bool) -> None:
        """Build the graph."""
        v1 = tf.compat.v1
        graph = tf.Graph()
        with graph.as_default():
            shape = (None, *case.shape[1:])
            self.x, self.dy = (v1.placeholder(case.dtype.value, shape) for _ in range(2))
            self.training = v1.placeholder(tf.bool, [])
            layer = v1.layers.BatchNormalization(
                axis=case.feature_axes[0], momentum=case.decay, epsilon=case.epsilon, fused=fused
            )
            y = layer(self.x, training=self.training)
            sources = [self.x, layer.gamma, layer.beta]
            gradients = tf.gradients(y, sources, grad_ys=self.dy)
            names = ("dx", "dgamma", "dbeta")
            self.fetches = {"y": y} | dict(zip(names, gradients, strict=True))
            self.updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
            self.variables = {
                "gamma": layer.gamma,
                "beta": layer.beta,
                "running_mean": layer.moving_mean,
                "running_var": layer.moving_variance,
            }
            self.saver = v1.train.Saver(list(self.variables.values()))
            self.session = v1.Session(graph=graph)
            for name, variable in self.variables.items():
                variable.load(getattr(parameters, name), self.session)

    def __del__(self) -> None:
        """Sessions are closed, not collected."""
        self.session.close()

    def train(self, x: Array, dy: Array) -> Step:
        """Run with ``training`` true, and UPDATE_OPS beside it, as their documentation says."""
        return self._run([self.fetches, self.updates], x, dy, training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Run with ``training`` false."""
        return self._run([self.fetches], x, dy, training=False)

    def _run(self, fetches: Any, x: Array, dy: Array, *, training: bool) -> Step:
        feeds = {self.x: x, self.dy: dy, self.training: training}
        found = self.session.run(fetches, feeds)[0]
        return Step(**{name: np.array(array) for name, array in found.items()})

    def save(self) -> bytes:
        """The files that a ``Saver`` writes."""
        with tempfile.TemporaryDirectory() as folder, self.session.graph.as_default():
            self.saver.save(self.session, str(Path(folder, "model")), write_meta_graph=False)
            files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        return to_bytes({name: np.frombuffer(data, np.uint8) for name, data in files.items()})

    def load(self, saved: bytes) -> None:
        """``restore`` from such files."""
        with tempfile.TemporaryDirectory() as folder, self.session.graph.as_default():
            for name, data in from_bytes(saved).items():
                Path(folder, name).write_bytes(data.tobytes())
            self.saver.restore(self.session, str(Path(folder, "model")))

    def state(self) -> Mapping[str, Array]:
        """The four variables."""
        found: Mapping[str, Array] = self.session.run(self.variables)
        return found
