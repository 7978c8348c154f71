"""keras.jax: BN-REJECT-10 does not hold for the call.

BN-REJECT-10 (SHOULD): A rejection says which argument is wrong, or what arrived.

Found: says neither which argument is wrong nor what arrived: IndexError: tuple index out of
range

On bnconform 0.1.0, jax 0.10.2, jaxlib 0.10.2, keras 3.15.1, numpy 2.4.6, python 3.11.7.

Case 1ed0d208f30b14df, divergence aa180ecdfe5b.

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
x = np.array([3.9207058, 9.664366, 6.033653, -1.7119521, 7.8860097, 9.760038], np.float32)
dy = np.array([
    -0.15912911, -0.07307623, 0.038031355, 0.5744611, -0.51074076, 0.8917943,
], np.float32)
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    layer = keras.layers.BatchNormalization(
        axis=1,
        momentum=0.9,
        epsilon=0.001,
        center=True,
        scale=True,
        dtype="float32",
    )
    layer.build((None, 3))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    layer.moving_mean.assign(running_mean)
    layer.moving_variance.assign(running_var)

    affine = [variable.value for variable in (layer.gamma, layer.beta) if variable is not None]
    state = [variable.value for variable in layer.non_trainable_variables]


    def call_layer(affine, state, x, training):
        y, new = layer.stateless_call(
            affine, state, x, training=training
        )
        return y, new[-len(state) :]


    step = jax.jit(call_layer, static_argnames="training")
    data = x
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
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('keras.jax: BN-REJECT-10 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "jax", jax.__version__)

if answer is not None:
    print("expected: an error\ngot:      an answer")
    sys.exit(0)
# A message is clear that names the argument or what arrived.
words = ('rank', 'ndim', 'dim', 'axis', 'shape', '1d', '1-d')
clear = any(word in message.lower() for word in words)
print(f"expected: an error about input and upstream gradient of rank 1, (6,), with features on axis 1, with one of the words {', '.join(words)}")
print(f"got:      {message[:1000]}")
sys.exit(0 if clear else 1)
