"""Haiku's ``hk.BatchNorm``, jitted, with JAX's own differentiation.

Decay and epsilon are traced arguments of the jitted step, so that one compilation serves every
value of them. A layer starts from Haiku's own beginning, hidden values and a counter of 0; the
averages, which are what inference reads, start from the case's running statistics.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
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
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.variant import Synchronized, VariantKind

_DOCS = "https://dm-haiku.readthedocs.io/en/latest/api.html#batchnorm"
_AVERAGE = "https://dm-haiku.readthedocs.io/en/latest/api.html#exponentialmovingaverage"
_SOURCE = "haiku/_src/batch_norm.py: "
_MEAN, _VAR = "bn/~/mean_ema", "bn/~/var_ema"
_REPLICAS = "replicas"


class HaikuBatchNorm:
    """The module through ``transform_with_state``: parameters and state are handed in and out."""

    name: ClassVar[str] = "haiku.batchnorm"
    framework: ClassVar[str] = "dm-haiku"
    environment: ClassVar[dict[str, str]] = {"JAX_ENABLE_X64": "1"} | jax_caches()
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.DECAY, _AVERAGE + ": 'close to 1 result in slow decay'"),
        default_momentum=Claim(None, _DOCS + ": decay_rate has no default"),
        default_epsilon=Claim(1e-5, _DOCS + ": 'Defaults 1e-5, as in the paper and Sonnet'"),
        epsilon_floor=Claim(0.0, _SOURCE + "rsqrt(var + eps), eps as given"),
        running_variance=Claim(RunningVariance.BIASED, _SOURCE + "var_ema takes var as it is"),
        variance=Claim(VarianceAlgorithm.ONE_PASS, _SOURCE + "mean_of_squares - square(mean)"),
        single_value=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
        empty_batch=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
        # No mark on the module: a frozen layer is one that is called with is_training=False while
        # the rest of the network trains.
        frozen=Claim(
            FrozenPolicy.RUNNING_STATISTICS,
            _DOCS + ": is_training, 'Whether this is during training'",
        ),
        half_output=Claim(
            HalfOutput.PARAMETERS, _SOURCE + "(inputs - mean) * inv + offset, as JAX promotes"
        ),
        half_gradient=Claim(
            HalfGradient.BY_TERM,
            _SOURCE + "mean, mean_of_squares and inputs - mean each use inputs",
        ),
        averaging=Claim(
            Averaging.ZERO_DEBIASED, _AVERAGE + ": 'uses the Adam debiasing procedure'"
        ),
        saved_statistics=Claim(
            SavedStatistics.INPUT, _SOURCE + "jnp.mean(inputs), average.astype(inputs.dtype)"
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset({2, 3, 4, 5}),
        axes=Axes.ANY_SET,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        # There are only axes to reduce over, and those that a case gives are never malformed.
        passes_on=frozenset(Malformation)
        - {Malformation.AXIS_OUT_OF_RANGE, Malformation.AXIS_REPEATED},
        variants=frozenset(
            {
                VariantKind.PLAIN,
                VariantKind.SYNCHRONIZED,
                VariantKind.UNTRACKED,
            }
        ),
        half_parameters=True,
        experiments=second_order.NAMES.union(jax_exports.HAIKU_WAYS),
        notes={
            "cumulative": "decay_rate is a number",
            "quantities": "the batch statistics are not returned",
            "variants": "replicas under jax.vmap hold equal shares; untracked is"
            " is_training=False with test_local_stats=True; there are no masks or weights",
        },
    )

    def __init__(self) -> None:
        """Import Haiku and JAX; ImportError where one is absent."""
        import haiku
        import jax

        self.jax, self.haiku = jax, haiku
        self.version: str = haiku.__version__
        self.device: str = jax.devices()[0].platform
        self.step = jax.jit(self._step, static_argnums=(0, 1))

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """The compiled step, with the parameters and the state that it takes.

        :class:`UnsupportedError` for what lies outside Haiku's documented domain.
        """
        if case.mode is Mode.TRAIN and case.decay == 1:
            msg = f"no decay of 1 in training: decay 'must in [0, 1)' ({_AVERAGE})"
            raise UnsupportedError(msg)
        if isinstance(case.variant, Synchronized) and case.variant.uneven:
            msg = "no replicas with unequal shares: jax.vmap splits an axis evenly"
            raise UnsupportedError(msg)
        return _Layer(self.step, case, parameters)

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Second derivatives of the module; its ways out."""
        if experiment in jax_exports.HAIKU_WAYS:
            start = functools.partial(jax_layers.haiku_layer, self.jax, self.haiku)
            return jax_exports.observe(start, jax_exports.HAIKU_WAYS, experiment, arrays)
        asked = second_order.request(experiment, arrays, self.capabilities)
        built = self.build(asked.case, asked.parameters)

        def network(x: Any) -> Any:
            decay_rate, eps = built.scalars
            arguments = dict(built.arguments)
            layer = self.haiku.BatchNorm(decay_rate=decay_rate, eps=eps, name="bn", **arguments)
            return layer(x, asked.training)

        apply = self.haiku.without_apply_rng(self.haiku.transform_with_state(network)).apply

        def forward(x: Any, *affine: Any) -> Any:
            wide = map(self.jax.numpy.reshape, affine, [each.shape for each in built.wide.values()])
            parameters = {"bn": dict(zip(built.wide, wide, strict=True))} if affine else {}
            return apply(parameters, built.state, x)[0]

        return jax_second.observe(self.jax, forward, asked)

    def _step(
        self, settings: Any, modes: Any, scalars: Any, variables: Any, x: Any, dy: Any
    ) -> Any:
        """y, the new state, and the gradients of sum(y dy) by the parameters and x."""
        arguments, replicas = settings
        is_training, test_local_stats = modes
        parameters, state = variables
        decay_rate, eps = scalars

        def network(x: Any) -> Any:
            axis = _REPLICAS if replicas > 1 else None
            layer = self.haiku.BatchNorm(
                decay_rate=decay_rate,
                eps=eps,
                cross_replica_axis=axis,
                name="bn",
                **dict(arguments),
            )
            return layer(x, is_training, test_local_stats=test_local_stats)

        apply = self.haiku.without_apply_rng(self.haiku.transform_with_state(network)).apply

        def forward(parameters: Any, x: Any) -> Any:
            if replicas == 1:
                return apply(parameters, state, x)
            shards = x.reshape(replicas, x.shape[0] // replicas, *x.shape[1:])
            # out_axes=None: JAX refuses a state that differs from replica to replica.
            spread = self.jax.vmap(
                lambda shard: apply(parameters, state, shard),
                axis_name=_REPLICAS,
                out_axes=(0, None),
            )
            y, new = spread(shards)
            return y.reshape(x.shape), new

        y, pull, new = self.jax.vjp(forward, parameters, x, has_aux=True)
        # The upstream gradient has the format of the output, which holds its values exactly.
        return y, new, *pull(dy.astype(y.dtype))


class _Layer:
    """A compiled step, and the parameters and state that it takes, in Haiku's shapes."""

    def __init__(self, step: Any, case: Case, parameters: Parameters) -> None:
        self.step, self.case = step, case
        self.arguments = (
            ("create_scale", case.scale), ("create_offset", case.center), _axes(case),
        )  # fmt: skip
        # Python floats, as users give them. None comes outside training alone, where it is unused.
        self.scalars = (0.99 if case.decay is None else case.decay, case.epsilon)
        named = {"scale": parameters.gamma, "offset": parameters.beta}
        self.wide = {name: self._wide(value) for name, value in named.items() if value is not None}
        self.parameters = {"bn": self.wide} if self.wide else {}
        self.state: Any = {
            _MEAN: self._average(parameters.running_mean),
            _VAR: self._average(parameters.running_var),
        }

    def _wide(self, values: Array) -> Array:
        return np.expand_dims(values, self.case.reduction_axes)

    def _average(self, values: Array) -> dict[str, Array]:
        wide = self._wide(values)
        return {"average": wide, "hidden": np.zeros_like(wide), "counter": np.zeros((), np.int32)}

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch, or by the averages where the case freezes the layer."""
        return self._call(x, dy, is_training=self.case.mode is not Mode.FROZEN)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the averages, or by the batch where the case tracks none."""
        return self._call(x, dy, is_training=False)

    def _call(self, x: Array, dy: Array, *, is_training: bool) -> Step:
        variant = self.case.variant
        untracked = variant.kind is VariantKind.UNTRACKED
        replicas = variant.replicas if isinstance(variant, Synchronized) and is_training else 1
        y, self.state, grads, dx = self.step(
            (self.arguments, replicas),
            (is_training and not untracked, untracked),
            self.scalars,
            (self.parameters, self.state),
            x,
            dy,
        )
        grads = grads.get("bn", {})
        return Step(
            y=np.array(y),
            running_mean=None if untracked else self._statistic(_MEAN),
            running_var=None if untracked else self._statistic(_VAR),
            dx=np.array(dx),
            dgamma=self._narrow(grads["scale"]) if self.case.scale else None,
            dbeta=self._narrow(grads["offset"]) if self.case.center else None,
        )

    def _statistic(self, name: str) -> Array:
        """The average that inference reads, in the shape of the features."""
        return self._narrow(self.state[name]["average"])

    def _narrow(self, values: Any) -> Array:
        """A wide array without the reduction axes, all of size 1."""
        return np.array(values).squeeze(self.case.reduction_axes)


def _axes(case: Case) -> tuple[str, Any]:
    """The argument that names the axes: the data format where there is one, else those reduced."""
    formats: dict[tuple[int, ...], str] = {(1,): "channels_first", (-1,): "channels_last"}
    named = formats.get(case.feature_axes)
    return ("data_format", named) if named else ("axis", case.reduction_axes)
