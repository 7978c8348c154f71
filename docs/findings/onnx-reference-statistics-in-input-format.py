"""onnx.reference: BN-CALL-2 does not hold for running_mean.

BN-CALL-2 (MUST): Outputs have the input's shape and the documented number format.

Found: must be float32, got bfloat16

On bnconform 0.1.0, numpy 2.4.6, onnx 1.23.2, python 3.11.7.

Case 01253fc9f09640ac, divergence 8313f98b75e9.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import ml_dtypes
    import onnx
    import onnx.reference
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
# bfloat16 values are written as float32, which holds them exactly.
x = np.zeros((7, 0, 5), np.float32)
beta = np.zeros((0,), np.float32)
running_mean = np.zeros((0,), np.float32)
running_var = np.zeros((0,), np.float32)

# The call.
scale = np.ones((0,), np.float32)
shift = beta
mean, var = running_mean, running_var


def batch_norm(x, mean, var, training):
    """All outputs of a model with the one node."""
    inputs = ["x", "scale", "B", "input_mean", "input_var"]
    outputs = ["y", "running_mean", "running_var"][: None if training else 1]
    node = onnx.helper.make_node(
        "BatchNormalization",
        inputs,
        outputs,
        epsilon=1e-12,
        momentum=0.999,
        training_mode=int(training),
    )
    sizes = ['N', 'C', 'D1']

    def value(name):
        if name in ("x", "y"):
            return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.BFLOAT16, sizes)
        return onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, sizes[1:2]
        )

    graph = onnx.helper.make_graph(
        [node], "batch_norm", [value(name) for name in inputs], [value(name) for name in outputs]
    )
    opset = onnx.helper.make_opsetid("", 15)
    version = onnx.helper.find_min_ir_version_for([opset])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=version)
    feeds = dict(zip(inputs, (x, scale, shift, mean, var), strict=True))
    return onnx.reference.ReferenceEvaluator(model).run(None, feeds)


data = x.astype(ml_dtypes.bfloat16)
y, mean, var, *batch = batch_norm(data, mean, var, training=True)
answer = mean

print('onnx.reference: BN-CALL-2 does not hold for running_mean.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "onnx", onnx.__version__)

expected = ((0,), 'float32')
got = tuple(answer.shape), answer.dtype.name
print("expected: shape and format", expected, "\ngot:      shape and format", got)
sys.exit(0 if got == expected else 1)
