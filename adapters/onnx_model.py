"""What the ONNX subjects share: a model of one BatchNormalization node, and a layer that calls it.

The operator has no state. The layer passes the running statistics in and keeps what comes out, in
whatever format that is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import (
    BATCH_STATISTICS,
    FORWARD,
    RUNNING_STATISTICS,
    Array,
    Axes,
    Capabilities,
    Parameters,
    Step,
    UnsupportedError,
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

_TEXT = "https://github.com/onnx/onnx/blob/main/docs/Changelog.md#"
_15, _9 = _TEXT + "BatchNormalization-15", _TEXT + "BatchNormalization-9"

OPERATOR_15 = Dialect(
    momentum=Claim(MomentumSense.DECAY, _15 + ": 'running_mean = input_mean * momentum + ...'"),
    default_momentum=Claim(0.9, _15 + ": momentum, default 0.9"),
    default_epsilon=Claim(1e-5, _15 + ": epsilon, default 1e-05"),
    epsilon_floor=Claim(0.0, _15 + ": 'sqrt(current_var + epsilon)', no floor is mentioned"),
    running_variance=Claim(
        RunningVariance.BIASED,
        _15 + ": running_var, 'uses the population size (N) for calculating variance'",
    ),
    variance=Claim(VarianceAlgorithm.TWO_PASS, _15 + ": 'sum(sqrd(x_i - x_avg)) / N'"),
    single_value=Claim(Policy.COMPUTES, _15 + ": no size of X is excluded"),
    empty_batch=Claim(Policy.COMPUTES, _15 + ": no size of X is excluded"),
    frozen=Claim(FrozenPolicy.NONE, _15 + ": an operator has nothing to freeze"),
    half_output=Claim(HalfOutput.INPUT, _15 + ": X and Y are both of type T"),
)
"""What the text of opset 15 claims; half precision too: 'ReduceMean and ReduceVar uses float'."""

OPERATOR_9 = replace(
    OPERATOR_15,
    momentum=Claim(MomentumSense.DECAY, _9 + ": 'running_mean * momentum + mean * (1 - momentum)'"),
    default_momentum=Claim(0.9, _9 + ": momentum, default 0.9"),
    default_epsilon=Claim(1e-5, _9 + ": epsilon, default 1e-05"),
    epsilon_floor=Claim(0.0, _9 + ": no floor is mentioned"),
    running_variance=Claim(
        RunningVariance.BIASED, _9 + ": not said; biased as the text says from opset 14 on"
    ),
    variance=Claim(VarianceAlgorithm.TWO_PASS, _9 + ": not said; as from opset 14 on"),
    single_value=Claim(Policy.COMPUTES, _9 + ": no size of X is excluded"),
    empty_batch=Claim(Policy.COMPUTES, _9 + ": no size of X is excluded"),
    frozen=Claim(FrozenPolicy.NONE, _9 + ": an operator has nothing to freeze"),
    half_output=Claim(HalfOutput.INPUT, _9 + ": X and Y are both of type T"),
    saved_statistics=Claim(SavedStatistics.PARAMETERS, _9 + ": saved_mean is of type T, as B is"),
)
"""What the texts of opsets 7 and 9 claim; they name no algorithm and exclude no size."""

CAPABILITIES_15 = Capabilities(
    dtypes=frozenset(DType),
    ranks=frozenset(range(2, 8)),
    axes=Axes.CHANNEL,
    modes=frozenset({Mode.TRAIN, Mode.INFERENCE}),
    quantities=FORWARD | RUNNING_STATISTICS,
    # There is no axis to give.
    passes_on=frozenset(Malformation)
    - {Malformation.AXIS_OUT_OF_RANGE, Malformation.AXIS_REPEATED},
    half_parameters=True,
    notes={
        "ranks": _15 + ": '(N x C x D1 x D2 ... Dn)', of which up to rank 7 is tried; rank 1 has"
        " no channel axis",
        "axes": _15 + ": C is the second dimension",
        "modes": "training_mode is an attribute; an operator has nothing to freeze",
        "quantities": "no gradient is defined, and the batch statistics are not among the outputs",
        "cumulative": "momentum is one number",
    },
)
"""What the text of opset 15 admits."""

CAPABILITIES_9 = replace(
    CAPABILITIES_15,
    dtypes=frozenset({DType.FLOAT16, DType.FLOAT32, DType.FLOAT64}),
    quantities=CAPABILITIES_15.quantities | BATCH_STATISTICS,
    notes={
        **CAPABILITIES_15.notes,
        "dtypes": _9 + ": T is tensor(float16), tensor(float) or tensor(double)",
        "half_parameters": _9 + ": X and all parameters are of one type T, so that half-precision"
        " input takes half-precision parameters and no others",
        "modes": _9 + ": 'Y, mean, var, saved_mean, saved_var (training mode)', 'Y (test mode)'",
        "quantities": "no gradient is defined; saved_mean and saved_var are the batch statistics",
    },
)
"""What the texts of opsets 7 and 9 admit, multi-axis statistics of opset 7 aside."""

Feeds = dict[str, Array]
Evaluator = Callable[[Feeds], list[Array]]
"""Runs a model: inputs by name to outputs in order."""


def batch_norm_model(onnx: Any, case: Case, opset: int, *, training: bool) -> Any:
    """A checked model of the node for ``case``; sizes are symbolic, only ranks are declared.

    :class:`UnsupportedError` where the operator's types cannot be the case's. Attributes of ONNX
    are float32, so that epsilon and momentum are rounded to it.
    """
    x_type, parameter_type = (
        getattr(onnx.TensorProto, _ONNX_NAMES[each])
        for each in (case.dtype, case.parameter_format.dtype)
    )
    if opset < _TYPES_APART and x_type != parameter_type:
        msg = (
            f"opset {opset} has one type for X, scale and B: half-precision X, half-precision both"
        )
        raise UnsupportedError(msg)
    attributes: dict[str, Any] = {"epsilon": case.epsilon}
    # None comes in inference alone, where momentum is not used.
    if case.decay is not None:
        attributes["momentum"] = case.decay
    outputs = ["y", "running_mean", "running_var", "saved_mean", "saved_var"]
    if opset >= _TRAINING_MODE:
        attributes["training_mode"] = int(training)
        outputs = outputs[:3]
    elif case.channel_axes != (1,):
        attributes["spatial"] = 0
    outputs = outputs if training else outputs[:1]
    node = onnx.helper.make_node("BatchNormalization", ["x", *_PARAMETERS], outputs, **attributes)
    sizes = ["N", "C", *(f"D{axis}" for axis in range(1, case.rank - 1))]
    features = [sizes[axis] for axis in case.channel_axes]

    def value(name: str) -> Any:
        kind, shape = (x_type, sizes) if name in {"x", "y"} else (parameter_type, features)
        return onnx.helper.make_tensor_value_info(name, kind, shape)

    graph = onnx.helper.make_graph(
        [node], "batch_norm", [value(name) for name in ("x", *_PARAMETERS)],
        [value(name) for name in outputs],
    )  # fmt: skip
    version = onnx.helper.make_opsetid("", opset)
    # The oldest format that has the opset: an evaluator may be older than the package that writes.
    ir_version = onnx.helper.find_min_ir_version_for([version])
    model = onnx.helper.make_model(graph, opset_imports=[version], ir_version=ir_version)
    onnx.checker.check_model(model)
    return model


_ONNX_NAMES = {
    DType.FLOAT16: "FLOAT16",
    DType.BFLOAT16: "BFLOAT16",
    DType.FLOAT32: "FLOAT",
    DType.FLOAT64: "DOUBLE",
}
_PARAMETERS = ("scale", "B", "input_mean", "input_var")
_TYPES_APART = 15
"""The opset from which on scale and B have a type of their own."""
_TRAINING_MODE = 14
"""The opset from which on the mode is an attribute; before, the number of outputs tells it."""


class NodeLayer:
    """The inputs of the node beside x; the statistics are replaced by what a training call gives.

    ``evaluators`` gives what runs the model in training (True) and in inference (False).
    """

    def __init__(
        self, case: Case, parameters: Parameters, evaluators: Callable[[bool], Evaluator]
    ) -> None:
        """Start from these parameters and this state."""
        self.case, self.evaluators = case, evaluators
        self.mean, self.var = parameters.running_mean, parameters.running_var
        # Both are required inputs; ones and zeros are what exporters write for a layer without.
        ones, zeros = np.ones_like(self.mean), np.zeros_like(self.mean)
        self.scale = ones if parameters.gamma is None else parameters.gamma
        self.shift = zeros if parameters.beta is None else parameters.beta

    def train(self, x: Array, dy: Array) -> Step:  # noqa: ARG002 -- there are no gradients
        """Normalize by the batch and take over the running statistics that come out."""
        y, self.mean, self.var, *batch = self._run(x, training=True)
        if self.case.half_parameters:
            # The contract has batch statistics in float32; what is widened stays what it was.
            batch = [each.astype(np.float32) for each in batch]
        batch_mean, batch_var = batch or (None, None)
        return Step(
            y=y,
            batch_mean=batch_mean,
            batch_var=batch_var,
            running_mean=self.mean,
            running_var=self.var,
        )

    def infer(self, x: Array, dy: Array) -> Step:  # noqa: ARG002 -- there are no gradients
        """Normalize by the running statistics, which the node does not give back."""
        (y,) = self._run(x, training=False)
        return Step(y=y, running_mean=self.mean, running_var=self.var)

    def _run(self, x: Array, *, training: bool) -> list[Array]:
        values = (x, self.scale, self.shift, self.mean, self.var)
        return self.evaluators(training)(dict(zip(("x", *_PARAMETERS), values, strict=True)))
