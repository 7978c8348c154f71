"""onnx.reference: BN-PORT-1 does not hold for y_float16.

BN-PORT-1 (MUST): After a journey out of its framework a layer infers the same.

The evaluator computes in the model's format, and every operation is rounded to float16: the model
infers something else than the layer that it was written from. Its numbers come back bit for bit.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

try:
    import onnx
    from onnx.reference import ReferenceEvaluator
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: float16 throughout.
x = np.array([[1.0], [2.875], [4.375], [24.8125]], np.float16)
epsilon = 0.0625
held = {"scale": 1.501, "B": -1.251, "mean": 1.5, "var": 1.125}
constants = {name: np.array([value], np.float16) for name, value in held.items()}


def model(kind: Any) -> Any:
    """The layer, with everything in the format ``kind``."""
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("BatchNormalization", ["X", *held], ["Y"], epsilon=epsilon)],
        "half",
        [onnx.helper.make_tensor_value_info("X", element, x.shape)],
        [onnx.helper.make_tensor_value_info("Y", element, x.shape)],
        [onnx.numpy_helper.from_array(c.astype(kind), name) for name, c in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", 15)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


# The calls: written, read and evaluated; and the same numbers in float32, rounded at the end.
with tempfile.TemporaryDirectory() as folder:
    onnx.save_model(model(np.float16), Path(folder, "layer.onnx"))
    loaded = onnx.load_model(Path(folder, "layer.onnx"))
arrived = [onnx.numpy_helper.to_array(each) for each in loaded.graph.initializer]
got = ReferenceEvaluator(loaded).run(None, {"X": x})[0].astype(np.float64)[:, 0]
wide = ReferenceEvaluator(model(np.float32)).run(None, {"X": x.astype(np.float32)})[0]
control = wide.astype(np.float16).astype(np.float64)[:, 0]

# The same by plain NumPy in float64, and half a unit in float16's last place: one rounding's error.
gamma, beta, mean, variance = (array.astype(np.float64) for array in constants.values())
expected = (gamma * (x - mean) / np.sqrt(variance + epsilon) + beta)[:, 0]
half_unit = np.spacing(np.abs(expected).astype(np.float16)).astype(np.float64) / 2

print("onnx.reference: BN-PORT-1 does not hold for y_float16.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "onnx", onnx.__version__,
)  # fmt: skip
print("expected               ", expected.round(6).tolist())
print("got                    ", got.round(6).tolist())
print("in float32, rounded    ", control.round(6).tolist())
print(
    "error of what was got  ", (np.abs(got - expected) / half_unit).round(2).tolist(), "roundings"
)
print("error of the other     ", (np.abs(control - expected) / half_unit).round(2).tolist())
print("the numbers came back bit for bit:", arrived == list(constants.values()))
sys.exit(1 if (np.abs(got - expected) > 1.5 * half_unit).any() else 0)
