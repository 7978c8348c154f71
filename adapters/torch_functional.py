"""PyTorch's function, ``torch.nn.functional.batch_norm``, with autograd."""

from __future__ import annotations

from typing import Any, ClassVar

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

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html"
_LAYER = "https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html"
_KERNEL = "aten/src/ATen/native/Normalization.cpp: "


class TorchFunctional:
    """The function; the caller keeps the running statistics, which it updates in place."""

    name: ClassVar[str] = "torch.functional"
    framework: ClassVar[str] = "torch"
    environment: ClassVar[dict[str, str]] = {}
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(MomentumSense.RATE, _LAYER + ": 'different from the one used in optimizer'"),
        default_momentum=Claim(0.1, _DOCS),
        default_epsilon=Claim(1e-5, _DOCS),
        epsilon_floor=Claim(0.0, _DOCS + ": none is mentioned"),
        running_variance=Claim(
            RunningVariance.UNBIASED, _LAYER + ": 'stored in the moving average ... unbiased'"
        ),
        variance=Claim(
            VarianceAlgorithm.TWO_PASS, _KERNEL + "batch_norm_cpu_update_stats sums (x - mean)^2"
        ),
        single_value=Claim(
            Policy.REJECTS, "torch.nn.functional._verify_batch_size: more than 1 value per channel"
        ),
        empty_batch=Claim(
            Policy.COMPUTES, "torch.nn.functional._verify_batch_size: only a count of 1 is refused"
        ),
        frozen=Claim(FrozenPolicy.NONE, _DOCS + ": a function has nothing to freeze"),
        half_output=Claim(HalfOutput.INPUT, _KERNEL + "the output is allocated like the input"),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset({2, 3, 4, 5}),
        axes=Axes.ANY_ONE,
        modes=frozenset({Mode.TRAIN, Mode.INFERENCE}),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        notes={
            "axes": "channels are dimension 1; another one is moved there as a view",
            "cumulative": "momentum is a number; averaging is the module's doing",
            "quantities": "the batch statistics are not among the outputs",
        },
    )

    def __init__(self) -> None:
        """Import torch; ImportError where it is absent."""
        import torch

        self.torch = torch
        self.version: str = torch.__version__
        self.device = "cpu"

    def build(self, case: Case, parameters: Parameters) -> _Layer:
        """Hold the parameters, and the running statistics that the function updates."""
        return _Layer(self.torch, case, parameters)


class _Layer:
    def __init__(self, torch: Any, case: Case, parameters: Parameters) -> None:
        self.torch, self.case = torch, case
        self.mean = to_torch(torch, parameters.running_mean.copy())
        self.var = to_torch(torch, parameters.running_var.copy())
        self.gamma, self.beta = self._leaf(parameters.gamma), self._leaf(parameters.beta)
        # None comes with inference alone, where the rate is not used.
        self.rate = 0.1 if case.decay is None else 1.0 - case.decay

    def _leaf(self, parameter: Array | None) -> Any:
        if parameter is None:
            return None
        return to_torch(self.torch, parameter.copy()).requires_grad_()

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch; the running statistics are updated in place."""
        return self._call(x, dy, training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running statistics."""
        return self._call(x, dy, training=False)

    def _call(self, x: Array, dy: Array, *, training: bool) -> Step:
        axis = self.case.channel_axes[0]
        leaf = to_torch(self.torch, x).requires_grad_()
        moved = self.torch.nn.functional.batch_norm(
            leaf.movedim(axis, 1),
            self.mean,
            self.var,
            weight=self.gamma,
            bias=self.beta,
            training=training,
            momentum=self.rate,
            eps=self.case.epsilon,
        )
        y = moved.movedim(1, axis)
        sources = [leaf, *(each for each in (self.gamma, self.beta) if each is not None)]
        dx, *rest = self.torch.autograd.grad(y, sources, to_torch(self.torch, dy))
        grads = iter(rest)
        dgamma = None if self.gamma is None else next(grads)
        dbeta = None if self.beta is None else next(grads)
        return Step(
            y=to_numpy(self.torch, y),
            running_mean=to_numpy(self.torch, self.mean),
            running_var=to_numpy(self.torch, self.var),
            dx=to_numpy(self.torch, dx),
            dgamma=None if dgamma is None else to_numpy(self.torch, dgamma),
            dbeta=None if dbeta is None else to_numpy(self.torch, dbeta),
        )
