"""tf.fused: BN-PORT-5 does not hold for y_folded.

BN-PORT-5 (MUST): Folded into a linear layer before it, w = gamma / sqrt(rv + epsilon), the output
stays the same.

Grappler's remapper makes one operation of a Conv2D and the FusedBatchNormV3 after it without
comparing their data formats: what stands over axis 1 (NCHW) is normalized over the last axis.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys
from typing import Any

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import tensorflow as tf
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: 2 x over the last axis, then batch norm over axis 1, which is as long.
x = np.arange(1, 19, dtype=np.float32).reshape(1, 3, 2, 3)
kernel = 2 * np.eye(3, dtype=np.float32)[None, None]
scale, offset = np.array([1.0, 2.0, 3.0], np.float32), np.zeros(3, np.float32)
mean, variance, epsilon = np.zeros(3, np.float32), np.ones(3, np.float32), 0.0625


def infer(data: Any) -> Any:
    """A convolution over the last axis, then the fused operation in inference over axis 1."""
    return tf.raw_ops.FusedBatchNormV3(
        x=tf.nn.conv2d(data, kernel, 1, "SAME"),
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        data_format="NCHW",
        is_training=False,
    ).y


# The calls.
data = tf.constant(x)
eager, got = infer(data).numpy(), tf.function(infer)(data).numpy()
tf.config.optimizer.set_experimental_options({"remapping": False})
control = tf.function(infer)(data).numpy()

# The same by plain NumPy in float64.
expected = 2.0 * x.astype(np.float64) * (scale / np.sqrt(1.0 + epsilon))[:, None, None]

print("tf.fused: BN-PORT-5 does not hold for y_folded.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "tensorflow", tf.__version__,
)  # fmt: skip
print("The first pixel of each of the three features:")
print("expected               ", expected[0, :, 0, 0].round(4).tolist())
print("got                    ", [round(float(y), 4) for y in got[0, :, 0, 0]], "(tf.function)")
print("eagerly                ", [round(float(y), 4) for y in eager[0, :, 0, 0]])
print("without the remapper   ", [round(float(y), 4) for y in control[0, :, 0, 0]])
sys.exit(0 if np.allclose(got, expected, rtol=1e-5) else 1)
