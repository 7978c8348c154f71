"""Flax's ``flax.linen.BatchNorm``, jitted, with JAX's own differentiation.

Epsilon and momentum are traced arguments of the jitted step, so that one compilation serves every
value of them.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np

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

_DOCS = (
    "https://flax-linen.readthedocs.io/en/latest/api_reference/flax.linen/layers.html"
    "#flax.linen.BatchNorm"
)
_SOURCE = "flax/linen/normalization.py: "


class FlaxLinen:
    """The linen module through ``apply``, with the ``batch_stats`` collection as its state."""

    name: ClassVar[str] = "flax.linen"
    framework: ClassVar[str] = "flax"
    environment: ClassVar[dict[str, str]] = {"JAX_ENABLE_X64": "1"}
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.DECAY, _DOCS + ": momentum"),
        default_momentum=Claim(0.99, _DOCS),
        default_epsilon=Claim(1e-5, _DOCS),
        epsilon_floor=Claim(0.0, _SOURCE + "_normalize adds epsilon as given"),
        running_variance=Claim(RunningVariance.BIASED, _SOURCE + "BatchNorm stores var as it is"),
        variance=Claim(VarianceAlgorithm.ONE_PASS, _DOCS + ": use_fast_variance=True"),
        single_value=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
        empty_batch=Claim(Policy.COMPUTES, _DOCS + ": no restriction is mentioned"),
        frozen=Claim(FrozenPolicy.RUNNING_STATISTICS, _DOCS + ": use_running_average"),
        half_output=Claim(HalfOutput.PARAMETERS, _DOCS + ": dtype is inferred from the params"),
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
        notes={
            "cumulative": "momentum is a number",
            "quantities": "the batch statistics are not returned",
        },
    )

    def __init__(self) -> None:
        """Import flax and JAX; ImportError where one is absent."""
        import flax
        import jax
        from flax import linen

        self.jax = jax
        self.version: str = flax.__version__
        self.device = str(jax.devices()[0].platform)

        def step(
            axes: tuple[int, ...],
            affine: tuple[bool, bool],
            training: bool,  # noqa: FBT001 -- static arguments of a jitted function are positional
            variables: Any,
            scalars: Any,
            x: Any,
            dy: Any,
        ) -> Any:
            epsilon, momentum = scalars
            layer = linen.BatchNorm(
                use_running_average=not training,
                axis=axes,
                momentum=momentum,
                epsilon=epsilon,
                use_scale=affine[0],
                use_bias=affine[1],
                param_dtype=variables["batch_stats"]["mean"].dtype,
            )

            def forward(params: Any, x: Any) -> Any:
                state = {"params": params, "batch_stats": variables["batch_stats"]}
                return layer.apply(state, x, mutable=["batch_stats"])

            y, pull, new = jax.vjp(forward, variables["params"], x, has_aux=True)
            dparams, dx = pull(dy.astype(y.dtype))
            return y, new["batch_stats"], dx, dparams

        self.step = functools.partial(jax.jit, static_argnums=(0, 1, 2))(step)

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """Hold the collections ``params`` and ``batch_stats``."""
        return _Layer(self.step, case, parameters)


class _Layer:
    def __init__(self, step: Any, case: Case, parameters: Parameters) -> None:
        self.step, self.case = step, case
        named = {"scale": parameters.gamma, "bias": parameters.beta}
        self.params = {name: value for name, value in named.items() if value is not None}
        self.stats: Any = {"mean": parameters.running_mean, "var": parameters.running_var}
        dtype = parameters.running_mean.dtype.type
        # None comes with inference alone, where the momentum is not used.
        momentum = 1.0 if case.decay is None else case.decay
        self.scalars = dtype(case.epsilon), dtype(momentum)

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch, or by the running average where the case freezes the layer."""
        return self._call(x, dy, training=self.case.mode is not Mode.FROZEN)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running average."""
        return self._call(x, dy, training=False)

    def _call(self, x: Array, dy: Array, *, training: bool) -> Step:
        variables = {"params": self.params, "batch_stats": self.stats}
        affine = self.case.scale, self.case.center
        y, self.stats, dx, grads = self.step(
            self.case.feature_axes, affine, training, variables, self.scalars, x, dy
        )
        return Step(
            y=np.asarray(y),
            running_mean=np.asarray(self.stats["mean"]),
            running_var=np.asarray(self.stats["var"]),
            dx=np.asarray(dx),
            dgamma=np.asarray(grads["scale"]) if self.case.scale else None,
            dbeta=np.asarray(grads["bias"]) if self.case.center else None,
        )
