"""tf.layers.unfused: BN-STATE-1 does not hold for running_mean.

BN-STATE-1 (MUST): rm' = decay rm + (1 - decay) mu at every training step.

Found: expected 6.75214782, got 6.75214782 at [0]: 1.15e+05 times the bound 5.54e-15

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case dafbbeaa191eeab8, divergence d035c8045b82.

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
x = np.array([[3.9207057430870216]], np.float64)
running_mean = np.array([6.780748240946272], np.float64)
running_var = np.array([22.06122219371585], np.float64)

# The call.
v1 = tf.compat.v1
v1.disable_eager_execution()
fed = v1.placeholder("float64")
data = tf.identity(fed)
data.set_shape((None, 1))
training = v1.placeholder(tf.bool, [])
layer = v1.layers.BatchNormalization(
    axis=1,
    momentum=0.99,
    epsilon=0.001,
    center=False,
    scale=False,
    fused=False,
)
y = layer(data, training=training)
updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
session = v1.Session()
session.run(v1.global_variables_initializer())
session.run(layer.moving_mean.assign(running_mean.reshape(layer.moving_mean.shape)))
session.run(layer.moving_variance.assign(running_var.reshape(layer.moving_variance.shape)))
before = {fed: x, training: True}
answer, *_ = session.run([y, *updates], before)
answer = session.run(layer.moving_mean)

print('tf.layers.unfused: BN-STATE-1 does not hold for running_mean.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([6.752147815967679], np.float64)
bound = np.array([5.53686210342217e-15], np.float64)
got = np.asarray(answer).astype(np.float64).reshape((1,))
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
    mean = 0.99 * mean + (1 - 0.99) * x.astype(float).mean((0,))
    var = 0.99 * var + (1 - 0.99) * x.astype(float).var((0,))
    plain = mean

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"running_mean at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
