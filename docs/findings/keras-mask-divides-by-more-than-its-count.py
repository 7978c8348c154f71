"""keras.tensorflow: BN-MASK-3 does not hold for dx.

BN-MASK-3 (MUST): Only kept positions feel the gradient through the statistics.

Found: expected -815790.413, got -815790.372 at [0, 1]: 8.66e+06 times the bound 4.71e-09

On bnconform 0.1.0, keras 3.15.1, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu
2.21.0, tf_keras 2.21.0.

Case 1419b67b832309fd, divergence 1a4f94eacfdd.

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
x = np.array([
    [
        -2.0382403408666566e-61, -3.8235162480020665e-61, -1.0114567567930913e-60,
    ],
    [
        -1.1248884891731943e-60, -8.222031465830024e-61, -7.298687957388906e-61,
    ],
], np.float64)
mask = np.array([[True], [True]], np.bool_)
dy = np.array([[0.0, 0.0, 0.0], [0.0, 1.5, 0.0]], np.float64)
gamma = np.array([-0.6228975717019231, 1.0877205501464169, 0.820364614717791], np.float64)
beta = np.array([0.20857780174008647, 0.020323914031693677, 2.2640417367035615], np.float64)
running_mean = np.array([
    -4.1914784240229155e-61, -5.135287467859773e-61, -9.293946591748743e-61,
], np.float64)
running_var = np.array([
    4.46840438186861e-121, 6.96966030915654e-122, 1.2417769875051352e-121,
], np.float64)

# The call.
layer = keras.layers.BatchNormalization(
    axis=-1,
    momentum=0.999,
    epsilon=1e-12,
    center=True,
    scale=True,
    dtype="float64",
)
layer.build((None, 3))
layer.gamma.assign(gamma)
layer.beta.assign(beta)
layer.moving_mean.assign(running_mean)
layer.moving_variance.assign(running_var)

data = tf.constant(x)
with tf.GradientTape() as tape:
    tape.watch(data)
    y = layer(data, training=True, mask=mask.squeeze(-1))
answer = tape.gradient(y, data, output_gradients=tf.cast(dy, y.dtype))

print('keras.tensorflow: BN-MASK-3 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([[0.0, -815790.4126098127, 0.0], [0.0, 815790.4126098127, 0.0]], np.float64)
bound = np.array([
    [
        2.2250738585072014e-308, 4.709688356608946e-09, 2.2250738585072014e-308,
    ],
    [
        2.2250738585072014e-308, 5.7965395158263906e-09, 2.2250738585072014e-308,
    ],
], np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dx at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
