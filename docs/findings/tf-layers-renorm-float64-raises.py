"""tf.layers.unfused: BN-EDGE-1 does not hold for the call.

BN-EDGE-1 (MUST): One training value per channel gives y = beta or is rejected, as documented.

Found: documented to compute, raised TypeError: Input 'y' of 'Maximum' Op has type float32 that
does not match type float64 of argument 'x'.

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case 12cfee950a22a3a7, divergence b999905df7a8.

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
xs = [
    np.array([
        [484581.6807363006, -5792.491575700569],
        [-15891.39866703794, -5792.491575700569],
        [-21535.050945747782, -5792.491575700569],
        [-1516.1277696142388, -5792.491575700569],
        [-7074.414323587577, -5792.491575700569],
    ], np.float64),
    np.array([
        [492092.5430622655, -5792.491575700569],
        [-30702.748344075353, -5792.491575700569],
        [-15945.578151777825, -5792.491575700569],
        [-16630.089690686626, -5792.491575700569],
        [-33768.77860001395, -5792.491575700569],
    ], np.float64),
    np.array([
        [488784.95159143786, -5792.491575700569],
        [-20823.053229214845, -5792.491575700569],
        [4428.815302283259, -5792.491575700569],
        [-15203.979936265048, -5792.491575700569],
        [-16656.254417463446, -5792.491575700569],
    ], np.float64),
    np.array([[491496.3044399573, -5792.491575700569]], np.float64),
]
dy = np.array([[0.1783165773365894, 0.8250874800460922]], np.float64)
beta = np.array([-1.5245049845125962, 0.06263677016269703], np.float64)
running_mean = np.array([-18820.262325025316, -10486.81356569983], np.float64)
running_var = np.array([77171473.3762178, 164819376.1494155], np.float64)
renorm_mean = np.array([-17445.953443818464, -3814.015367101624], np.float64)
renorm_stddev = np.array([9333.002271822585, 9870.276449211871], np.float64)
running_stddev = np.array([8784.72955623665, 12838.199879633261], np.float64)

# The call.
def call():
    v1 = tf.compat.v1
    v1.disable_eager_execution()
    fed = v1.placeholder("float64")
    data = tf.identity(fed)
    data.set_shape((None, 2))
    training = v1.placeholder(tf.bool, [])
    layer = v1.layers.BatchNormalization(
        axis=-1,
        momentum=0.5,
        epsilon=1e-12,
        center=True,
        scale=False,
        renorm=True,
        renorm_clipping={},
        renorm_momentum=0.9,
        fused=False,
    )
    y = layer(data, training=training)
    upstream = v1.placeholder("float64", data.shape)
    gradient = tf.gradients(y, data, grad_ys=upstream)[0]
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    session.run(layer.beta.assign(beta.reshape(layer.beta.shape)))
    session.run(layer.moving_mean.assign(running_mean.reshape(layer.moving_mean.shape)))
    session.run(layer.moving_variance.assign(running_var.reshape(layer.moving_variance.shape)))
    session.run(layer.renorm_mean.assign(renorm_mean.reshape(layer.renorm_mean.shape)))
    session.run(layer.renorm_stddev.assign(renorm_stddev.reshape(layer.renorm_stddev.shape)))
    session.run(layer.moving_stddev.assign(running_stddev.reshape(layer.moving_stddev.shape)))
    for x in xs:
        before = {fed: x, training: True}
        # The gradient of the last call is asked for; the others update the state.
        if x is xs[-1]:
            answer = session.run(gradient, before | {upstream: dy})
        session.run(updates, before)
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('tf.layers.unfused: BN-EDGE-1 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

if answer is not None:
    print("expected: an answer\ngot:      an answer")
    sys.exit(0)
print(f"expected: an answer\ngot:      {message[:1000]}")
sys.exit(1)
