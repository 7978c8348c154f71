"""tf.nn: BN-STAT-2 does not hold for batch_var.

BN-STAT-2 (MUST): The variance that normalizes is the biased one, sum (x - mu)^2 / n.

Found: expected 0, got nan at [0]: inf times the bound 3.01e-12

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case 4af4afe854265292, divergence 069542330e88.

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
x = np.array([[-0.5141417], [np.nan]], np.float32)
mask = np.array([[True], [False]], np.bool_)
running_mean = np.array([0.1951074], np.float32)
running_var = np.array([0.286542], np.float32)

# The call.
scale = None
offset = None

data = tf.constant(x)
mean, variance = tf.nn.weighted_moments(data, (0,), mask, keepdims=True)
y = tf.nn.batch_normalization(data, mean, variance, offset, scale, 0.001)
answer = variance

print('tf.nn: BN-STAT-2 does not hold for batch_var.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([0.0], np.float64)
bound = np.array([3.0052313164736667e-12], np.float64)
got = tf.cast(answer, tf.float64).numpy().squeeze((0,))
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"batch_var at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
