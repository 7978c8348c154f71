"""Keras 3's ``keras.layers.BatchNormalization`` on each of its backends.

Each backend differentiates in its own way, and one process holds one backend, so each is a subject
of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.torch_arrays import to_numpy, to_torch
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    BATCH_STATISTICS,
    Array,
    Axes,
    Capabilities,
    Parameters,
    Quantity,
    Step,
)
from bnconform.conformance.dialect import (
    Claim,
    Dialect,
    FrozenPolicy,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType

_DOCS = "https://keras.io/api/layers/normalization_layers/batch_normalization/"
_SOURCE = "keras/src/layers/normalization/batch_normalization.py: "

_DIALECT = Dialect(
    momentum=Claim(MomentumSense.DECAY, _DOCS + ": moving_mean * momentum + mean * (1 - momentum)"),
    default_momentum=Claim(0.99, _DOCS),
    default_epsilon=Claim(1e-3, _DOCS),
    epsilon_floor=Claim(0.0, _DOCS + ": none is mentioned"),
    running_variance=Claim(RunningVariance.BIASED, _DOCS + ": moving_var takes var(batch)"),
    variance=Claim(VarianceAlgorithm.TWO_PASS, "keras/src/backend/jax/nn.py: moments, jnp.var"),
    single_value=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
    empty_batch=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
    frozen=Claim(FrozenPolicy.RUNNING_STATISTICS, _DOCS + ": 'About setting layer.trainable'"),
    half_output=Claim(HalfOutput.INPUT, _SOURCE + "call casts to compute_dtype at the end"),
)
_CAPABILITIES = Capabilities(
    dtypes=frozenset(DType),
    ranks=frozenset({2, 3, 4, 5}),
    axes=Axes.ANY_ONE,
    modes=frozenset(Mode),
    quantities=frozenset(Quantity) - BATCH_STATISTICS,
    notes={"axes": "axis is one integer", "cumulative": "momentum is a number"},
)
_POLICIES = {DType.FLOAT16: "mixed_float16", DType.BFLOAT16: "mixed_bfloat16"}

Gradients = tuple[Any, Any, "Any | None", "Any | None"]
"""y, dx, dgamma and dbeta as the backend's tensors."""


class _Keras:
    """What the three backends share: declaring, and making a layer with the case's settings."""

    framework: ClassVar[str] = "keras"
    dialect: ClassVar[Dialect] = _DIALECT
    capabilities: ClassVar[Capabilities] = _CAPABILITIES
    environment: ClassVar[dict[str, str]]
    backend: ClassVar[str]

    def __init__(self) -> None:
        """Import Keras with this backend; ImportError where either is absent."""
        import keras

        if keras.backend.backend() != self.backend:
            msg = f"this process already runs Keras on {keras.backend.backend()}"
            raise ImportError(msg)
        self.keras = keras
        self.version: str = keras.__version__
        self.device = "cpu"

    def make(self, case: Case, parameters: Parameters) -> Any:
        """A built layer with these parameters and this state."""
        layer = self.keras.layers.BatchNormalization(
            axis=case.feature_axes[0],
            # None comes with inference alone, where the momentum is not used.
            momentum=0.99 if case.decay is None else case.decay,
            epsilon=case.epsilon,
            center=case.center,
            scale=case.scale,
            dtype=_POLICIES.get(case.dtype, case.dtype.value),
            trainable=case.mode is not Mode.FROZEN,
        )
        layer.build((None, *case.shape[1:]) if 0 not in case.channel_axes else case.shape)
        pairs = (
            (layer.gamma, parameters.gamma),
            (layer.beta, parameters.beta),
            (layer.moving_mean, parameters.running_mean),
            (layer.moving_variance, parameters.running_var),
        )
        for variable, value in pairs:
            if value is not None:
                variable.assign(value)
        return layer


