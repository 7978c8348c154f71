"""equinox.batch: BN-CALL-2 does not hold for y.

BN-CALL-2 (MUST): Outputs have the input's shape and the documented number format.

Found: must be bfloat16, got float32

On bnconform 0.1.0, equinox 0.13.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 2dc8c6130b766a42, divergence a6fb7f1592eb.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import equinox
    import jax

    jax.config.update("jax_enable_x64", True)
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
# bfloat16 values are written as float32, which holds them exactly.
x = np.array([[-4.0]], np.float32)
running_mean = np.array([-1.0], np.float32)
running_var = np.array([8.0], np.float32)

# The call.
layer, state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(
    1,
    "batch",
    eps=0.001,
    momentum=0.5,
    channelwise_affine=False,
    dtype=jax.numpy.float32,
    mode="batch",
)
affine = ()
statistics = (running_mean, running_var)
state = state.set(layer.batch_state_index, statistics)


def call_layer(affine, state, x, inference):
    made = layer
    x = x

    def sample(x):
        return made(x, state, inference=inference)

    batch = jax.vmap(sample, axis_name="batch", out_axes=(0, None))
    y, new = batch(x)
    return y, new


step = jax.jit(call_layer, static_argnums=3)
data = jax.numpy.asarray(x, jax.numpy.bfloat16)
y, state = step(affine, state, data, True)
answer = y

print('equinox.batch: BN-CALL-2 does not hold for y.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "equinox", equinox.__version__)

expected = ((1, 1), 'bfloat16')
got = tuple(answer.shape), answer.dtype.name
print("expected: shape and format", expected, "\ngot:      shape and format", got)
sys.exit(0 if got == expected else 1)
