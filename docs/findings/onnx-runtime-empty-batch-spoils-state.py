"""onnx.runtime.opset9: BN-EDGE-3 does not hold for running_mean.

BN-EDGE-3 (SHOULD): An empty batch, where accepted, leaves the running statistics alone.

Found: expected -55277440, got nan at [0]: inf times the bound 0

On bnconform 0.1.0, numpy 2.4.6, onnx 1.23.2, onnxruntime 1.31.1, python 3.11.7.

Case 048d3bd3cc69145d, divergence 2928b0477249.

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
x = np.zeros((0, 8), np.float32)
running_mean = np.array([
    -5.527744e+07, -5.410199e+07, 6.3751244e+07, 1.7673891e+08, -1.301744e+08,
    -1.4909934e+08, -2.1048032e+08, -1.9055992e+08,
], np.float32)
running_var = np.array([
    1.1416902e+16, 3.2093572e+16, 2.7409397e+14, 5.1021883e+14, 1.2706956e+14,
    1.0761565e+16, 4.7828235e+15, 2.8802367e+15,
], np.float32)

# The call.
scale = np.ones((8,), np.float32)
shift = np.zeros((8,), np.float32)
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
        momentum=0.9,
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
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


data = x
y, mean, var, *batch = batch_norm(data, mean, var, training=True)
answer = mean

print('onnx.runtime.opset9: BN-EDGE-3 does not hold for running_mean.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([
    -55277440.0, -54101992.0, 63751244.0, 176738912.0, -130174400.0, -149099344.0,
    -210480320.0, -190559920.0,
], np.float64)
bound = np.full((8,), 0.0, np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"running_mean at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
