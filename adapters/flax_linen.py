"""Flax's ``flax.linen.BatchNorm``, jitted, with JAX's own differentiation.

Epsilon and momentum are traced arguments of the jitted step, so that one compilation serves every
value of them.
"""

from __future__ import annotations

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

        self.jax, self.linen = jax, linen
        self.version: str = flax.__version__
        self.device: str = jax.devices()[0].platform
        self.step = jax.jit(self._step, static_argnums=(0, 1))

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """The compiled step, and the collections ``params`` and ``batch_stats``."""
        return _Layer(self.step, case, parameters)

    def _step(
        self, settings: Any, use_running_average: Any, scalars: Any, variables: Any, x: Any, dy: Any
    ) -> Any:
        """y, the new ``batch_stats``, and the gradients of sum(y dy) by ``params`` and x."""
        axis, use_scale, use_bias = settings
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
        )

        def forward(params: Any, x: Any) -> Any:
            return layer.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])

        y, pull, new = self.jax.vjp(forward, variables["params"], x, has_aux=True)
        # The upstream gradient has the format of the output, which holds its values exactly.
        return y, new["batch_stats"], *pull(dy.astype(y.dtype))


class _Layer:
    """A compiled step, and the parameters and state that it takes."""

    def __init__(self, step: Any, case: Case, parameters: Parameters) -> None:
        self.step, self.case = step, case
        self.settings = (case.feature_axes, case.scale, case.center)
        # Python floats, as users give them: JAX keeps 1 - momentum in double precision until it
        # meets an array. None comes outside training alone, where the momentum is not used.
        self.scalars = (case.epsilon, 0.99 if case.decay is None else case.decay)
        named = {"scale": parameters.gamma, "bias": parameters.beta}
        self.params = {name: value for name, value in named.items() if value is not None}
        self.stats: Any = {"mean": parameters.running_mean, "var": parameters.running_var}

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch, or by the running average where the case freezes the layer."""
        return self._call(x, dy, use_running_average=self.case.mode is Mode.FROZEN)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running average."""
        return self._call(x, dy, use_running_average=True)

    def _call(self, x: Array, dy: Array, *, use_running_average: bool) -> Step:
        variables = {"params": self.params, "batch_stats": self.stats}
        y, self.stats, grads, dx = self.step(
            self.settings, use_running_average, self.scalars, variables, x, dy
        )
        return Step(
            y=np.array(y),
            running_mean=np.array(self.stats["mean"]),
            running_var=np.array(self.stats["var"]),
            dx=np.array(dx),
            dgamma=np.array(grads["scale"]) if self.case.scale else None,
            dbeta=np.array(grads["bias"]) if self.case.center else None,
        )
