"""onnx.runtime: BN-STATE-1 does not hold for running_mean.

BN-STATE-1 (MUST): rm' = decay rm + (1 - decay) mu at every training step.

Found: expected 6.75214782, got 6.75214784 at [0]: 4.93e+06 times the bound 5.54e-15

On bnconform 0.1.0, numpy 2.4.6, onnx 1.23.2, onnxruntime 1.31.1, python 3.11.7.

Case dafbbeaa191eeab8, divergence 0113c9667b49.

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
x = np.array([[3.9207057430870216]], np.float64)
running_mean = np.array([6.780748240946272], np.float64)
running_var = np.array([22.06122219371585], np.float64)

# The call.
scale = np.ones((1,), np.float64)
shift = np.zeros((1,), np.float64)
mean, var = running_mean, running_var


def batch_norm(x, mean, var, training):
    """All outputs of a model with the one node."""
    inputs = ["x", "scale", "B", "input_mean", "input_var"]
    outputs = ["y", "running_mean", "running_var"][: None if training else 1]
    node = onnx.helper.make_node(
        "BatchNormalization",
        inputs,
        outputs,
        epsilon=0.001,
        momentum=0.99,
        training_mode=int(training),
    )
    sizes = ['N', 'C']

    def value(name):
        if name in ("x", "y"):
            return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, sizes)
        return onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.DOUBLE, sizes[1:2]
        )

    graph = onnx.helper.make_graph(
        [node], "batch_norm", [value(name) for name in inputs], [value(name) for name in outputs]
    )
    opset = onnx.helper.make_opsetid("", 15)
    version = onnx.helper.find_min_ir_version_for([opset])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=version)
    feeds = dict(zip(inputs, (x, scale, shift, mean, var), strict=True))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


data = x
y, mean, var, *batch = batch_norm(data, mean, var, training=True)
answer = mean

print('onnx.runtime: BN-STATE-1 does not hold for running_mean.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([6.752147815967679], np.float64)
bound = np.array([5.53686210342217e-15], np.float64)
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
    mean, var = running_mean.astype(float), running_var.astype(float)
    mean = 0.99 * mean + (1 - 0.99) * x.astype(float).mean((0,))
    var = 0.99 * var + (1 - 0.99) * x.astype(float).var((0,))
    plain = mean

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"running_mean at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