class KerasTensorflow(_Keras):
    """Keras on TensorFlow, differentiated by ``tf.GradientTape``."""

    dialect: ClassVar[Dialect] = replace(
        _DIALECT,
        variance=Claim(
            VarianceAlgorithm.TWO_PASS, "keras/src/backend/tensorflow/nn.py: tf.nn.moments"
        ),
    )
    name: ClassVar[str] = "keras.tensorflow"
    backend: ClassVar[str] = "tensorflow"
    environment: ClassVar[dict[str, str]] = {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """A layer called eagerly."""
        import tensorflow as tf

        layer = self.make(case, parameters)

        def call(x: Array, dy: Array, training: bool) -> Gradients:  # noqa: FBT001 -- internal
            sources = {"x": tf.constant(x)}
            sources |= {k: v.value for k, v in _affine(layer).items()}
            with tf.GradientTape() as tape:
                tape.watch(sources)
                y = layer(sources["x"], training=training)
            grads = tape.gradient(y, sources, output_gradients=tf.constant(dy))
            return y, grads["x"], grads.get("gamma"), grads.get("beta")

        return _Layer(call, layer, np.asarray)


class KerasTorch(_Keras):
    """Keras on PyTorch, differentiated by autograd."""

    dialect: ClassVar[Dialect] = replace(
        _DIALECT,
        variance=Claim(
            VarianceAlgorithm.ONE_PASS,
            "keras/src/backend/torch/nn.py: moments, 'Var = E[|x|^2] - |E[x]|^2'",
        ),
    )
    name: ClassVar[str] = "keras.torch"
    backend: ClassVar[str] = "torch"
    environment: ClassVar[dict[str, str]] = {"KERAS_BACKEND": "torch"}

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """A layer called eagerly."""
        import torch

        layer = self.make(case, parameters)

        def call(x: Array, dy: Array, training: bool) -> Gradients:  # noqa: FBT001 -- internal
            sources = {"x": to_torch(torch, x).requires_grad_()}
            # A frozen layer's parameters do not require gradients: it has none to compare.
            affine = {k: v.value for k, v in _affine(layer).items()}
            sources |= {k: v for k, v in affine.items() if v.requires_grad}
            y = layer(sources["x"], training=training)
            grads = torch.autograd.grad(y, list(sources.values()), to_torch(torch, dy))
            named = dict(zip(sources, grads, strict=True))
            return y, named["x"], named.get("gamma"), named.get("beta")

        return _Layer(call, layer, lambda tensor: to_numpy(torch, tensor))


class KerasJax(_Keras):
    """Keras on JAX: ``stateless_call``, jitted and differentiated by ``jax.vjp``."""

    name: ClassVar[str] = "keras.jax"
    backend: ClassVar[str] = "jax"
    environment: ClassVar[dict[str, str]] = {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"}

    def __init__(self) -> None:
        """Import Keras on JAX, and prepare a cache of compiled steps."""
        super().__init__()
        self.steps: dict[str, tuple[Any, Callable[..., Any]]] = {}

    def build(self, case: Case, parameters: Parameters) -> _JaxLayer:
        """The compiled step of the case's signature, with this case's values."""
        if case.signature not in self.steps:
            self.steps[case.signature] = self._compile(case, parameters)
        return _JaxLayer(self.steps[case.signature], case, parameters)

    def _compile(self, case: Case, parameters: Parameters) -> tuple[Any, Callable[..., Any]]:
        import jax

        layer = self.make(case, parameters)

        def step(
            training: bool,  # noqa: FBT001 -- static arguments of a jitted function are positional
            scalars: tuple[Any, Any],
            weights: tuple[list[Any], list[Any]],
            x: Any,
            dy: Any,
        ) -> Any:
            # Traced, so that other values of epsilon and momentum do not compile anew.
            layer.epsilon, layer.momentum = scalars
            affine, state = weights

            def forward(affine: list[Any], x: Any) -> Any:
                trainable, fixed = (affine, state) if layer.trainable else ([], affine + state)
                y, fixed = layer.stateless_call(trainable, fixed, x, training=training)
                return y, fixed[-2:]

            y, pull, state = jax.vjp(forward, affine, x, has_aux=True)
            return y, state, *pull(dy)

        return layer, jax.jit(step, static_argnums=0)


class _Layer:
    """An eager layer; ``call`` gives y and the gradients as the backend's tensors."""

    def __init__(
        self,
        call: Callable[[Array, Array, bool], Gradients],
        layer: Any,
        numpy: Callable[[Any], Array],
    ) -> None:
        self.call, self.layer, self.numpy = call, layer, numpy

    def train(self, x: Array, dy: Array) -> Step:
        """Call with training=True; a frozen layer decides for itself what that means."""
        return self._step(x, dy, training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call with training=False."""
        return self._step(x, dy, training=False)

    def _step(self, x: Array, dy: Array, *, training: bool) -> Step:
        y, dx, dgamma, dbeta = self.call(x, dy, training)
        return Step(
            y=self.numpy(y),
            running_mean=self.numpy(self.layer.moving_mean.value),
            running_var=self.numpy(self.layer.moving_variance.value),
            dx=self.numpy(dx),
            dgamma=None if dgamma is None else self.numpy(dgamma),
            dbeta=None if dbeta is None else self.numpy(dbeta),
        )


class _JaxLayer:
    """A stateless layer whose state is kept here."""

    def __init__(
        self, compiled: tuple[Any, Callable[..., Any]], case: Case, parameters: Parameters
    ) -> None:
        (_, self.step), self.case = compiled, case
        affine = (parameters.gamma, parameters.beta)
        self.affine = [each for each in affine if each is not None]
        self.state: list[Any] = [parameters.running_mean, parameters.running_var]
        dtype = parameters.running_mean.dtype.type
        momentum = 0.99 if case.decay is None else case.decay
        self.scalars = dtype(case.epsilon), dtype(momentum)

    def train(self, x: Array, dy: Array) -> Step:
        """Call with training=True; a frozen layer decides for itself what that means."""
        return self._step(x, dy, training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call with training=False."""
        return self._step(x, dy, training=False)

    def _step(self, x: Array, dy: Array, *, training: bool) -> Step:
        weights = (self.affine, self.state)
        y, self.state, affine, dx = self.step(training, self.scalars, weights, x, dy)
        grads = iter(affine)
        return Step(
            y=np.asarray(y),
            running_mean=np.asarray(self.state[0]),
            running_var=np.asarray(self.state[1]),
            dx=np.asarray(dx),
            dgamma=np.asarray(next(grads)) if self.case.scale else None,
            dbeta=np.asarray(next(grads)) if self.case.center else None,
        )


def _affine(layer: Any) -> dict[str, Any]:
    """The layer's own parameters by name, without those that are switched off."""
    named = {"gamma": layer.gamma, "beta": layer.beta}
    return {name: variable for name, variable in named.items() if variable is not None}
