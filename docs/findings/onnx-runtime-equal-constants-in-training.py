"""onnx.runtime: BN-PORT-3 does not hold for y_train_equal.

BN-PORT-3 (MUST): Training goes on: the same output, and running statistics that move by the same
decay and take the same variance.

In a model in training mode of which Y alone is used, constants of one value become one tensor, and
the running statistics, which nobody reads, are written over what they come from.

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

# What goes in.
x = np.array([[[1.0, 3.0]], [[8.0, -4.0]]], np.float32)
epsilon, momentum = 0.0625, 0.75
ones, zeros = np.ones(1, np.float32), np.zeros(1, np.float32)


def answered(*outputs: str, mean: Any = zeros, variance: Any = ones) -> Any:
    """Y of the node in training mode, in a model with these outputs; scale is 1 and B is 0."""
    names = ["scale", "B", "mean", "var"]
    node = onnx.helper.make_node(
        "BatchNormalization", ["X", *names], ["Y", "new_mean", "new_var"],
        epsilon=epsilon, momentum=momentum, training_mode=1,
    )  # fmt: skip
    value, constants = onnx.helper.make_tensor_value_info, (ones, zeros, mean, variance)
    graph = onnx.helper.make_graph(
        [node],
        "training",
        [value("X", onnx.TensorProto.FLOAT, x.shape)],
        [value(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(c, name) for c, name in zip(constants, names, strict=True)],
    )
    opset = onnx.helper.make_opsetid("", 15)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["Y"], {"X": x})[0].astype(np.float64)


# The calls, and the same by plain NumPy in float64: running statistics have no part in Y.
got, control = answered("Y"), answered("Y", "new_mean", "new_var")
other = answered("Y", mean=ones * 7, variance=ones * 2)
exact = x.astype(np.float64)
expected = (exact - exact.mean()) / np.sqrt(exact.var() + epsilon)

print("onnx.runtime: BN-PORT-3 does not hold for y_train_equal.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__,
)  # fmt: skip
print("expected               ", expected.ravel().round(5).tolist())
print("got                    ", got.ravel().round(5).tolist(), "(mean equals B, var equals scale)")
print("with mean 7 and var 2  ", other.ravel().round(5).tolist())
print("all three outputs used ", control.ravel().round(5).tolist())
sys.exit(0 if np.allclose(got, expected, rtol=1e-5) else 1)
