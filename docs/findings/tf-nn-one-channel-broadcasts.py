"""tf.nn: BN-AXIS-3 does not hold for the call.

BN-AXIS-3 (MUST): A feature axis of another size than the parameters is rejected, 1 too.

Found: accepted the call (1 channel where parameters and statistics have 3), and answered y of
shape (6, 3)

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case c45af7acf4578824, divergence 242c06cc057e.

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
x = np.array([
    [3.9207058],
    [9.664366],
    [6.033653],
    [-1.7119521],
    [7.8860097],
    [9.760038],
], np.float32)
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    scale = tf.constant(gamma.reshape((1, 3)))
    offset = tf.constant(beta.reshape((1, 3)))

    data = tf.constant(x)
    mean, variance = tf.nn.moments(data, (0,), keepdims=True)
    y = tf.nn.batch_normalization(data, mean, variance, offset, scale, 0.001)
    answer = y
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('tf.nn: BN-AXIS-3 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

if answer is None:
    print(f"expected: an error\ngot:      {message[:1000]}")
    sys.exit(0)
print(f"expected: an error, for 1 channel where parameters and statistics have 3")
print(f"got:      an answer of shape {tuple(answer.shape)}")
sys.exit(1)
