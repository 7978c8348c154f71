"""Keras 3's ``keras.layers.BatchNormalization`` on each of its backends.

Each backend differentiates in its own way, and one process holds one backend, so each is a subject
of its own.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

import numpy as np

from bnconform.adapters import keras_experiments
from bnconform.adapters.caches import jax_caches
from bnconform.adapters.exports import keras_exports
from bnconform.adapters.idle import Idle
from bnconform.adapters.keras_settings import STATE, check_mask, loaded, settings_of, variables_of
from bnconform.adapters.second_order import keras_second
from bnconform.adapters.second_order import request as second_order
from bnconform.adapters.torch_arrays import THREADS, is_variable, to_leaf, to_numpy, to_torch
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
    HalfGradient,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.variant import VariantKind

_DOCS = "https://keras.io/api/layers/normalization_layers/batch_normalization/"
_SOURCE = "keras/src/layers/normalization/batch_normalization.py: "
_BACKEND = "keras/src/backend/"

_DIALECT = Dialect(
    momentum=Claim(MomentumSense.DECAY, _DOCS + ": moving_mean * momentum + mean * (1 - momentum)"),
    default_momentum=Claim(0.99, _DOCS),
    default_epsilon=Claim(1e-3, _DOCS),
    epsilon_floor=Claim(0.0, _DOCS + ": none is mentioned"),
    running_variance=Claim(RunningVariance.BIASED, _DOCS + ": moving_var takes var(batch)"),
    variance=Claim(VarianceAlgorithm.TWO_PASS, _BACKEND + "jax/nn.py: moments takes jnp.var"),
    single_value=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
    empty_batch=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
    frozen=Claim(FrozenPolicy.RUNNING_STATISTICS, _DOCS + ": 'About setting layer.trainable'"),
    half_output=Claim(HalfOutput.INPUT, _SOURCE + "call casts to compute_dtype at the end"),
    half_gradient=Claim(HalfGradient.ONCE, _SOURCE + "call widens its inputs in one place"),
)
_CAPABILITIES = Capabilities(
    dtypes=frozenset(DType),
    ranks=frozenset({2, 3, 4, 5}),
    axes=Axes.ANY_ONE,
    modes=frozenset(Mode),
    quantities=frozenset(Quantity) - BATCH_STATISTICS,
    # The axis is one integer.
    passes_on=frozenset(Malformation) - {Malformation.AXIS_REPEATED},
    variants=frozenset({VariantKind.PLAIN, VariantKind.RENORM, VariantKind.MASKED}),
    half_parameters=True,
    experiments=keras_experiments.NAMES | second_order.NAMES.union(keras_exports.WAYS),
    notes={
        "axes": _DOCS + ": axis is one integer",
        "cumulative": _DOCS + ": momentum is a number",
        "variants": _DOCS + ": renorm, and mask for the last axis; synchronized=True is 'only"
        " supported with the TensorFlow backend', between replicas of a tf.distribute strategy;"
        " there is no other",
        "quantities": "the layer returns no batch statistics; a frozen layer's parameters have no"
        " gradient on PyTorch, where trainable=False clears requires_grad",
    },
)
_IDLE_LAYERS = 32
"""Layers kept for the next case with the same settings."""


Tensors: TypeAlias = dict[str, Any]
"""Arrays of a backend under the names of :class:`Step`'s fields."""


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
            msg = (
                f"this process runs Keras on {keras.backend.backend()}, not on {self.backend}:"
                f" set KERAS_BACKEND={self.backend} before the first import of keras"
            )
            raise ImportError(msg)
        self.keras = keras
        self.version: str = keras.__version__
        self.device = self.device_of(keras.Variable(0.0).value)

    def device_of(self, tensor: Any) -> str:
        """Kind of the device that holds ``tensor``, such as cpu."""
        raise NotImplementedError

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """What an experiment observes of a layer of this backend."""
        if experiment in keras_exports.WAYS:
            return keras_exports.observe(self.keras, experiment, arrays)
        if experiment in second_order.NAMES:
            asked = second_order.request(experiment, arrays, self.capabilities)
            return keras_second.observe(self.keras, self.make(asked.case, asked.parameters), asked)
        return keras_experiments.observe(self.keras, experiment, arrays)

    def make(self, case: Case, parameters: Parameters) -> Any:
        """A built layer of its own with these parameters and this state.

        :class:`UnsupportedError` for a mask over another axis than Keras puts it on.
        """
        check_mask(case)
        return loaded(self._new(*settings_of(case)), parameters)

    def _new(self, settings: Mapping[str, Any], shape: tuple[int | None, ...]) -> Any:
        layer = self.keras.layers.BatchNormalization(**settings)
        layer.build(shape)
        return layer


