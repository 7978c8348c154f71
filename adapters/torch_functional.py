"""PyTorch's function, ``torch.nn.functional.batch_norm``, with autograd."""

from __future__ import annotations

from typing import Any, ClassVar

from bnconform.adapters.torch_arrays import THREADS, to_numpy, to_torch
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
    environment: ClassVar[dict[str, str]] = THREADS
    dialect: ClassVar[Dialect] = Dialect(
        momentum=Claim(
            MomentumSense.RATE, _LAYER + ": 'x_new = (1 - momentum) * x + momentum * x_t'"
        ),
        default_momentum=Claim(0.1, _DOCS),
        default_epsilon=Claim(1e-5, _DOCS),
        epsilon_floor=Claim(0.0, _DOCS + ": none is mentioned"),
        running_variance=Claim(
            RunningVariance.UNBIASED,
            _LAYER
            + ": 'stored in the moving average ... is calculated via the unbiased estimator'",
        ),
        variance=Claim(
            VarianceAlgorithm.TWO_PASS,
            _KERNEL + "batch_norm_cpu_update_stats_template sums (x - mean)^2 in every layout",
        ),
        single_value=Claim(
            Policy.REJECTS,
            "torch.nn.functional._verify_batch_size: 'Expected more than 1 value per channel'",
        ),
        empty_batch=Claim(
            Policy.COMPUTES, "torch.nn.functional._verify_batch_size refuses a count of 1 alone"
        ),
        frozen=Claim(FrozenPolicy.NONE, _DOCS + ": a function has nothing to freeze"),
        half_output=Claim(HalfOutput.INPUT, _KERNEL + "output = at::empty_like(input)"),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset({2, 3, 4, 5}),
        axes=Axes.ANY_ONE,
        modes=frozenset({Mode.TRAIN, Mode.INFERENCE}),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        notes={
            "axes": "channels are dimension 1; another axis is moved there as a view",
            "cumulative": "momentum is a number; averaging is the module's doing",
            "modes": "training is an argument of the call, so there is nothing to freeze",
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
    """Tensors of its own: the function writes into the running statistics it is given."""

    def __init__(self, torch: Any, case: Case, parameters: Parameters) -> None:
        self.torch, self.case = torch, case
        self.mean = to_torch(torch, parameters.running_mean.copy())
        self.var = to_torch(torch, parameters.running_var.copy())
        named = {"weight": parameters.gamma, "bias": parameters.beta}
        self.affine = {
            name: to_torch(torch, value.copy()).requires_grad_()
            for name, value in named.items()
            if value is not None
        }
        # None comes outside training alone, where the rate is not used.
        self.rate = 0.1 if case.decay is None else 1.0 - case.decay

    def train(self, x: Array, dy: Array) -> Step:
        """Normalize by the batch; the running statistics are updated in place."""
        return self._call(x, dy, training=True)

    def infer(self, x: Array, dy: Array) -> Step:
        """Normalize by the running statistics."""
        return self._call(x, dy, training=False)

    def _call(self, x: Array, dy: Array, *, training: bool) -> Step:
        torch, axis = self.torch, self.case.channel_axes[0]
        leaf = to_torch(torch, x).requires_grad_()
        moved = torch.nn.functional.batch_norm(
            leaf.movedim(axis, 1),
            self.mean,
            self.var,
            training=training,
            momentum=self.rate,
            eps=self.case.epsilon,
            **self.affine,
        )
        y = moved.movedim(1, axis)
        sources = {
            "dx": leaf,
            "dgamma": self.affine.get("weight"),
            "dbeta": self.affine.get("bias"),
        }
        wanted = {name: tensor for name, tensor in sources.items() if tensor is not None}
        grads = torch.autograd.grad(y, list(wanted.values()), to_torch(torch, dy))
        return Step(
            y=to_numpy(torch, y),
            running_mean=to_numpy(torch, self.mean),
            running_var=to_numpy(torch, self.var),
            **{name: to_numpy(torch, grad) for name, grad in zip(wanted, grads, strict=True)},
        )
