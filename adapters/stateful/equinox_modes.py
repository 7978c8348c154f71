"""``eqx.nn.BatchNorm`` with its life: a module and a ``State``, serialised as leaves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.equinox_layer import EquinoxBatch, EquinoxEma
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Dialect


class _Equinox:
    """What the two modes share."""

    declines: ClassVar[Mapping[str, str]] = {"reset": "no method resets a State"}
    decays: ClassVar[tuple[float | None, ...]] = (0.75, 0.5)
    mode: ClassVar[str]

    def __init__(self) -> None:
        """Import Equinox and JAX; ImportError where one is absent."""
        import equinox
        import jax

        self.jax, self.equinox = jax, equinox
        self.step = equinox.filter_jit(self._step)

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """A module with these parameters, and its state."""
        layer = Layer(self, case)
        layer.begin(parameters)
        return layer

    def make(self, case: Case) -> tuple[Any, Any]:
        """A fresh module and its state, momentum and epsilon as static as users have them."""
        made: tuple[Any, Any] = self.equinox.nn.make_with_state(self.equinox.nn.BatchNorm)(
            case.feature_shape[0],
            "samples",
            eps=case.epsilon,
            momentum=case.decay,
            dtype=case.parameter_format.numpy,
            mode=self.mode,
        )
        return made

    def indices(self, module: Any) -> tuple[Any, Any]:
        """Where a state holds the counter or flag, and the pair of statistics."""
        raise NotImplementedError

    def _step(self, module: Any, state: Any, x: Any, dy: Any) -> Any:
        """y, the new state, and the gradients of sum(y dy) by weight, bias and x."""

        def forward(affine: Any, x: Any) -> Any:
            changed = self.equinox.tree_at(_affine, module, affine)
            # out_axes=None: JAX refuses a state that differs from sample to sample.
            batched = self.jax.vmap(
                changed, axis_name="samples", in_axes=(0, None), out_axes=(0, None)
            )
            return batched(x, state)

        y, pull, new = self.jax.vjp(forward, _affine(module), x, has_aux=True)
        # The upstream gradient has the format of the output, whatever that is.
        return y, new, *pull(dy.astype(y.dtype))


class EquinoxBatchLayer(_Equinox):
    """Mode "batch"; training starts from the layer's own beginning."""

    name: ClassVar[str] = "equinox.batch"
    mode: ClassVar[str] = "batch"
    environment: ClassVar[Mapping[str, str]] = EquinoxBatch.environment
    dialect: ClassVar[Dialect] = EquinoxBatch.dialect
    capabilities: ClassVar[Capabilities] = EquinoxBatch.capabilities

    def indices(self, module: Any) -> tuple[Any, Any]:
        """The counter and the hidden averages."""
        return module.batch_counter, module.batch_state_index


class EquinoxEmaLayer(_Equinox):
    """Mode "ema"; the layer starts as one that has been trained before."""

    name: ClassVar[str] = "equinox.ema"
    mode: ClassVar[str] = "ema"
    environment: ClassVar[Mapping[str, str]] = EquinoxEma.environment
    dialect: ClassVar[Dialect] = EquinoxEma.dialect
    capabilities: ClassVar[Capabilities] = EquinoxEma.capabilities

    def indices(self, module: Any) -> tuple[Any, Any]:
        """The flag of the first call and the averages."""
        return module.ema_first_time_index, module.ema_state_index


def _affine(module: Any) -> tuple[Any, Any]:
    return module.weight, module.bias


class Layer:
    """A module and its state."""

    def __init__(self, subject: _Equinox, case: Case) -> None:
        """Hold a fresh module."""
        self.subject, self.case = subject, case
        self.training, self.frozen = True, False
        self.module, self.memory = subject.make(case)

    def begin(self, parameters: Parameters) -> None:
        """Put weight and bias in place; in mode "ema" the averages, too."""
        jnp, tree_at = self.subject.jax.numpy, self.subject.equinox.tree_at
        affine = (jnp.asarray(parameters.gamma), jnp.asarray(parameters.beta))
        self.module = tree_at(_affine, self.module, affine)
        if self.subject.mode == "ema":
            flag, pair = self.subject.indices(self.module)
            averages = (jnp.asarray(parameters.running_mean), jnp.asarray(parameters.running_var))
            self.memory = self.memory.set(flag, jnp.array(False)).set(pair, averages)  # noqa: FBT003

    def train(self, x: Array, dy: Array) -> Step:
        """``inference_mode(..., value=False)``, then call."""
        self.set_mode(training=True)
        return self.call(x, dy)

    def infer(self, x: Array, dy: Array) -> Step:
        """``inference_mode(...)``, then call."""
        self.set_mode(training=False)
        return self.call(x, dy)

    def call(self, x: Array, dy: Array) -> Step:
        """Call the module in its own mode."""
        y, self.memory, (dgamma, dbeta), dx = self.subject.step(self.module, self.memory, x, dy)
        return Step(y=np.array(y), dx=np.array(dx), dgamma=np.array(dgamma), dbeta=np.array(dbeta))

    def set_mode(self, *, training: bool) -> None:
        """``inference_mode``; a frozen module stays in inference mode."""
        self.training = training
        inference = self.frozen or not training
        self.module = self.subject.equinox.nn.inference_mode(self.module, value=inference)

    def freeze(self, *, frozen: bool) -> None:
        """Inference mode also while the rest of a model trains."""
        self.frozen = frozen
        self.set_mode(training=self.training)

    def set_decay(self, decay: float | None) -> None:
        """A module made with another momentum, deserialised from this one: momentum is static."""
        saved = self.save()
        self.case = replace(self.case, decay=decay)
        self.module, self.memory = self.subject.make(self.case)
        self.set_mode(training=self.training)
        self.load(saved)

    def save(self) -> bytes:
        """``tree_serialise_leaves`` of module and state."""
        buffer = io.BytesIO()
        self.subject.equinox.tree_serialise_leaves(buffer, (self.module, self.memory))
        return buffer.getvalue()

    def load(self, saved: bytes) -> None:
        """``tree_deserialise_leaves`` into the same structure."""
        self.module, self.memory = self.subject.equinox.tree_deserialise_leaves(
            io.BytesIO(saved), (self.module, self.memory)
        )
        # The mode is one of the leaves, and comes back with them.
        self.set_mode(training=self.training)

    def state(self) -> Mapping[str, Array]:
        """Weight and bias, what is stored, and the statistics that inference makes of it."""
        first, pair = self.subject.indices(self.module)
        number, stored = self.memory.get(first), self.memory.get(pair)
        scale = 1.0
        if self.subject.mode == "batch" and number:
            scale = 1 - self.case.decay**number
        named = {"gamma": self.module.weight, "beta": self.module.bias, "number": number}
        named |= {"stored_mean": stored[0], "stored_var": stored[1]}
        named |= {"running_mean": stored[0] / scale, "running_var": stored[1] / scale}
        return {name: np.array(array) for name, array in named.items()}
