"""keras.jax: BN-RENORM-4 does not hold for dx.

BN-RENORM-4 (MUST): dx is that of batch normalization times R: R and D are constants.

Found: expected 4.17391304, got 4.15625 at [1, 5]: 1.08 times the bound 0.0163

On bnconform 0.1.0, jax 0.10.2, jaxlib 0.10.2, keras 3.15.1, numpy 2.4.6, python 3.11.7.

Case 9a534cfc4b784af6, divergence 2c25ba4f7cee.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

os.environ["KERAS_BACKEND"] = "jax"
try:
    import jax

    jax.config.update("jax_enable_x64", True)
    import keras
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
# bfloat16 values are written as float32, which holds them exactly.
x = np.array([
    [
        -1.6952981e-09, -4.773028e-09, -4.8894435e-09, 5.0640665e-09, -4.5401976e-09,
        -2.1682354e-09, -3.4924597e-09, -3.1286618e-09,
    ],
    [
        2.2555469e-09, 1.717126e-09, -2.6484486e-09, -7.0940587e-10, -9.895302e-10,
        3.5361154e-09, -2.2919266e-10, -5.857146e-10,
    ],
], np.float32)
dy = np.array([
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
], np.float32)
gamma = np.array([2.671875, -0.0703125], np.float32)
beta = np.array([-0.07080078, 0.21972656], np.float32)
running_mean = np.array([-1.5279511e-09, -3.6607162e-11], np.float32)
running_var = np.array([1.3444107e-17, 3.930233e-18], np.float32)
renorm_mean = np.array([1.3969839e-09, -5.7980287e-11], np.float32)
renorm_stddev = np.array([0.0031585693, 0.0031585693], np.float32)
running_stddev = np.array([0.0031585693, 0.0031585693], np.float32)

# The call.
layer = keras.layers.BatchNormalization(
    axis=0,
    momentum=0.0,
    epsilon=1e-05,
    center=True,
    scale=True,
    dtype="bfloat16",
    renorm=True,
    renorm_clipping={},
    renorm_momentum=0.9,
)
layer.build((2, 8))
layer.gamma.assign(gamma)
layer.beta.assign(beta)
layer.moving_mean.assign(running_mean)
layer.moving_variance.assign(running_var)
layer.renorm_mean.assign(renorm_mean)
layer.renorm_stddev.assign(renorm_stddev)
layer.moving_stddev.assign(running_stddev)

affine = [variable.value for variable in (layer.gamma, layer.beta) if variable is not None]
state = [variable.value for variable in layer.non_trainable_variables]


def call_layer(affine, state, x, training):
    y, new = layer.stateless_call(
        affine, state, x, training=training
    )
    return y, new[-len(state) :]


step = jax.jit(call_layer, static_argnames="training")
data = jax.numpy.asarray(x, jax.numpy.bfloat16)
before = state
y, state = step(affine, state, data, training=True)
def pulled(affine, data, dy):
    y, pull = jax.vjp(
        lambda affine, data: step(affine, before, data, training=True)[0],
        affine,
        data,
    )
    return pull(dy.astype(y.dtype))


gradients = jax.jit(pulled)(affine, data, dy)
answer = gradients[1]

print('keras.jax: BN-RENORM-4 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "jax", jax.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [
        -29.21739130434622, 4.173913043479427, 4.173913043475851, 4.173913043477439,
        4.17391304347721, 4.173913043480916, 4.173913043477833, 4.173913043477541,
    ],
], np.float64)
bound = np.array([
    [
        1.1754943508222875e-38, 1.1754943508222875e-38, 1.1754943508222875e-38,
        1.1754943508222875e-38, 1.1754943508222875e-38, 1.1754943508222875e-38,
        1.1754943508222875e-38, 1.1754943508222875e-38,
    ],
    [
        0.11416989631766732, 0.01631383858121354, 0.016313838581199575, 0.01631383858120577,
        0.016313838581204877, 0.01631383858121937, 0.016313838581207305, 0.01631383858120617,
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
