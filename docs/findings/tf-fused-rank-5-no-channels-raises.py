"""tf.fused: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

Found: raised InvalidArgumentError: {{function_node
__wrapped__Transpose_device_/job:localhost/replica:0/task:0/device:CPU:0}} transpose expects a
vector of size 4. But input(1) is a vector of size 5 [Op:Transpose]

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case 00d2ed27edddee53, divergence 513ed381b62f.

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
x = np.zeros((2, 0, 1, 8, 8), np.float32)
dy = np.zeros((2, 0, 1, 8, 8), np.float32)
gamma = np.zeros((0,), np.float32)
running_mean = np.zeros((0,), np.float32)
running_var = np.zeros((0,), np.float32)

# The call.
def call():
    scale = tf.constant(gamma)
    offset = tf.zeros(0)
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
            epsilon=1e-07,
            exponential_avg_factor=1 - 0.0,
            data_format="NCDHW",
            is_training=False,
        )
    answer = tape.gradient(out.y, data, output_gradients=tf.cast(dy, out.y.dtype))
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('tf.fused: BN-CALL-1 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

if answer is not None:
    print("expected: an answer\ngot:      an answer")
    sys.exit(0)
print(f"expected: an answer\ngot:      {message[:1000]}")
sys.exit(1)
