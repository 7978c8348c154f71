"""tf.fused: BN-CALL-2 does not hold for dx.

BN-CALL-2 (MUST): Outputs have the input's shape and the documented number format.

Found: must have shape (0, 1, 4, 1, 2), got (0, 1, 4, 2)

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case 0009fd8598f8e20b, divergence 6a314b572133.

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
x = np.zeros((0, 1, 4, 1, 2), np.float32)
dy = np.zeros((0, 1, 4, 1, 2), np.float32)
gamma = np.array([0.20850645, -0.697401], np.float32)
beta = np.array([0.38515007, 1.6105579], np.float32)
running_mean = np.array([-0.23742597, 0.030014135], np.float32)
running_var = np.array([0.11437753, 0.117999434], np.float32)

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
        mean=mean,
        variance=variance,
        epsilon=1.001e-05,
        exponential_avg_factor=1 - 0.0,
        data_format="NDHWC",
        is_training=False,
    )
answer = tape.gradient(out.y, data, output_gradients=tf.cast(dy, out.y.dtype))

print('tf.fused: BN-CALL-2 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

expected = ((0, 1, 4, 1, 2), 'float32')
got = tuple(answer.shape), answer.dtype.name
print("expected: shape and format", expected, "\ngot:      shape and format", got)
sys.exit(0 if got == expected else 1)
