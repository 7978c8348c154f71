"""tf.nn: BN-SECOND-1 does not hold for by_x.

BN-SECOND-1 (MUST): In training, gradients of the gradients go through the batch statistics again.

tf.nn.moments takes the variance about stop_gradient(mean), on the ground that the gradient through
that mean is 0. So it is, but its derivative is not. Nothing is said.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys
from typing import Any

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import tensorflow as tf
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: the second derivative of f(x) = sum(dy batch_norm(x)) along the direction u.
x = np.array([[0.3], [-1.2], [2.0], [0.7]])
dy = np.array([[1.0], [-0.5], [0.25], [2.0]])
u = np.array([[1.0], [0.0], [-0.5], [0.25]])
epsilon, step = 0.1, 1e-5


def gradient(at: Any) -> Any:
    """The gradient of f by plain NumPy in float64."""
    r = 1 / np.sqrt(at.var() + epsilon)
    xhat = (at - at.mean()) * r
    return r * (dy - dy.mean() - xhat * (dy * xhat).mean())


def by_tapes(moments: Any) -> tuple[Any, Any]:
    """The gradient of f, and that of its product with u, with these mean and variance."""
    data = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(data)
        with tf.GradientTape() as inner:
            inner.watch(data)
            mean, variance = moments(data)
            y = tf.nn.batch_normalization(data, mean, variance, None, None, epsilon)
            f = tf.reduce_sum(dy * y)
        first = inner.gradient(f, data)
        probe = tf.reduce_sum(first * u)
    return first.numpy(), outer.gradient(probe, data).numpy()


def by_means(data: Any) -> tuple[Any, Any]:
    """The same statistics without tf.nn.moments."""
    mean = tf.reduce_mean(data, 0)
    return mean, tf.reduce_mean((data - mean) ** 2, 0)


first, got = by_tapes(lambda data: tf.nn.moments(data, [0]))
_, control = by_tapes(by_means)
expected = (gradient(x + step * u) - gradient(x - step * u)) / (2 * step)

print("tf.nn: BN-SECOND-1 does not hold for by_x.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "tensorflow", tf.__version__,
)  # fmt: skip
print("expected               ", expected[:, 0].round(6).tolist())
print("got                    ", got[:, 0].round(6).tolist(), "(with tf.nn.moments)")
print("with tf.reduce_mean    ", control[:, 0].round(6).tolist())
print("the first derivative is right:", np.allclose(first, gradient(x), rtol=1e-9))
sys.exit(0 if np.allclose(got, expected, rtol=1e-4, atol=1e-6) else 1)
