"""onnx.runtime: BN-PORT-5 does not hold for y_folded.

BN-PORT-5 (MUST): Folded into a linear layer before it, w = gamma / sqrt(rv + epsilon), the output
stays the same.

A MatMul is merged with a BatchNormalization even if a Transpose or a Reshape stands between them,
which moves its columns away from axis 1: columns are scaled in place of features.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys
from typing import Any

import numpy as np

try:
    import onnx
    import onnxruntime
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: 2 x, transposed, then batch norm over axis 1; all means are 0.
x = np.arange(9, dtype=np.float32).reshape(3, 3)
scale, epsilon = np.array([1.0, 2.0, 3.0], np.float32), 0.0625
constants = {
    "W": 2 * np.eye(3, dtype=np.float32),
    "scale": scale,
    "B": np.zeros(3, np.float32),
    "mean": np.zeros(3, np.float32),
    "var": np.ones(3, np.float32),
}
inputs = ["T", "scale", "B", "mean", "var"]
nodes = [
    onnx.helper.make_node("MatMul", ["X", "W"], ["Z"]),
    onnx.helper.make_node("Transpose", ["Z"], ["T"], perm=[1, 0]),
    onnx.helper.make_node("BatchNormalization", inputs, ["Y"], epsilon=epsilon),
]
graph = onnx.helper.make_graph(
    nodes,
    "transposed",
    [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, x.shape)],
    [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, x.shape)],
    [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
)
opsets = [onnx.helper.make_opsetid("", 15)]
model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def answered(level: Any) -> Any:
    """Y at a level of optimization."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(["Y"], {"X": x})[0].astype(np.float64)


# The calls, and the same by plain NumPy in float64.
got = answered(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
control = answered(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
expected = (2.0 * x.astype(np.float64)).T * scale / np.sqrt(1.0 + epsilon)

print("onnx.runtime: BN-PORT-5 does not hold for y_folded.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__,
)  # fmt: skip
print("expected               ", expected.round(4).tolist())
print("got                    ", got.round(4).tolist(), "(ORT_ENABLE_BASIC)")
print("not optimized          ", control.round(4).tolist(), "(ORT_DISABLE_ALL)")
sys.exit(0 if np.allclose(got, expected, rtol=1e-5) else 1)
