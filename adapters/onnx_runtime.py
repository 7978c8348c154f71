"""ONNX Runtime on the CPU, from opset 15 back to opset 7."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from bnconform.adapters.exports import onnx_exports
from bnconform.adapters.onnx_model import (
    CAPABILITIES_9,
    CAPABILITIES_15,
    OPERATOR_9,
    OPERATOR_15,
    Evaluator,
    Feeds,
    NodeLayer,
    batch_norm_model,
)
from bnconform.conformance.case import Case, Mode
from bnconform.conformance.contract import Array, Axes, Capabilities, Parameters, UnsupportedError
from bnconform.conformance.dialect import Dialect


class OnnxRuntime:
    """The operator of opset 15, in which training is an attribute of the node."""

    name: ClassVar[str] = "onnx.runtime"
    framework: ClassVar[str] = "onnxruntime"
    environment: ClassVar[dict[str, str]] = {}
    opset: ClassVar[int] = 15
    dialect: ClassVar[Dialect] = OPERATOR_15
    capabilities: ClassVar[Capabilities] = replace(
        CAPABILITIES_15,
        dtypes=CAPABILITIES_9.dtypes,
        experiments=frozenset(onnx_exports.RUNTIME_WAYS),
        notes={
            **CAPABILITIES_15.notes,
            "dtypes": "bfloat16: 'NOT_IMPLEMENTED: Could not find an implementation for"
            " BatchNormalization(15)'",
        },
    )

    def __init__(self) -> None:
        """Import ONNX Runtime and onnx, which writes the models; ImportError without either."""
        import onnx
        import onnxruntime

        self.onnx, self.onnxruntime = onnx, onnxruntime
        self.version: str = onnxruntime.__version__
        self.device = "cpu"
        self.sessions: dict[bytes, Any] = {}

    def build(self, case: Case, parameters: Parameters) -> NodeLayer:
        """The node's other inputs; a call raises UnsupportedError where the opset has none."""
        return NodeLayer(case, parameters, functools.partial(self._evaluator, case))

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Ways of a model that this runtime evaluates."""
        return onnx_exports.observe(self.onnx, self._run, experiment, arrays)

    def _run(self, model: Any, x: Array) -> Array:
        """The first output of a model."""
        session = self.onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        found: Array = session.run(None, {"x": x})[0]
        return found

    def _evaluator(self, case: Case, training: bool) -> Evaluator:  # noqa: FBT001 -- a partial's
        """A session for the model, the same one whenever the model is the same."""
        model = batch_norm_model(self.onnx, case, self.opset, training=training)
        text: bytes = model.SerializeToString()
        if text not in self.sessions:
            options = self.onnxruntime.SessionOptions()
            # A fixed number splits the work in the same way on every machine.
            options.intra_op_num_threads = 2
            self.sessions[text] = self.onnxruntime.InferenceSession(
                text, options, providers=["CPUExecutionProvider"]
            )
        session = self.sessions[text]

        def run(feeds: Feeds) -> list[Array]:
            outputs: list[Array] = session.run(None, feeds)
            return outputs

        return run


class OnnxRuntimeOpset9(OnnxRuntime):
    """The operator of opset 9, in which five outputs mean training."""

    name: ClassVar[str] = "onnx.runtime.opset9"
    opset: ClassVar[int] = 9
    dialect: ClassVar[Dialect] = OPERATOR_9
    capabilities: ClassVar[Capabilities] = CAPABILITIES_9


class OnnxRuntimeOpset7(OnnxRuntime):
    """The operator of opset 7, whose statistics may be those of every place but the batch's."""

    name: ClassVar[str] = "onnx.runtime.opset7"
    opset: ClassVar[int] = 7
    dialect: ClassVar[Dialect] = OPERATOR_9
    capabilities: ClassVar[Capabilities] = replace(
        CAPABILITIES_9,
        axes=Axes.ANY_SET,
        notes={
            **CAPABILITIES_9.notes,
            "axes": "spatial=1 is axis 1, spatial=0 every axis but the batch; in training 'only"
            " supports spatial BN'",
        },
    )

    def build(self, case: Case, parameters: Parameters) -> NodeLayer:
        """As for later opsets, and spatial=0 where the features are all axes but the batch."""
        if case.channel_axes != (1,):
            if case.channel_axes != tuple(range(1, case.rank)):
                msg = "spatial is 1 for axis 1 or 0 for every axis but the batch; there is no other"
                raise UnsupportedError(msg)
            if case.mode is Mode.TRAIN:
                msg = "spatial is 0: 'Training mode only supports spatial BN' (batch_norm.h)"
                raise UnsupportedError(msg)
        return super().build(case, parameters)
