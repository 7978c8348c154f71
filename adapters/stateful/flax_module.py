"""``flax.linen.BatchNorm`` with its life: variables beside a module that is only settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.flax_linen import FlaxLinen
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Capabilities, Parameters, Step
from bnconform.conformance.dialect import Dialect


class FlaxModule:
    """The linen module, jitted; momentum is traced, so that another one does not compile anew."""

    name: ClassVar[str] = "flax.linen"
    environment: ClassVar[Mapping[str, str]] = FlaxLinen.environment
    dialect: ClassVar[Dialect] = FlaxLinen.dialect
    capabilities: ClassVar[Capabilities] = FlaxLinen.capabilities
    declines: ClassVar[Mapping[str, str]] = {
        "set_mode": "use_running_average comes with the module or with each call",
        "reset": "no method resets batch_stats",
    }
    decays: ClassVar[tuple[float | None, ...]] = (0.75, 0.9, 0.5, 0.0, 1.0)

    def __init__(self) -> None:
        """Import flax and JAX; ImportError where one is absent."""
        import jax
        from flax import linen, serialization

        self.jax, self.linen, self.serialization = jax, linen, serialization
        self.step = jax.jit(self._step, static_argnums=(0, 1))

    def build(self, case: Case, parameters: Parameters) -> Layer:
        """Fresh variables."""
        return Layer(self, case, parameters)

    def _step(
        self,
        settings: Any,
        use_running_average: Any,
        momentum: Any,
        variables: Any,
        x: Any,
        dy: Any,
    ) -> Any:
        """y, the new ``batch_stats``, and the gradients of sum(y dy) by ``params`` and x."""
        axis, epsilon, dtype = settings
        module = self.linen.BatchNorm(
            axis=axis, momentum=momentum, epsilon=epsilon, param_dtype=dtype
        )

        def forward(params: Any, x: Any) -> Any:
            return module.apply(
                {**variables, "params": params},
                x,
                use_running_average=use_running_average,
                mutable=["batch_stats"],
            )

        y, pull, new = self.jax.vjp(forward, variables["params"], x, has_aux=True)
        return y, new["batch_stats"], *pull(dy)


class Layer:
    """Variables, and the settings of the module that is applied to them."""

    def __init__(self, subject: FlaxModule, case: Case, parameters: Parameters) -> None:
        """Begin with the collections ``params`` and ``batch_stats``."""
        self.subject, self.decay, self.frozen = subject, case.decay, False
        self.settings = (case.feature_axes, case.epsilon, case.parameter_format.numpy)
        self.variables: Any = {
            "params": {"scale": parameters.gamma, "bias": parameters.beta},
            "batch_stats": {"mean": parameters.running_mean, "var": parameters.running_var},
        }

    def train(self, x: Array, dy: Array) -> Step:
        """Apply with ``use_running_average=False``, or True where frozen."""
        return self._call(x, dy, use_running_average=self.frozen)

    def infer(self, x: Array, dy: Array) -> Step:
        """Apply with ``use_running_average=True``."""
        return self._call(x, dy, use_running_average=True)

    def _call(self, x: Array, dy: Array, *, use_running_average: bool) -> Step:
        y, stats, grads, dx = self.subject.step(
            self.settings, use_running_average, self.decay, self.variables, x, dy
        )
        self.variables = {**self.variables, "batch_stats": stats}
        found = {"y": y, "dx": dx, "dgamma": grads["scale"], "dbeta": grads["bias"]}
        return Step(**{name: np.array(array) for name, array in found.items()})

    def set_decay(self, decay: float | None) -> None:
        """A module with another momentum, on the same variables."""
        self.decay = decay

    def freeze(self, *, frozen: bool) -> None:
        """``use_running_average=True`` also while the rest of a model trains."""
        self.frozen = frozen

    def save(self) -> bytes:
        """``flax.serialization.to_bytes``."""
        saved: bytes = self.subject.serialization.to_bytes(self.variables)
        return saved

    def load(self, saved: bytes) -> None:
        """``flax.serialization.from_bytes``."""
        self.variables = self.subject.serialization.from_bytes(self.variables, saved)

    def state(self) -> Mapping[str, Array]:
        """Both collections."""
        params, stats = self.variables["params"], self.variables["batch_stats"]
        named = {
            "gamma": params["scale"],
            "beta": params["bias"],
            "running_mean": stats["mean"],
            "running_var": stats["var"],
        }
        return {name: np.array(array) for name, array in named.items()}
