"""Flax's ``flax.linen.BatchNorm``, jitted, with JAX's own differentiation.

Epsilon and momentum are traced arguments of the jitted step, so that one compilation serves every
value of them.
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
from bnconform.conformance.variant import Synchronized, VariantKind

_DOCS = (
    "https://flax-linen.readthedocs.io/en/latest/api_reference/flax.linen/layers.html"
    "#flax.linen.BatchNorm"
)
_SOURCE = "flax/linen/normalization.py: "
_REPLICAS = "replicas"


class FlaxLinen:
    """The linen module through ``apply``, with the ``batch_stats`` collection as its state."""

    name: ClassVar[str] = "flax.linen"
    framework: ClassVar[str] = "flax"
    environment: ClassVar[dict[str, str]] = {"JAX_ENABLE_X64": "1"} | jax_caches()
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.DECAY, _DOCS + ": momentum is a 'decay rate'"),
        default_momentum=Claim(0.99, _DOCS),
        default_epsilon=Claim(1e-5, _DOCS),
        epsilon_floor=Claim(0.0, _SOURCE + "_normalize adds epsilon as given"),
        running_variance=Claim(RunningVariance.BIASED, _SOURCE + "BatchNorm averages var as it is"),
        variance=Claim(
            VarianceAlgorithm.ONE_PASS,
            _DOCS + ": use_fast_variance=True is 'faster, but less numerically stable'",
        ),
        single_value=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
        empty_batch=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
        # No mark on the module: a frozen layer is one that is called with use_running_average=True
        # while the rest of the model trains.
        frozen=Claim(
            FrozenPolicy.RUNNING_STATISTICS,
            _DOCS + ": use_running_average, 'instead of computing the batch statistics'",
        ),
        half_output=Claim(
            HalfOutput.PARAMETERS, _DOCS + ": dtype is 'infer from input and params' by default"
        ),
        half_gradient=Claim(
            HalfGradient.BY_TERM, _SOURCE + "_compute_stats and _normalize each widen x"
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset({2, 3, 4, 5}),
        axes=Axes.ANY_SET,
        modes=frozenset(Mode),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        passes_on=frozenset(Malformation),
        variants=frozenset({VariantKind.PLAIN, VariantKind.MASKED, VariantKind.SYNCHRONIZED}),
        experiments=second_order.NAMES.union(jax_exports.FLAX_WAYS),
        notes={
            "cumulative": "momentum is a number",
            "quantities": "the batch statistics are not returned",
            "variants": "replicas under jax.vmap hold equal shares; a mask is boolean, and there"
            " are no weights",
            "half_parameters": _SOURCE + "with param_dtype in half, batch_stats are created in"
            " float32 and become float32 at the first update, whatever they were;"
            " force_float32_reductions=False keeps them in half by computing in half",
        },
    )

    def __init__(self) -> None:
        """Import flax and JAX; ImportError where one is absent."""
        import flax
        import jax
        from flax import linen

        self.jax, self.linen = jax, linen
        self.version: str = flax.__version__
        self.device: str = jax.devices()[0].platform
        self.step = jax.jit(self._step, static_argnums=(0, 1))

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """The compiled step, and the collections ``params`` and ``batch_stats``.

        :class:`UnsupportedError` where replicas would hold unequal shares.
        """
        if isinstance(case.variant, Synchronized) and case.variant.uneven:
            msg = "no replicas with unequal shares: jax.vmap splits an axis evenly"
            raise UnsupportedError(msg)
        return _Layer(self.step, case, parameters)

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Second derivatives of the module; its ways out."""
        if experiment in jax_exports.FLAX_WAYS:
            start = functools.partial(jax_layers.flax_layer, self.jax, self.linen)
            return jax_exports.observe(start, jax_exports.FLAX_WAYS, experiment, arrays)
        asked = second_order.request(experiment, arrays, self.capabilities)
        built, case = self.build(asked.case, asked.parameters), asked.case
        layer = self.linen.BatchNorm(
            use_running_average=not asked.training,
            axis=case.feature_axes,
            epsilon=case.epsilon,
            use_scale=case.scale,
            use_bias=case.center,
            param_dtype=built.stats["mean"].dtype,
        )

        def forward(x: Any, *affine: Any) -> Any:
            params = dict(zip(built.params, affine, strict=True))
            collections = {"params": params, "batch_stats": built.stats}
            return layer.apply(collections, x, mutable=["batch_stats"])[0]

        return jax_second.observe(self.jax, forward, asked)

    def _step(
        self,
        settings: Any,
        use_running_average: Any,
        scalars: Any,
        variables: Any,
        x: Any,
        dy: Any,
        mask: Any,
    ) -> Any:
        """y, the new ``batch_stats``, and the gradients of sum(y dy) by ``params`` and x."""
        axis, use_scale, use_bias, replicas = settings
        epsilon, momentum = scalars
        stats = variables["batch_stats"]
        layer = self.linen.BatchNorm(
            use_running_average=use_running_average,
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            use_scale=use_scale,
            use_bias=use_bias,
            param_dtype=stats["mean"].dtype,
            axis_name=_REPLICAS if replicas > 1 else None,
        )

        def apply(params: Any, x: Any) -> Any:
            collections = {"params": params, "batch_stats": stats}
            return layer.apply(collections, x, mask=mask, mutable=["batch_stats"])

        def forward(params: Any, x: Any) -> Any:
            if replicas == 1:
                return apply(params, x)
            shards = x.reshape(replicas, x.shape[0] // replicas, *x.shape[1:])
            # out_axes=None: JAX refuses a state that differs from replica to replica.
            spread = self.jax.vmap(
                lambda shard: apply(params, shard), axis_name=_REPLICAS, out_axes=(0, None)
            )
            y, new = spread(shards)
            return y.reshape(x.shape), new

        y, pull, new = self.jax.vjp(forward, variables["params"], x, has_aux=True)
        # The upstream gradient has the format of the output, which holds its values exactly.
        return y, new["batch_stats"], *pull(dy.astype(y.dtype))


class _Layer:
    """A compiled step, and the parameters and state that it takes."""

    def __init__(self, step: Any, case: Case, parameters: Parameters) -> None:
        self.step, self.case = step, case
        self.replicas = case.variant.replicas if isinstance(case.variant, Synchronized) else 1
        # Python floats, as users give them: JAX keeps 1 - momentum in double precision until it
        # meets an array. None comes outside training alone, where the momentum is not used.
        self.scalars = (case.epsilon, 0.99 if case.decay is None else case.decay)
        named = {"scale": parameters.gamma, "bias": parameters.beta}
        self.params = {name: value for name, value in named.items() if value is not None}
        self.stats: Any = {"mean": parameters.running_mean, "var": parameters.running_var}

    def train(self, x: Array, dy: Array, *, weights: Array | None = None) -> Step:
        """Normalize by the batch, or by the running average where the case freezes the layer."""
        if self.case.mode is Mode.FROZEN:
            return self.infer(x, dy)
        return self._call(x, dy, weights, self.replicas, use_running_average=False)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running average."""
        return self._call(x, dy, None, 1, use_running_average=True)

    def _call(
        self, x: Array, dy: Array, mask: Array | None, replicas: int, *, use_running_average: bool
    ) -> Step:
        settings = (self.case.feature_axes, self.case.scale, self.case.center, replicas)
        variables = {"params": self.params, "batch_stats": self.stats}
        y, self.stats, grads, dx = self.step(
            settings, use_running_average, self.scalars, variables, x, dy, mask
        )
        return Step(
            y=np.array(y),
            running_mean=np.array(self.stats["mean"]),
            running_var=np.array(self.stats["var"]),
            dx=np.array(dx),
            dgamma=np.array(grads["scale"]) if self.case.scale else None,
            dbeta=np.array(grads["bias"]) if self.case.center else None,
        )
