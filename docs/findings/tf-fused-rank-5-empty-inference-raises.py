"""tf.layers.fused: BN-EDGE-2 does not hold for the call.

BN-EDGE-2 (MUST): An empty training batch gives empty outputs or is rejected, as documented.

Found: documented to compute, raised InvalidArgumentError: Graph execution error:

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case 0ee0fcfa369345f6, divergence 438be008e6e2.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import tensorflow as tf
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.zeros((8, 3, 8, 0, 1), np.float32)
dy = np.zeros((8, 3, 8, 0, 1), np.float32)
beta = np.array([0.13840877, -0.78089815, -0.7293087], np.float32)
running_mean = np.array([100000.484, -99999.8, -99999.62], np.float32)
running_var = np.array([1.4989218, 1.8755336, 1.1430231], np.float32)

# The call.
def call():
    v1 = tf.compat.v1
    v1.disable_eager_execution()
    fed = v1.placeholder("float32")
    data = tf.identity(fed)
    data.set_shape((None, 3, 8, 0, 1))
    training = v1.placeholder(tf.bool, [])
    layer = v1.layers.BatchNormalization(
        axis=1,
        momentum=1.0,
        epsilon=0.1,
        center=True,
        scale=False,
        fused=True,
    )
    y = layer(data, training=training)
    upstream = v1.placeholder("float32", data.shape)
    gradient = tf.gradients(y, data, grad_ys=upstream)[0]
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    session.run(layer.beta.assign(beta.reshape(layer.beta.shape)))
    session.run(layer.moving_mean.assign(running_mean.reshape(layer.moving_mean.shape)))
    session.run(layer.moving_variance.assign(running_var.reshape(layer.moving_variance.shape)))
    before = {fed: x, training: False}
    answer, *_ = session.run([gradient, ], before | {upstream: dy})
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('tf.layers.fused: BN-EDGE-2 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

if answer is not None:
    print("expected: an answer\ngot:      an answer")
    sys.exit(0)
print(f"expected: an answer\ngot:      {message[:1000]}")
sys.exit(1)
