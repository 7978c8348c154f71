"""tf.fused: BN-CALL-2 does not hold for dx.

BN-CALL-2 (MUST): Outputs have the input's shape and the documented number format.

Found: must have shape (12, 3, 3, 1, 0), got (12, 3, 3, 0)

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case 021e6da33dc54879, divergence 4753e81465cd.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import tensorflow as tf
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.zeros((12, 3, 3, 1, 0), np.float32)
dy = np.zeros((12, 3, 3, 1, 0), np.float32)
gamma = np.zeros((0,), np.float32)
beta = np.zeros((0,), np.float32)
running_mean = np.zeros((0,), np.float32)
running_var = np.zeros((0,), np.float32)

# The call.
scale = tf.constant(gamma)
offset = tf.constant(beta)
mean, variance = tf.constant(running_mean), tf.constant(running_var)

data = tf.constant(x)
with tf.GradientTape() as tape:
    tape.watch(data)
    out = tf.raw_ops.FusedBatchNormV3(
        x=data,
        scale=scale,
        offset=offset,
        mean=tf.constant([]),
        variance=tf.constant([]),
        epsilon=0.001,
        exponential_avg_factor=1 - 0.0,
        data_format="NDHWC",
        is_training=True,
    )
mean, variance = out.batch_mean, out.batch_variance
answer = tape.gradient(out.y, data, output_gradients=tf.cast(dy, out.y.dtype))

print('tf.fused: BN-CALL-2 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

expected = ((12, 3, 3, 1, 0), 'float32')
got = tuple(answer.shape), answer.dtype.name
print("expected: shape and format", expected, "\ngot:      shape and format", got)
sys.exit(0 if got == expected else 1)
