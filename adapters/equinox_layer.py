"""Equinox's ``eqx.nn.BatchNorm`` in its two modes, jitted, with JAX's own differentiation.

The layer sees one sample, channels first, and the batch as a named axis of ``jax.vmap``. Epsilon
and momentum are traced arguments of the jitted step, so that one compilation serves every value.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.caches import jax_caches
from bnconform.adapters.exports import jax_exports, jax_layers
from bnconform.adapters.second_order import jax_second
from bnconform.adapters.second_order import request as second_order
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    BATCH_STATISTICS,
    Array,
    Axes,
    Capabilities,
    Parameters,
    Quantity,
    Step,
    UnsupportedError,
)
from bnconform.conformance.dialect import (
    Averaging,
    Claim,
    Dialect,
    FrozenPolicy,
    HalfGradient,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    SavedStatistics,
    TrainingStatistics,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.variant import Synchronized, VariantKind

_DOCS = "https://docs.kidger.site/equinox/api/nn/normalisation/#equinox.nn.BatchNorm"
_SOURCE = "equinox/nn/_batch_norm.py: "
_NAMES = ("replicas", "samples")


def _dialect(
    running_variance: Claim[RunningVariance],
    averaging: Claim[Averaging],
    training_statistics: Claim[TrainingStatistics],
) -> Dialect:
    """What both modes document, and the three claims that set them apart."""
    return Dialect(
        momentum=Claim(MomentumSense.DECAY, _SOURCE + "momentum weighs the running average"),
        default_momentum=Claim(0.99, _DOCS),
        default_epsilon=Claim(1e-5, _DOCS),
        epsilon_floor=Claim(0.0, _SOURCE + "sqrt(v + self.eps)"),
        running_variance=running_variance,
        variance=Claim(VarianceAlgorithm.TWO_PASS, _SOURCE + "mean((y - mean) * conj(y - mean))"),
        single_value=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
        empty_batch=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
        frozen=Claim(
            FrozenPolicy.RUNNING_STATISTICS,
            _DOCS + ": inference, 'directly used for normalisation'",
        ),
        half_output=Claim(HalfOutput.PARAMETERS, _SOURCE + "out * w + b, as JAX promotes"),
        half_gradient=Claim(HalfGradient.BY_TERM, _SOURCE + "_stats and _norm each use y"),
        averaging=averaging,
        training_statistics=training_statistics,
        saved_statistics=Claim(SavedStatistics.INPUT, _SOURCE + "_stats returns jnp.mean(y)"),
    )


class _Equinox:
    """What the two modes share."""

    mode: ClassVar[str]
    framework: ClassVar[str] = "equinox"
    environment: ClassVar[dict[str, str]] = {"JAX_ENABLE_X64": "1"} | jax_caches()
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset({2, 3, 4, 5}),
        axes=Axes.ANY_ONE,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        partial_affine=False,
        # There is no axis to give, and weights are put in place as they are.
        passes_on=frozenset(
            {
                Malformation.RANK_TOO_LOW,
                Malformation.OTHER_CHANNELS,
                Malformation.ONE_CHANNEL,
                Malformation.NEGATIVE_EPSILON,
                Malformation.ZERO_EPSILON,
                Malformation.DECAY_ABOVE_ONE,
                Malformation.NEGATIVE_DECAY,
                Malformation.INTEGER_INPUT,
            }
        ),
        variants=frozenset({VariantKind.PLAIN, VariantKind.SYNCHRONIZED}),
        experiments=second_order.NAMES.union(jax_exports.EQUINOX_WAYS["batch"]),
        half_parameters=True,
        notes={
            "axes": "channels are axis 0 of a sample; another axis is moved there",
            "cumulative": "momentum is a number",
            "partial_affine": "channelwise_affine switches weight and bias together",
            "quantities": "the batch statistics are not returned",
            "variants": "replicas under jax.vmap hold equal shares; no masks or weights",
        },
    )

    def __init__(self) -> None:
        """Import Equinox and JAX; ImportError where one is absent."""
        import equinox
        import jax

        self.jax, self.equinox = jax, equinox
        self.version: str = equinox.__version__
        self.device: str = jax.devices()[0].platform
        self.step = jax.jit(self._step, static_argnums=(0, 1))

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """The compiled step, with the parameters and the state that it takes.

        :class:`UnsupportedError` for what lies outside Equinox's documented domain.
        """
        if case.mode is Mode.TRAIN and case.decay in (0, 1):
            msg = f"no momentum of {case.decay:g}: 'between 0 and 1 exclusive' ({_DOCS})"
            raise UnsupportedError(msg)
        if isinstance(case.variant, Synchronized) and case.variant.uneven:
            msg = "no replicas with unequal shares: jax.vmap splits an axis evenly"
            raise UnsupportedError(msg)
        affine = () if parameters.gamma is None else (parameters.gamma, parameters.beta)
        return _Layer(self.step, case, affine, self._begin(case, parameters))

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Second derivatives of the layer; its ways out."""
        ways = jax_exports.EQUINOX_WAYS[self.mode]
        if experiment in ways:
            start = functools.partial(jax_layers.equinox_layer, self.jax, self.equinox, self.mode)
            return jax_exports.observe(start, ways, experiment, arrays)
        asked = second_order.request(experiment, arrays, self.capabilities)
        built = self.build(asked.case, asked.parameters)
        mean = asked.parameters.running_mean
        made = self._make(_NAMES[1:], built.scalars, built.affine, mean.dtype, len(mean))
        settings = (asked.case.channel_axes[0], 1)

        def forward(x: Any, *affine: Any) -> Any:
            variables, inference = (affine, built.state), not asked.training
            return self._forward(made, settings, variables, x, inference=inference)[0]

        return jax_second.observe(self.jax, forward, asked)

    def _begin(self, case: Case, parameters: Parameters) -> tuple[Any, Array, Array]:
        """The state that ``case`` starts from: a counter or flag, a mean and a variance."""
        raise NotImplementedError

    def _indices(self, layer: Any) -> tuple[Any, Any]:
        """Where a state holds the counter or flag, and the pair of statistics."""
        raise NotImplementedError

    def _used(self, momentum: Any, stored: Any) -> Any:
        """The mean and variance that inference takes from a state."""
        raise NotImplementedError

    def _step(
        self, settings: Any, inference: Any, scalars: Any, variables: Any, x: Any, dy: Any
    ) -> Any:
        """y, the new state, what inference takes from it, and the gradients of sum(y dy)."""
        affine, stored = variables
        names = _NAMES if settings[1] > 1 else _NAMES[1:]
        made = self._make(names, scalars, affine, stored[1].dtype, len(stored[1]))

        def forward(affine: Any, x: Any) -> Any:
            return self._forward(made, settings, (affine, stored), x, inference=inference)

        y, pull, new = self.jax.vjp(forward, affine, x, has_aux=True)
        # The upstream gradient has the format of the output, which holds its values exactly.
        return y, new, self._used(scalars[1], new), *pull(dy.astype(y.dtype))

    def _forward(
        self, made: Any, settings: Any, variables: Any, x: Any, *, inference: bool
    ) -> tuple[Any, Any]:
        """y and the new state."""
        axis, replicas = settings
        names = _NAMES if replicas > 1 else _NAMES[1:]
        moved = x if axis == 1 else self.jax.numpy.moveaxis(x, axis, 1)
        sizes = (replicas, len(moved) // replicas) if replicas > 1 else (len(moved),)
        shards = moved.reshape(*sizes, *moved.shape[1:])
        affine, stored = variables
        y, new = self._call(made, names, affine, stored, shards, inference=inference)
        y = y.reshape(len(moved), *y.shape[len(sizes) :])
        return y if axis == 1 else self.jax.numpy.moveaxis(y, 1, axis), new

    def _make(self, names: Any, scalars: Any, affine: Any, dtype: Any, channels: int) -> Any:
        """A layer and its fresh state."""
        with warnings.catch_warnings():
            # Epsilon and momentum are traced, and nothing keeps the layer beyond the trace.
            warnings.filterwarnings("ignore", "A JAX array is being set as static", UserWarning)
            return self.equinox.nn.make_with_state(self.equinox.nn.BatchNorm)(
                channels,
                names,
                eps=scalars[0],
                momentum=scalars[1],
                channelwise_affine=bool(affine),
                dtype=dtype,
                mode=self.mode,
            )

    def _call(
        self, made: Any, names: Any, affine: Any, stored: Any, shards: Any, *, inference: bool
    ) -> Any:
        """y and the new state, over one named axis of samples or two."""
        layer, state = made
        if affine:
            layer = self.equinox.tree_at(lambda each: (each.weight, each.bias), layer, affine)
        number, pair = self._indices(layer)
        state = state.set(number, stored[0]).set(pair, stored[1:])

        def call(sample: Any) -> Any:
            y, new = layer(sample, state, inference=inference)
            return y, (new.get(number), *new.get(pair))

        for name in reversed(names):
            # out_axes=None: JAX refuses a state that differs from sample to sample.
            call = self.jax.vmap(call, axis_name=name, out_axes=(0, None))
        return call(shards)


class EquinoxBatch(_Equinox):
    """Mode "batch": the batch normalizes in training, debiased averages in inference.

    Its running statistics are what inference makes of the hidden averages. Training starts from
    the layer's own beginning; elsewhere the hidden averages are the case's, with a counter of 0,
    for which inference takes them as they are.
    """

    name: ClassVar[str] = "equinox.batch"
    mode: ClassVar[str] = "batch"
    dialect: ClassVar[Dialect] = _dialect(
        Claim(
            RunningVariance.UNBIASED,
            _DOCS + ": 'the exponential running mean and unbiased variance are used'",
        ),
        Claim(Averaging.ZERO_DEBIASED, _SOURCE + "'Zero-debias approach' divides at inference"),
        Claim(TrainingStatistics.BATCH, _DOCS + ": 'the batch mean and variance are used'"),
    )

    def _begin(self, case: Case, parameters: Parameters) -> tuple[Any, Array, Array]:
        mean, var = parameters.running_mean, parameters.running_var
        if case.mode is Mode.TRAIN:
            # As the constructor makes them; a test compares.
            mean, var = np.zeros_like(mean), np.ones_like(var)
        # A plain number: JAX tells it, as the constructor has it, from an array of a set type.
        return 0, mean, var

    def _indices(self, layer: Any) -> tuple[Any, Any]:
        return layer.batch_counter, layer.batch_state_index

    def _used(self, momentum: Any, stored: Any) -> Any:
        counter, mean, var = stored
        scale = self.jax.numpy.where(counter == 0, 1, 1 - momentum**counter)
        return mean / scale, var / scale


class EquinoxEma(_Equinox):
    """Mode "ema": running averages normalize in training, too, those after the update.

    The layer starts as one that has been trained before, from the case's statistics.
    """

    name: ClassVar[str] = "equinox.ema"
    mode: ClassVar[str] = "ema"
    # Its training is differentiated through running statistics, of which no experiment speaks.
    capabilities: ClassVar[Capabilities] = replace(
        _Equinox.capabilities,
        experiments=second_order.INFERENCE.union(jax_exports.EQUINOX_WAYS["ema"]),
    )
    dialect: ClassVar[Dialect] = _dialect(
        Claim(RunningVariance.BIASED, _SOURCE + "var averages batch_var as it is"),
        Claim(
            Averaging.EXPONENTIAL, _DOCS + ": 'exponential running means and variances are kept'"
        ),
        Claim(TrainingStatistics.RUNNING, _SOURCE + "the updated mean and var reach _norm"),
    )

    def _begin(self, case: Case, parameters: Parameters) -> tuple[Any, Array, Array]:
        del case
        return np.zeros((), bool), parameters.running_mean, parameters.running_var

    def _indices(self, layer: Any) -> tuple[Any, Any]:
        return layer.ema_first_time_index, layer.ema_state_index

    def _used(self, momentum: Any, stored: Any) -> Any:
        del momentum
        return stored[1:]


class _Layer:
    """A compiled step, and the parameters and state that it takes."""

    def __init__(self, step: Any, case: Case, affine: Any, state: Any) -> None:
        self.step, self.case, self.affine, self.state = step, case, affine, state
        # Python floats, as users give them. None comes outside training alone, where it is unused.
        self.scalars = (case.epsilon, 0.99 if case.decay is None else case.decay)

    def train(self, x: Array, dy: Array) -> Step:
        """Call in training mode, or in inference mode where the case freezes the layer."""
        return self._call(x, dy, inference=self.case.mode is Mode.FROZEN)

    def infer(self, x: Array, dy: Array) -> Step:
        """Call in inference mode."""
        return self._call(x, dy, inference=True)

    def _call(self, x: Array, dy: Array, *, inference: bool) -> Step:
        variant = self.case.variant
        replicas = variant.replicas if isinstance(variant, Synchronized) and not inference else 1
        settings = (self.case.channel_axes[0], replicas)
        y, self.state, (mean, var), affine, dx = self.step(
            settings, inference, self.scalars, (self.affine, self.state), x, dy
        )
        return Step(
            y=np.array(y),
            running_mean=np.array(mean),
            running_var=np.array(var),
            dx=np.array(dx),
            **{name: np.array(z) for name, z in zip(("dgamma", "dbeta"), affine, strict=False)},
        )
