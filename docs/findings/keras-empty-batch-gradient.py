"""keras.tensorflow: BN-EDGE-2 does not hold for dgamma.

BN-EDGE-2 (MUST): An empty training batch gives empty outputs or is rejected, as documented.

Found: expected 0, got nan at [0]: inf times the bound 0

On bnconform 0.1.0, keras 3.15.1, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu
2.21.0, tf_keras 2.21.0.

Case ea32a54402daa75d, divergence 37e8ad73e83e.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import keras
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
layer = keras.layers.BatchNormalization(
    axis=1,
    momentum=0.5,
    epsilon=0.001,
    center=False,
    scale=True,
    dtype="float32",
)
layer.build((None, 1))
layer.gamma.assign(gamma)
layer.moving_mean.assign(running_mean)
layer.moving_variance.assign(running_var)

data = tf.constant(x)
with tf.GradientTape() as tape:
    tape.watch(layer.gamma.value)
    y = layer(data, training=True)
answer = tape.gradient(y, layer.gamma.value, output_gradients=tf.cast(dy, y.dtype))

print('keras.tensorflow: BN-EDGE-2 does not hold for dgamma.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([0.0], np.float64)
bound = np.array([0.0], np.float64)
got = np.asarray(answer).astype(np.float64)
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
