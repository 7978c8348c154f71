"""ONNX's reference evaluator, which is NumPy, at opsets 15 and 9.

Opset 14 is computed by the same lines as 15. Opset 7 has no implementation of its own: that of
opset 6 takes it for training and ends in a TypeError, whatever it is given.
"""

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
from bnconform.conformance.contract import (
    FORWARD,
    RUNNING_STATISTICS,
    Array,
    Capabilities,
    Parameters,
)
from bnconform.conformance.dialect import Claim, Dialect, VarianceAlgorithm

_VARIANCE = Claim(
    VarianceAlgorithm.TWO_PASS, "onnx/reference/ops/op_batch_normalization.py: x.var(axis)"
)


class OnnxReference:
    """The operator of opset 15."""

    name: ClassVar[str] = "onnx.reference"
    framework: ClassVar[str] = "onnx"
    environment: ClassVar[dict[str, str]] = {}
    opset: ClassVar[int] = 15
    dialect: ClassVar[Dialect] = replace(OPERATOR_15, variance=_VARIANCE)
    capabilities: ClassVar[Capabilities] = replace(
        CAPABILITIES_15, experiments=frozenset(onnx_exports.WAYS)
    )

    def __init__(self) -> None:
        """Import onnx; ImportError where it is absent."""
        import onnx
        import onnx.reference

        self.onnx = onnx
        self.version: str = onnx.__version__
        self.device = "cpu"

    def build(self, case: Case, parameters: Parameters) -> NodeLayer:
        """The node's other inputs; a call raises UnsupportedError where the opset has none."""
        return NodeLayer(case, parameters, functools.partial(self._evaluator, case))

    def observe(self, experiment: str, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
        """Ways of a model that this evaluator evaluates."""
        return onnx_exports.observe(self.onnx, self._run, experiment, arrays)

    def _run(self, model: Any, x: Array) -> Array:
        """The first output of a model."""
        found: Array = self.onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})[0]
        return found

    def _evaluator(self, case: Case, training: bool) -> Evaluator:  # noqa: FBT001 -- a partial's
        """An evaluator of the model."""
        model = batch_norm_model(self.onnx, case, self.opset, training=training)
        evaluator = self.onnx.reference.ReferenceEvaluator(model)

        def run(feeds: Feeds) -> list[Array]:
            outputs: list[Array] = evaluator.run(None, feeds)
            return outputs

        return run


class OnnxReferenceOpset9(OnnxReference):
    """The operator of opset 9, in inference: training has five outputs, of which it makes one."""

    name: ClassVar[str] = "onnx.reference.opset9"
    opset: ClassVar[int] = 9
    dialect: ClassVar[Dialect] = replace(OPERATOR_9, variance=_VARIANCE)
    capabilities: ClassVar[Capabilities] = replace(
        CAPABILITIES_9,
        modes=frozenset({Mode.INFERENCE}),
        quantities=FORWARD | RUNNING_STATISTICS,
        notes={
            **CAPABILITIES_9.notes,
            "modes": "five outputs: 'RuntimeError: Unable to find output name'",
            "quantities": "Y alone comes out; the running statistics are those passed in",
        },
    )
