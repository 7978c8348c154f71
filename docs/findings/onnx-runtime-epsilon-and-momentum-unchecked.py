"""onnx.runtime.opset9: BN-REJECT-8 does not hold for the call.

BN-REJECT-8 (SHOULD): A momentum outside [0, 1] is rejected.

Found: accepted the call (the old value weighs -0.5, the new one 1.5), and answered y of shape
(6, 3) by the equations

On bnconform 0.1.0, numpy 2.4.6, onnx 1.23.2, onnxruntime 1.31.1, python 3.11.7.

Case b0f24eaad4a8f2cf, divergence b5a07522f1bb.

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
x = np.array([
    [3.9207058, -5.842868, 5.822578],
    [9.664366, -3.8989608, 4.124461],
    [6.033653, -6.348191, 7.6339173],
    [-1.7119521, -2.274739, 8.199498],
    [7.8860097, -13.142034, 16.897604],
    [9.760038, 6.7658877, 8.84553],
], np.float32)
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    scale = gamma
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
            epsilon=0.001,
            momentum=-0.5,
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
    answer = y
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('onnx.runtime.opset9: BN-REJECT-8 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)

if answer is None:
    print(f"expected: an error\ngot:      {message[:1000]}")
    sys.exit(0)
print(f"expected: an error, for the old value weighs -0.5, the new one 1.5")
print(f"got:      an answer of shape {tuple(answer.shape)}")
sys.exit(1)
