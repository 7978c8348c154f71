"""keras.tensorflow: BN-EDGE-3 does not hold for running_var.

BN-EDGE-3 (SHOULD): An empty batch, where accepted, leaves the running statistics alone.

Found: expected 1.14169025e+16, got nan at [0]: inf times the bound 0

On bnconform 0.1.0, keras 3.15.1, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu
2.21.0, tf_keras 2.21.0.

Case 048d3bd3cc69145d, divergence 23680baa7783.

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
x = np.zeros((0, 8), np.float32)
running_mean = np.array([
    -5.527744e+07, -5.410199e+07, 6.3751244e+07, 1.7673891e+08, -1.301744e+08,
    -1.4909934e+08, -2.1048032e+08, -1.9055992e+08,
], np.float32)
running_var = np.array([
    1.1416902e+16, 3.2093572e+16, 2.7409397e+14, 5.1021883e+14, 1.2706956e+14,
    1.0761565e+16, 4.7828235e+15, 2.8802367e+15,
], np.float32)

# The call.
layer = keras.layers.BatchNormalization(
    axis=-1,
    momentum=0.9,
    epsilon=1.001e-05,
    center=False,
    scale=False,
    dtype="float32",
)
layer.build((None, 8))
layer.moving_mean.assign(running_mean)
layer.moving_variance.assign(running_var)

data = tf.constant(x)
y = layer(data, training=True)
answer = layer.moving_variance.value

print('keras.tensorflow: BN-EDGE-3 does not hold for running_var.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([
    1.1416902467321856e+16, 3.209357188870963e+16, 274093974749184.0, 510218827988992.0,
    127069560242176.0, 1.0761564546138112e+16, 4782823504347136.0, 2880236744081408.0,
], np.float64)
bound = np.full((8,), 0.0, np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"running_var at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
