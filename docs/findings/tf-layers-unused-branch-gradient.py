"""tf.layers.unfused: BN-EDGE-5 does not hold for dx.

BN-EDGE-5 (MUST): A NaN or an infinity is not hidden in its own channel.

Found: expected 0, got nan at [0, 0]: inf times the bound 1.18e-38

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case 01350529f5af1f7b, divergence bb61069e5d84.

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
x = np.array([[np.inf]], np.float32)
dy = np.array([[0.0]], np.float32)
beta = np.array([-0.56906956], np.float32)
running_mean = np.array([-4.887292], np.float32)
running_var = np.array([8.068853], np.float32)

# The call.
v1 = tf.compat.v1
v1.disable_eager_execution()
fed = v1.placeholder("float32")
data = tf.identity(fed)
data.set_shape((None, 1))
training = v1.placeholder(tf.bool, [])
layer = v1.layers.BatchNormalization(
    axis=1,
    momentum=0.999,
    epsilon=1.001e-05,
    center=True,
    scale=False,
    fused=False,
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

print('tf.layers.unfused: BN-EDGE-5 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([[0.0]], np.float64)
bound = np.array([[1.1754943508222875e-38]], np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

# The same by plain NumPy in float64, for comparison: it decides nothing.
with np.errstate(all="ignore"):
    mean, var = running_mean.astype(float), running_var.astype(float)
    x64 = x.astype(float)
    mean, var = mean.reshape((1, 1)), var.reshape((1, 1))
    xhat = (x64 - mean) / np.sqrt(var + 1.001e-05)
    g = dy.astype(float)
    plain = 1.0 / np.sqrt(var + 1.001e-05) * g

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dx at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
