"""Layers with one fault each, which only a sequence of operations shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from bnconform.adapters.stateful.archive import from_bytes, to_bytes
from bnconform.adapters.stateful.numpy_layer import Layer, NumpyLayer
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Parameters, Step


class Planted(NumpyLayer):
    """The NumPy reference, built as ``kind``."""

    def __init__(self, kind: Callable[[Case, Parameters], Layer]) -> None:
        super().__init__()
        self.kind = kind

    def build(self, case: Case, parameters: Parameters) -> Layer:
        return self.kind(case, parameters)


class ForgetsDecay(Layer):
    """Takes another decay and goes on with the old one."""

    def set_decay(self, decay: float | None) -> None:
        pass


class DecayOneStepLate(Layer):
    """Another decay acts from the update after the next on."""

    later: tuple[float | None, ...] = ()

    def set_decay(self, decay: float | None) -> None:
        self.later = (decay,)

    def call(self, x: Array, dy: Array) -> Step:
        step = super().call(x, dy)
        if self.training and not self.frozen and self.later:
            super().set_decay(*self.later)
            self.later = ()
        return step


class DecayInRetrospect(Layer):
    """Another decay changes the last update, too."""

    before: tuple[Array, Array] | None = None

    def call(self, x: Array, dy: Array) -> Step:
        self.before = (self.layer.mean, self.layer.var)
        return super().call(x, dy)

    def set_decay(self, decay: float | None) -> None:
        if self.before is not None and decay is not None:
            self.layer.mean = self.before[0] + decay * (self.layer.mean - self.before[0])
        super().set_decay(decay)


class ResetsMeanOnly(Layer):
    """A reset that leaves the variance."""

    def reset(self) -> None:
        var = self.layer.var
        super().reset()
        self.layer.var = var


class CountsAcrossReset(Layer):
    """A reset that does not begin the cumulative average again."""

    def reset(self) -> None:
        updates = self.layer.updates
        super().reset()
        self.layer.updates = updates

    def state(self) -> Mapping[str, Array]:
        return {name: array for name, array in super().state().items() if name != "updates"}

    def save(self) -> bytes:
        return to_bytes(super().state())


class UpdatesWhileFrozen(Layer):
    """Frozen, it normalizes by the running statistics, and takes the batch in first."""

    def call(self, x: Array, dy: Array) -> Step:
        if self.training and self.frozen:
            self.layer.train(x, dy)
        return super().call(x, dy)


class SavesBeforeFlushing(Layer):
    """Keeps the last update back, and saves without it."""

    written: Mapping[str, Array] | None = None

    def call(self, x: Array, dy: Array) -> Step:
        self.written = super().state()
        return super().call(x, dy)

    def save(self) -> bytes:
        return to_bytes(self.written or super().state())


class LoadsAllButTheVariance(Layer):
    """A load that leaves one buffer as it was."""

    def load(self, saved: bytes) -> None:
        var = self.layer.var
        super().load(saved)
        self.layer.var = var


class Wavers(Layer):
    """Answers one unit in the last place higher from its second call on: a state that none sees."""

    calls = 0

    def call(self, x: Array, dy: Array) -> Step:
        self.calls += 1
        step = super().call(x, dy)
        return step if self.calls == 1 else replace(step, y=np.nextafter(step.y, step.y + 1))


class ThawsOnLoad(Layer):
    """A frozen layer trains again once it has loaded."""

    def load(self, saved: bytes) -> None:
        super().load(saved)
        self.frozen = False


class ForgetsTheDecayOnLoad(Layer):
    """A load brings back the decay that the layer was built with."""

    def __init__(self, case: Case, parameters: Parameters) -> None:
        super().__init__(case, parameters)
        self.first = case.decay

    def load(self, saved: bytes) -> None:
        super().load(saved)
        self.set_decay(self.first)


class StaleFolding(Layer):
    """Folds the statistics for inference, and forgets the fold in training but not in loading."""

    fold: tuple[Array, Array] | None = None

    def call(self, x: Array, dy: Array) -> Step:
        if self.training and not self.frozen:
            self.fold = None
            return super().call(x, dy)
        now = (self.layer.mean, self.layer.var)
        self.fold = self.fold or now
        self.layer.mean, self.layer.var = self.fold
        step = super().call(x, dy)
        self.layer.mean, self.layer.var = now
        return step

    def reset(self) -> None:
        super().reset()
        self.fold = None


class CountsRejected(Layer):
    """Counts an update before it looks at the input."""

    def call(self, x: Array, dy: Array) -> Step:
        if self.training and not self.frozen and x.shape[1] != len(self.layer.mean):
            self.layer.updates += 1
        return super().call(x, dy)


class SavesTheMode(Layer):
    """A load brings back the mode of the moment of saving."""

    def save(self) -> bytes:
        return to_bytes({**self.state(), "training": np.array(self.training)})

    def load(self, saved: bytes) -> None:
        super().load(saved)
        self.training = bool(from_bytes(saved)["training"])


class MovesInInference(Layer):
    """Nudges the mean by one unit in the last place in inference."""

    def call(self, x: Array, dy: Array) -> Step:
        step = super().call(x, dy)
        if not self.training:
            self.layer.mean = np.nextafter(self.layer.mean, self.layer.mean + 1)
        return step
