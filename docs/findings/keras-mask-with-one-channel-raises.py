"""keras.jax: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

Found: raised IndexError: tuple index out of range

On bnconform 0.1.0, jax 0.10.2, jaxlib 0.10.2, keras 3.15.1, numpy 2.4.6, python 3.11.7.

Case 4af4afe854265292, divergence 6c8a5b349f98.

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

    affine = [variable.value for variable in (layer.gamma, layer.beta) if variable is not None]
    state = [variable.value for variable in layer.non_trainable_variables]


    def call_layer(affine, state, x, mask, training):
        y, new = layer.stateless_call(
            affine, state, x, training=training, mask=mask
        )
        return y, new[-len(state) :]


    step = jax.jit(call_layer, static_argnames="training")
    data = x
    before = state
    y, state = step(affine, state, data, mask=mask.squeeze(-1), training=True)
    def pulled(affine, data, dy):
        y, pull = jax.vjp(
            lambda affine, data: step(affine, before, data, mask=mask.squeeze(-1), training=True)[0],
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

print('keras.jax: BN-CALL-1 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "jax", jax.__version__)

if answer is not None:
    print("expected: an answer\ngot:      an answer")
    sys.exit(0)
print(f"expected: an answer\ngot:      {message[:1000]}")
sys.exit(1)
