"""equinox.batch: BN-REJECT-8 does not hold for the call.

BN-REJECT-8 (SHOULD): A momentum outside [0, 1] is rejected.

Found: accepted the call (the old value weighs -0.5, the new one 1.5), and answered y of shape
(6, 3) by the equations

On bnconform 0.1.0, equinox 0.13.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case b0f24eaad4a8f2cf, divergence 608f58354c59.

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
x = np.array([
    [3.9207058, -5.842868, 5.822578],
    [9.664366, -3.8989608, 4.124461],
    [6.033653, -6.348191, 7.6339173],
    [-1.7119521, -2.274739, 8.199498],
    [7.8860097, -13.142034, 16.897604],
    [9.760038, 6.7658877, 8.84553],
], np.float32)
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    layer, state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(
        3,
        "batch",
        eps=0.001,
        momentum=-0.5,
        channelwise_affine=True,
        dtype=jax.numpy.float32,
        mode="batch",
    )
    affine = (gamma, beta)


    def call_layer(affine, state, x, inference):
        made = layer
        made = equinox.tree_at(lambda each: (each.weight, each.bias), layer, affine)
        x = x

        def sample(x):
            return made(x, state, inference=inference)

        batch = jax.vmap(sample, axis_name="batch", out_axes=(0, None))
        y, new = batch(x)
        return y, new


    step = jax.jit(call_layer, static_argnums=3)
    data = x
    y, state = step(affine, state, data, False)
    answer = y
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('equinox.batch: BN-REJECT-8 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "equinox", equinox.__version__)

if answer is None:
    print(f"expected: an error\ngot:      {message[:1000]}")
    sys.exit(0)
print(f"expected: an error, for the old value weighs -0.5, the new one 1.5")
print(f"got:      an answer of shape {tuple(answer.shape)}")
sys.exit(1)
