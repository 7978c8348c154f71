"""``hk.BatchNorm`` with its life: parameters and state are pytrees that a user keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.haiku_layer import HaikuBatchNorm
from bnconform.adapters.stateful.archive import from_bytes, to_bytes
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Dialect


class HaikuModule:
    """The module through ``transform_with_state``, jitted; decay_rate is traced."""

    name: ClassVar[str] = "haiku.batchnorm"
    environment: ClassVar[Mapping[str, str]] = HaikuBatchNorm.environment
    dialect: ClassVar[Dialect] = HaikuBatchNorm.dialect
    capabilities: ClassVar[Capabilities] = HaikuBatchNorm.capabilities
    declines: ClassVar[Mapping[str, str]] = {
        "set_mode": "is_training is an argument of the call",
        "reset": "no function resets the state",
    }
    decays: ClassVar[tuple[float | None, ...]] = (0.75, 0.9, 0.5)

    def __init__(self) -> None:
        """Import Haiku and JAX; ImportError where one is absent."""
        import haiku
        import jax

        self.jax, self.haiku = jax, haiku
        self.step = jax.jit(self._step, static_argnums=(0, 1))

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """Haiku's own beginning, its averages replaced by the running statistics."""
        return Layer(self, case, parameters)

    def _step(
        self, settings: Any, is_training: Any, decay_rate: Any, variables: Any, x: Any, dy: Any
    ) -> Any:
        """y, the new state, and the gradients of sum(y dy) by the parameters and x."""
        axis, eps = settings
        parameters, state = variables

        def network(x: Any) -> Any:
            layer = self.haiku.BatchNorm(
                create_scale=True, create_offset=True, decay_rate=decay_rate, eps=eps, axis=axis,
                name="bn",
            )  # fmt: skip
            return layer(x, is_training)

        apply = self.haiku.without_apply_rng(self.haiku.transform_with_state(network)).apply

        def forward(parameters: Any, x: Any) -> Any:
            return apply(parameters, state, x)

        y, pull, new = self.jax.vjp(forward, parameters, x, has_aux=True)
        return y, new, *pull(dy)


class Layer:
    """The pytrees, and the settings of the module that is applied to them."""

    def __init__(self, subject: HaikuModule, case: Case, parameters: Parameters) -> None:
        """Begin with nothing averaged."""
        self.subject, self.axes = subject, case.reduction_axes
        self.decay, self.frozen = case.decay, False
        self.settings = (case.reduction_axes, case.epsilon)
        self.parameters: Any = {
            "bn": {"scale": self._wide(parameters.gamma), "offset": self._wide(parameters.beta)}
        }
        self.averages: Any = {
            "bn/~/mean_ema": self._average(parameters.running_mean),
            "bn/~/var_ema": self._average(parameters.running_var),
        }

    def _wide(self, values: Array | None) -> Array:
        return np.expand_dims(np.asarray(values), self.axes)

    def _average(self, values: Array) -> dict[str, Array]:
        wide = self._wide(values)
        return {"average": wide, "hidden": np.zeros_like(wide), "counter": np.zeros((), np.int32)}

    def train(self, x: Array, dy: Array) -> Step:
        """Apply with ``is_training=True``, or False where frozen."""
        return self._call(x, dy, is_training=not self.frozen)

    def infer(self, x: Array, dy: Array) -> Step:
        """Apply with ``is_training=False``."""
        return self._call(x, dy, is_training=False)

    def _call(self, x: Array, dy: Array, *, is_training: bool) -> Step:
        y, self.averages, grads, dx = self.subject.step(
            self.settings, is_training, self.decay, (self.parameters, self.averages), x, dy
        )
        grads = grads["bn"]
        return Step(
            y=np.array(y),
            dx=np.array(dx),
            dgamma=self._narrow(grads["scale"]),
            dbeta=self._narrow(grads["offset"]),
        )

    def _narrow(self, values: Any) -> Array:
        return np.array(values).squeeze(self.axes)

    def set_decay(self, decay: float | None) -> None:
        """A module with another decay_rate, on the same pytrees."""
        self.decay = decay

    def freeze(self, *, frozen: bool) -> None:
        """``is_training=False`` also while the rest of a network trains."""
        self.frozen = frozen

    def save(self) -> bytes:
        """The leaves of both pytrees."""
        leaves = self.subject.jax.tree_util.tree_leaves((self.parameters, self.averages))
        return to_bytes({str(index): np.array(leaf) for index, leaf in enumerate(leaves)})

    def load(self, saved: bytes) -> None:
        """The pytrees again."""
        tree = self.subject.jax.tree_util
        structure = tree.tree_structure((self.parameters, self.averages))
        leaves = list(from_bytes(saved).values())
        self.parameters, self.averages = tree.tree_unflatten(structure, leaves)

    def state(self) -> Mapping[str, Array]:
        """The averages, what they are made of, and the parameters."""
        mean, var = self.averages["bn/~/mean_ema"], self.averages["bn/~/var_ema"]
        return {
            "gamma": self._narrow(self.parameters["bn"]["scale"]),
            "beta": self._narrow(self.parameters["bn"]["offset"]),
            "running_mean": self._narrow(mean["average"]),
            "running_var": self._narrow(var["average"]),
            "hidden_mean": self._narrow(mean["hidden"]),
            "hidden_var": self._narrow(var["hidden"]),
            "mean_counter": np.array(mean["counter"]),
            "var_counter": np.array(var["counter"]),
        }
