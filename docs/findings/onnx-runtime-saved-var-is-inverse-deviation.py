"""onnx.runtime.opset7: BN-STAT-2 does not hold for batch_var.

BN-STAT-2 (MUST): The variance that normalizes is the biased one, sum (x - mu)^2 / n.

Found: expected 0, got 316.069763 at [0]: 5.41e+13 times the bound 5.84e-12

On bnconform 0.1.0, numpy 2.4.6, onnx 1.23.2, onnxruntime 1.31.1, python 3.11.7.

Case 068d8aa33990639d, divergence 26d431b81955.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import onnx
    import onnxruntime
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.array([[4.096548]], np.float32)
beta = np.array([-0.32275116], np.float32)
running_mean = np.array([-0.68361545], np.float32)
running_var = np.array([21.439198], np.float32)

# The call.
scale = np.ones((1,), np.float32)
shift = beta
mean, var = running_mean, running_var


def batch_norm(x, mean, var, training):
    """All outputs of a model with the one node."""
    inputs = ["x", "scale", "B", "input_mean", "input_var"]
    outputs = ["y", "running_mean", "running_var", "saved_mean", "saved_var"][: None if training else 1]
    node = onnx.helper.make_node(
        "BatchNormalization",
        inputs,
        outputs,
        epsilon=1.001e-05,
        momentum=0.999,
    )
    sizes = ['N', 'C']

    def value(name):
        if name in ("x", "y"):
            return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)
        return onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, sizes[1:2]
        )

    graph = onnx.helper.make_graph(
        [node], "batch_norm", [value(name) for name in inputs], [value(name) for name in outputs]
    )
    opset = onnx.helper.make_opsetid("", 7)
    version = onnx.helper.find_min_ir_version_for([opset])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=version)
    feeds = dict(zip(inputs, (x, scale, shift, mean, var), strict=True))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


data = x
y, mean, var, *batch = batch_norm(data, mean, var, training=True)
answer = batch[1]

print('onnx.runtime.opset7: BN-STAT-2 does not hold for batch_var.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([0.0], np.float64)
bound = np.array([5.84282373801698e-12], np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

# The same by plain NumPy in float64, for comparison: it decides nothing.
with np.errstate(all="ignore"):
    plain = x.astype(float).var((0,))

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"batch_var at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
