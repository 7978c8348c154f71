"""keras.tensorflow: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

Found: raised IndexError: Exception encountered when calling BatchNormalization.call().

On bnconform 0.1.0, keras 3.15.1, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu
2.21.0, tf_keras 2.21.0.

Case 4af4afe854265292, divergence d5476b984164.

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
x = np.array([[-0.5141417], [np.nan]], np.float32)
mask = np.array([[True], [False]], np.bool_)
dy = np.array([[0.1852674], [1.5952026]], np.float32)
running_mean = np.array([0.1951074], np.float32)
running_var = np.array([0.286542], np.float32)

# The call.
def call():
    layer = keras.layers.BatchNormalization(
        axis=1,
        momentum=0.5,
        epsilon=0.001,
        center=False,
        scale=False,
        dtype="float32",
    )
    layer.build((None, 1))
    layer.moving_mean.assign(running_mean)
    layer.moving_variance.assign(running_var)

    data = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(data)
        y = layer(data, training=True, mask=mask.squeeze(-1))
    answer = tape.gradient(y, data, output_gradients=tf.cast(dy, y.dtype))
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('keras.tensorflow: BN-CALL-1 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "tf", tf.__version__)

if answer is not None:
    print("expected: an answer\ngot:      an answer")
    sys.exit(0)
print(f"expected: an answer\ngot:      {message[:1000]}")
sys.exit(1)
