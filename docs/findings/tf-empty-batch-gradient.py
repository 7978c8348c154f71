"""tf.layers.unfused: BN-EDGE-2 does not hold for dgamma.

BN-EDGE-2 (MUST): An empty training batch gives empty outputs or is rejected, as documented.

Found: expected 0, got nan at [0]: inf times the bound 0

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case ea32a54402daa75d, divergence 186b20526d83.

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
x = np.zeros((0, 1), np.float32)
dy = np.zeros((0, 1), np.float32)
gamma = np.array([0.26495883], np.float32)
running_mean = np.array([6.7807484], np.float32)
running_var = np.array([22.061222], np.float32)

# The call.
v1 = tf.compat.v1
v1.disable_eager_execution()
fed = v1.placeholder("float32")
data = tf.identity(fed)
data.set_shape((None, 1))
training = v1.placeholder(tf.bool, [])
layer = v1.layers.BatchNormalization(
    axis=1,
    momentum=0.5,
    epsilon=0.001,
    center=False,
    scale=True,
    fused=False,
)
y = layer(data, training=training)
upstream = v1.placeholder("float32", data.shape)
gradient = tf.gradients(y, layer.gamma, grad_ys=upstream)[0]
updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
session = v1.Session()
session.run(v1.global_variables_initializer())
session.run(layer.gamma.assign(gamma.reshape(layer.gamma.shape)))
session.run(layer.moving_mean.assign(running_mean.reshape(layer.moving_mean.shape)))
session.run(layer.moving_variance.assign(running_var.reshape(layer.moving_variance.shape)))
before = {fed: x, training: True}
answer, *_ = session.run([gradient, *updates], before | {upstream: dy})

print('tf.layers.unfused: BN-EDGE-2 does not hold for dgamma.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([0.0], np.float64)
bound = np.array([0.0], np.float64)
got = np.asarray(answer).astype(np.float64).reshape((1,))
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dgamma at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
