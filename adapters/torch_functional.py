"""PyTorch's function, ``torch.nn.functional.batch_norm``, with autograd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bnconform.adapters.second_order import request as second_order
from bnconform.adapters.second_order import torch_second
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
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    SavedStatistics,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType
from bnconform.conformance.malformation import Malformation
from bnconform.conformance.variant import VariantKind

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
        saved_statistics=Claim(
            SavedStatistics.PARAMETERS, _KERNEL + "save_mean has param_options' format"
        ),
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        dtypes=frozenset(DType),
        ranks=frozenset({2, 3, 4, 5}),
        axes=Axes.ANY_ONE,
        modes=frozenset({Mode.TRAIN, Mode.INFERENCE}),
        quantities=frozenset(Quantity) - BATCH_STATISTICS,
        # There is no axis to give.
        passes_on=frozenset(Malformation)
        - {Malformation.AXIS_OUT_OF_RANGE, Malformation.AXIS_REPEATED},
        variants=frozenset({VariantKind.PLAIN, VariantKind.UNTRACKED}),
        half_parameters=True,
        experiments=second_order.NAMES,
        notes={
            "axes": "channels are dimension 1; another axis is moved there as a view",
            "cumulative": "momentum is a number; averaging is the module's doing",
            "modes": "training is an argument of the call, so there is nothing to freeze",
            "quantities": "the batch statistics are not among the outputs",
            "variants": _DOCS + ": running_mean and running_var may be None; there is no other",
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

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Second derivatives of the function."""
        asked = second_order.request(experiment, arrays, self.capabilities)
        layer = self.build(asked.case, asked.parameters)

        def forward(x: Any, *affine: Any) -> Any:
            named = dict(zip(("weight", "bias"), affine, strict=False))
            return layer.output(x, named, training=asked.training)

        return torch_second.observe(self.torch, forward, asked)


class _Layer:
    """Tensors of its own: the function writes into the running statistics it is given."""

    def __init__(self, torch: Any, case: Case, parameters: Parameters) -> None:
        self.torch, self.case = torch, case
        self.untracked = case.variant.kind is VariantKind.UNTRACKED
        self.mean = self.var = None
        if not self.untracked:
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
        """Normalize by the running statistics, or by the batch where there are none."""
        return self._call(x, dy, training=self.untracked)

    def output(self, x: Any, affine: Mapping[str, Any], *, training: bool) -> Any:
        """The output for a tensor, with these as weight and bias."""
        axis = self.case.channel_axes[0]
        y = self.torch.nn.functional.batch_norm(
            x if axis == 1 else x.movedim(axis, 1),
            self.mean,
            self.var,
            training=training,
            momentum=self.rate,
            eps=self.case.epsilon,
            **affine,
        )
        return y if axis == 1 else y.movedim(1, axis)

    def _call(self, x: Array, dy: Array, *, training: bool) -> Step:
        torch = self.torch
        leaf = to_leaf(torch, x)
        y = self.output(leaf, self.affine, training=training)
        sources = {
            "dx": leaf,
            "dgamma": self.affine.get("weight"),
            "dbeta": self.affine.get("bias"),
        }
        wanted = {name: each for name, each in sources.items() if is_variable(each)}
        grads = torch.autograd.grad(y, list(wanted.values()), to_torch(torch, dy))
        return Step(
            y=to_numpy(torch, y),
            running_mean=None if self.mean is None else to_numpy(torch, self.mean),
            running_var=None if self.var is None else to_numpy(torch, self.var),
            **{name: to_numpy(torch, grad) for name, grad in zip(wanted, grads, strict=True)},
        )
