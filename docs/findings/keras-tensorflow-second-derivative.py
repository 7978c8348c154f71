"""keras.tensorflow: BN-SECOND-1 does not hold for by_x.

BN-SECOND-1 (MUST): In training, gradients of the gradients go through the batch statistics again.

On TensorFlow the layer takes its statistics from tf.nn.moments, whose variance stops the gradient
at the mean: right once, and wrong once it is differentiated again. Nothing is said.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys
from typing import Any

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

# What goes in: the second derivative of f(x) = sum(dy layer(x)) along the direction u.
x = np.array([[0.3], [-1.2], [2.0], [0.7]])
dy = np.array([[1.0], [-0.5], [0.25], [2.0]])
u = np.array([[1.0], [0.0], [-0.5], [0.25]])
epsilon, step = 0.1, 1e-5


def gradient(at: Any) -> Any:
    """The gradient of f by plain NumPy in float64; gamma is 1."""
    r = 1 / np.sqrt(at.var() + epsilon)
    xhat = (at - at.mean()) * r
    return r * (dy - dy.mean() - xhat * (dy * xhat).mean())


# The calls, and central differences of the layer's own gradient, which is right, for comparison.
layer = keras.layers.BatchNormalization(epsilon=epsilon, dtype="float64")


def first(at: Any) -> Any:
    """The layer's gradient of f, a tensor."""
    with tf.GradientTape() as tape:
        tape.watch(at)
        f = tf.reduce_sum(dy * layer(at, training=True))
    return tape.gradient(f, at)


data = tf.constant(x)
with tf.GradientTape() as outer:
    outer.watch(data)
    probe = tf.reduce_sum(first(data) * u)
got = outer.gradient(probe, data).numpy()
ahead, behind = (first(tf.constant(x + sign * step * u)).numpy() for sign in (1, -1))
control = (ahead - behind) / (2 * step)
expected = (gradient(x + step * u) - gradient(x - step * u)) / (2 * step)

print("keras.tensorflow: BN-SECOND-1 does not hold for by_x.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "keras", keras.__version__, "tensorflow", tf.__version__,
)  # fmt: skip
print("expected               ", expected[:, 0].round(6).tolist())
print("got                    ", got[:, 0].round(6).tolist(), "(gradient of the gradient)")
print("differences of gradient", control[:, 0].round(6).tolist())
sys.exit(0 if np.allclose(got, expected, rtol=1e-4, atol=1e-6) else 1)