class _EagerKeras(_Keras):
    """A backend that calls the layer as it is; layers that are not in use are kept.

    A campaign asks the cases of one signature in a row, and making a layer adds to each of them.
    """

    def __init__(self) -> None:
        """Import Keras with this backend; ImportError where either is absent."""
        super().__init__()
        self.idle = Idle[Any](_IDLE_LAYERS)

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """A layer that nobody else uses, with the case's settings, parameters and state."""
        check_mask(case)
        settings, shape = settings_of(case)
        kind = repr((settings, shape))
        made = loaded(self.idle.take(kind) or self._new(settings, shape), parameters)
        layer = self.around(made)
        layer.returned = self.idle.lend(layer, kind, made)
        return layer

    def around(self, layer: Any) -> _Layer:
        """How ``layer`` is called and differentiated on this backend."""
        raise NotImplementedError


class KerasTensorflow(_EagerKeras):
    """Keras on TensorFlow, called eagerly and differentiated by ``tf.GradientTape``.

    Eager on purpose: a new signature costs nothing, while ``tf.function`` traces each anew.
    """

    name: ClassVar[str] = "keras.tensorflow"
    backend: ClassVar[str] = "tensorflow"
    environment: ClassVar[dict[str, str]] = {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # A fixed number of threads gives the same split of a reduction on every machine, and two
        # keep that split under test.
        "TF_NUM_INTRAOP_THREADS": "2",
        "TF_NUM_INTEROP_THREADS": "2",
    }
    dialect: ClassVar[Dialect] = replace(
        _DIALECT,
        variance=Claim(
            VarianceAlgorithm.TWO_PASS, _BACKEND + "tensorflow/nn.py: moments takes tf.nn.moments"
        ),
    )

    def device_of(self, tensor: Any) -> str:
        """TensorFlow names devices like ``/job:localhost/replica:0/task:0/device:CPU:0``."""
        return str(tensor.device).split(":")[-2].lower()

    def around(self, layer: Any) -> _Layer:
        """Called eagerly under a tape."""
        import tensorflow as tf

        def call(x: Array, dy: Array, mask: Array | None, *, training: bool) -> Tensors:
            sources = {"dx": tf.constant(x)} | _affine(layer)
            with tf.GradientTape() as tape:
                tape.watch(sources)
                y = layer(sources["dx"], training=training, mask=mask)
            grads: Tensors = tape.gradient(y, sources, output_gradients=tf.constant(dy))
            return {"y": y} | grads

        return _Layer(call, layer, np.array)


class KerasTorch(_EagerKeras):
    """Keras on PyTorch, called eagerly and differentiated by autograd."""

    name: ClassVar[str] = "keras.torch"
    backend: ClassVar[str] = "torch"
    environment: ClassVar[dict[str, str]] = {"KERAS_BACKEND": "torch"} | THREADS
    dialect: ClassVar[Dialect] = replace(
        _DIALECT,
        variance=Claim(
            VarianceAlgorithm.ONE_PASS,
            _BACKEND + "torch/nn.py: moments, 'Var = E[|x|^2] - |E[x]|^2 ... less stable'",
        ),
    )

    def device_of(self, tensor: Any) -> str:
        """PyTorch's own name for the kind of device."""
        return str(tensor.device.type)

    def around(self, layer: Any) -> _Layer:
        """Called eagerly, its leaves watched."""
        import torch

        def call(x: Array, dy: Array, mask: Array | None, *, training: bool) -> Tensors:
            leaf = to_leaf(torch, x)
            sources = {"dx": leaf} | _affine(layer)
            sources = {name: source for name, source in sources.items() if is_variable(source)}
            y = layer(leaf, training=training, mask=None if mask is None else to_torch(torch, mask))
            upstream = to_torch(torch, dy).to(y.device)
            grads = torch.autograd.grad(y, list(sources.values()), upstream)
            return {"y": y} | dict(zip(sources, grads, strict=True))

        return _Layer(call, layer, lambda tensor: to_numpy(torch, tensor))


