"""onnx.reference.opset9: BN-INFER-1 does not hold for y.

BN-INFER-1 (MUST): y = gamma (x - rm) / sqrt(rv + epsilon) + beta, whatever the batch.

Found: expected -0.555483305, got -0.552032351 at [0, 0]: 4.61e+03 times the bound 7.48e-07

On bnconform 0.1.0, numpy 2.4.6, onnx 1.23.2, python 3.11.7.

Case 05efb95a9b2d96cb, divergence c8c7206fadd9.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import onnx
    import onnx.reference
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.array([[0.33333334]], np.float32)
beta = np.array([0.1329908], np.float32)
running_mean = np.array([1.2934864], np.float32)
running_var = np.array([1.9449276], np.float32)

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
        momentum=0.99,
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
    opset = onnx.helper.make_opsetid("", 9)
    version = onnx.helper.find_min_ir_version_for([opset])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=version)
    feeds = dict(zip(inputs, (x, scale, shift, mean, var), strict=True))
    return onnx.reference.ReferenceEvaluator(model).run(None, feeds)


data = x
(y,) = batch_norm(data, mean, var, training=False)
answer = y

print('onnx.reference.opset9: BN-INFER-1 does not hold for y.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "onnx", onnx.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([[-0.5554833054487202]], np.float64)
bound = np.array([[7.483784681346368e-07]], np.float64)
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
    x64 = x.astype(float)
    mean, var = mean.reshape((1, 1)), var.reshape((1, 1))
    xhat = (x64 - mean) / np.sqrt(var + 1.001e-05)
    plain = xhat + beta.reshape((1, 1))

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"y at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
