"""tf.layers.fused: BN-PORT-5 does not hold for y_folded.

BN-PORT-5 (MUST): Folded into a linear layer before it, w = gamma / sqrt(rv + epsilon), the output
stays the same.

optimize_for_inference folds a batch norm into the convolution before it, in place: whatever else
uses the convolution's output gets the scaled one. Nobody counts the uses. The layer is written
here as the operation that it becomes.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import logging
import os
import sys
from typing import Any

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import tensorflow as tf
    from tensorflow.python.tools.optimize_for_inference_lib import optimize_for_inference
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # most of this is deprecated
v1 = tf.compat.v1

# What goes in: a convolution by 1, z, of which batch norm makes y. All parameters are 7.
x = np.ones((1, 1, 1, 1), np.float32)
sevens, epsilon = np.full(1, 7.0, np.float32), 0.0625
with tf.Graph().as_default() as graph:
    data = v1.placeholder(tf.float32, x.shape, name="x")
    z = tf.nn.conv2d(data, np.ones((1, 1, 1, 1), np.float32), 1, "SAME", name="z")
    v1.nn.fused_batch_norm(
        z, sevens, sevens, mean=sevens, variance=sevens, epsilon=epsilon, is_training=False,
        name="y",
    )  # fmt: skip
    written = graph.as_graph_def()


def answered(definition: Any) -> list[float]:
    """What the graph gives for y and z."""
    with tf.Graph().as_default() as made, v1.Session(graph=made) as session:
        tf.import_graph_def(definition, name="")
        return [float(each.item()) for each in session.run(["y:0", "z:0"], {"x:0": x})]


# The calls.
control = answered(written)
got = answered(optimize_for_inference(written, ["x"], ["y", "z"], tf.float32.as_datatype_enum))

# The same by plain NumPy in float64.
y = (np.float64(x.item()) - 7.0) / np.sqrt(7.0 + epsilon) * 7.0 + 7.0
expected = [float(y), 1.0]

print("tf.layers.fused: BN-PORT-5 does not hold for y_folded.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "tensorflow", tf.__version__,
)  # fmt: skip
print("expected                y, z =", np.round(expected, 6).tolist())
print("got                     y, z =", np.round(got, 6).tolist(), "(optimize_for_inference)")
print("the graph, as it is     y, z =", np.round(control, 6).tolist())
sys.exit(0 if np.allclose(got, expected, rtol=1e-5) else 1)