class KerasJax(_Keras):
    """Keras on JAX: ``stateless_call``, jitted, and differentiated by ``jax.vjp``."""

    name: ClassVar[str] = "keras.jax"
    backend: ClassVar[str] = "jax"
    environment: ClassVar[dict[str, str]] = {
        "KERAS_BACKEND": "jax",
        "JAX_ENABLE_X64": "1",
    } | jax_caches()
    capabilities: ClassVar[Capabilities] = replace(
        _CAPABILITIES,
        # Values and scalars are arguments of a compiled step; no constructor and no assignment
        # sees those of every case.
        passes_on=frozenset(
            {
                Malformation.RANK_TOO_LOW,
                Malformation.OTHER_CHANNELS,
                Malformation.ONE_CHANNEL,
                Malformation.AXIS_OUT_OF_RANGE,
                Malformation.INTEGER_INPUT,
            }
        ),
    )

    def __init__(self) -> None:
        """Import Keras on JAX, and prepare a cache of compiled steps."""
        super().__init__()
        self.steps: dict[str, Callable[..., Any]] = {}

    def device_of(self, tensor: Any) -> str:
        """JAX's own name for the platform."""
        return str(next(iter(tensor.devices())).platform)

    def build(self, case: Case, parameters: Parameters) -> _StatelessLayer:
        """The compiled step of the case's signature, with this case's values and state."""
        if case.signature not in self.steps:
            self.steps[case.signature] = self._compile(case, parameters)
        return _StatelessLayer(self.steps[case.signature], case, parameters)

    def _compile(self, case: Case, parameters: Parameters) -> Callable[..., Any]:
        """A jitted step that takes everything but the signature as arguments."""
        import jax

        layer = self.make(case, parameters)

        def step(
            training: Any, scalars: Any, affine: Any, state: Any, x: Any, dy: Any, mask: Any
        ) -> Any:
            # Traced, so that other values of epsilon and momentum do not compile anew.
            layer.epsilon, layer.momentum = scalars

            def forward(affine: list[Any], x: Any) -> Any:
                trainable, fixed = (affine, state) if layer.trainable else ([], affine + state)
                y, fixed = layer.stateless_call(trainable, fixed, x, training=training, mask=mask)
                return y, fixed[-len(state) :]

            y, pull, new_state = jax.vjp(forward, affine, x, has_aux=True)
            return y, new_state, *pull(dy)

        return jax.jit(step, static_argnums=0)  # type: ignore[no-any-return]


class _Layer:
    """A layer that keeps its own state; ``call`` gives y and the gradients as tensors."""

    def __init__(
        self, call: Callable[..., Tensors], layer: Any, numpy: Callable[[Any], Array]
    ) -> None:
        self.call, self.layer, self.numpy = call, layer, numpy
        self.returned: weakref.finalize[Any, Any] | None = None

    def train(self, x: Array, dy: Array, *, weights: Array | None = None) -> Step:
        """Call with training=True; a frozen layer decides for itself what that means."""
        return self._step(x, dy, _mask(weights), training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call with training=False."""
        return self._step(x, dy, None, training=False)

    def _step(self, x: Array, dy: Array, mask: Array | None, *, training: bool) -> Step:
        try:
            found = self.call(x, dy, mask, training=training)
        except BaseException:
            # Nobody knows what the layer remembers of it.
            if self.returned is not None:
                self.returned.detach()
            raise
        found["running_mean"] = self.layer.moving_mean.value
        found["running_var"] = self.layer.moving_variance.value
        return Step(**{name: self.numpy(t) for name, t in found.items() if t is not None})


class _StatelessLayer:
    """A compiled step, and the parameters and state that it takes."""

    def __init__(self, step: Callable[..., Any], case: Case, parameters: Parameters) -> None:
        self.step = step
        values = variables_of(parameters)
        self.affine = {f"d{name}": values[name] for name in ("gamma", "beta") if name in values}
        self.state: list[Any] = [values[name] for name in STATE if name in values]
        # Python floats, as users give them: JAX keeps 1 - momentum in double precision until it
        # meets an array.
        self.scalars = (case.epsilon, 0.99 if case.decay is None else case.decay)

    def train(self, x: Array, dy: Array, *, weights: Array | None = None) -> Step:
        """Call with training=True; a frozen layer decides for itself what that means."""
        return self._step(x, dy, _mask(weights), training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call with training=False."""
        return self._step(x, dy, None, training=False)

    def _step(self, x: Array, dy: Array, mask: Array | None, *, training: bool) -> Step:
        affine = list(self.affine.values())
        y, self.state, grads, dx = self.step(
            training, self.scalars, affine, self.state, x, dy, mask
        )
        return Step(
            y=np.array(y),
            running_mean=np.array(self.state[0]),
            running_var=np.array(self.state[1]),
            dx=np.array(dx),
            **{name: np.array(grad) for name, grad in zip(self.affine, grads, strict=True)},
        )


def _mask(weights: Array | None) -> Array | None:
    """A mask as Keras takes it: without the last axis, that of the features."""
    return None if weights is None else weights.squeeze(-1)


def _affine(layer: Any) -> Tensors:
    """The layer's own parameters, under the names of their gradients."""
    named = {"dgamma": layer.gamma, "dbeta": layer.beta}
    return {name: variable.value for name, variable in named.items() if variable is not None}
