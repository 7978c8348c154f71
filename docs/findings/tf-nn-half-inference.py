"""tf.nn: BN-INFER-1 does not hold for y.

BN-INFER-1 (MUST): y = gamma (x - rm) / sqrt(rv + epsilon) + beta, whatever the batch.

Found: expected -0.607163768, got -0.625 at [0, 0]: 7.51 times the bound 0.00238

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case b3196429247b31d0, divergence 3b530fb0546c.

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
# bfloat16 values are written as float32, which holds them exactly.
x = np.array([[9.25]], np.float32)
running_mean = np.array([9.963211], np.float32)
running_var = np.array([1.3788264], np.float32)

# The call.
scale = None
offset = None
mean, variance = tf.constant(running_mean.reshape((1, 1))), tf.constant(running_var.reshape((1, 1)))

data = tf.constant(x, tf.bfloat16)
y = tf.nn.batch_normalization(data, mean, variance, offset, scale, 0.001)
answer = y

print('tf.nn: BN-INFER-1 does not hold for y.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([[-0.6071637676400412]], np.float64)
bound = np.array([[0.0023755768418260177]], np.float64)
got = tf.cast(answer, tf.float64).numpy()
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
    xhat = (x64 - mean) / np.sqrt(var + 0.001)
    plain = xhat

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"y at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
