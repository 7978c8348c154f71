"""The NumPy reference as a layer with a life: the one to copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.adapters.stateful.archive import from_bytes, to_bytes
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Dialect


class NumpyLayer:
    """``numpy.reference`` with every operation."""

    name: ClassVar[str] = "numpy.reference"
    environment: ClassVar[Mapping[str, str]] = NumpyReference.environment
    dialect: ClassVar[Dialect] = NumpyReference.dialect
    capabilities: ClassVar[Capabilities] = NumpyReference.capabilities
    declines: ClassVar[Mapping[str, str]] = {}
    decays: ClassVar[tuple[float | None, ...]] = (0.75, 0.9, 0.5, 0.0, 1.0, None)

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """A fresh layer."""
        return Layer(case, parameters)


class Layer:
    """The reference's layer, whose parts the operations replace."""

    def __init__(self, case: Case, parameters: Parameters) -> None:
        """Begin in training mode, not frozen."""
        self.layer: Any = NumpyReference().build(case, parameters)
        self.training, self.frozen = True, False

    def train(self, x: Array, dy: Array) -> Step:
        """Call in training mode."""
        self.set_mode(training=True)
        return self.call(x, dy)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call in inference mode."""
        self.set_mode(training=False)
        return self.call(x, dy)

    def call(self, x: Array, dy: Array) -> Step:
        """Call in the present mode."""
        moves = self.training and not self.frozen
        step: Step = self.layer.train(x, dy) if moves else self.layer.infer(x, dy)
        return step

    def set_mode(self, *, training: bool) -> None:
        """Train or infer."""
        self.training = training

    def set_decay(self, decay: float | None) -> None:
        """The decay of the next update; None is the average over all updates so far."""
        self.layer.case = replace(self.layer.case, decay=decay, mode=Mode.TRAIN)

    def freeze(self, *, frozen: bool) -> None:
        """A frozen layer normalizes by its running statistics, which stay."""
        self.frozen = frozen

    def reset(self) -> None:
        """Mean 0, variance 1, no updates."""
        layer = self.layer
        layer.mean, layer.var = np.zeros_like(layer.mean), np.ones_like(layer.var)
        layer.updates = 0

    def save(self) -> bytes:
        """Every array of the state."""
        return to_bytes(self.state())

    def load(self, saved: bytes) -> None:
        """The arrays of a saved state."""
        found = from_bytes(saved)
        self.layer.mean, self.layer.var = found["running_mean"], found["running_var"]
        self.layer.updates = int(found["updates"])
        self.layer.parameters = replace(
            self.layer.parameters, gamma=found["gamma"], beta=found["beta"]
        )

    def state(self) -> Mapping[str, Array]:
        """Parameters, running statistics and the count of updates."""
        layer = self.layer
        return {
            "gamma": layer.parameters.gamma,
            "beta": layer.parameters.beta,
            "running_mean": layer.mean,
            "running_var": layer.var,
            "updates": np.array(layer.updates),
        }
