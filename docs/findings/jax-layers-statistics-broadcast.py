"""haiku.batchnorm: BN-REJECT-5 does not hold for the call.

BN-REJECT-5 (MUST): Parameters or statistics of another size than the feature axes are rejected.

Found: accepted the call (the running statistics have 1 value for 3 channels), and answered y of
shape (6, 3)

On bnconform 0.1.0, dm-haiku 0.0.17, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 85c3b47486ebf9b4, divergence f62577394b9c.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import haiku
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
running_mean = np.array([6.7807484], np.float32)
running_var = np.array([22.061222], np.float32)

# The call.
def call():
    def network(x):
        layer = haiku.BatchNorm(
            create_scale=True,
            create_offset=True,
            decay_rate=0.9,
            eps=0.001,
            data_format="channels_first",
            name="bn",
        )
        return layer(x, is_training=True)


    network = haiku.without_apply_rng(haiku.transform_with_state(network)).apply
    params = {
        "bn": {
            "scale": np.expand_dims(gamma, (0,)),
            "offset": np.expand_dims(beta, (0,)),
        }
    }
    state = {
        "bn/~/mean_ema": {
            "average": np.expand_dims(running_mean, (0,)),
            "hidden": np.expand_dims(running_mean, (0,)) * 0,
            "counter": np.zeros((), np.int32),
        },
        "bn/~/var_ema": {
            "average": np.expand_dims(running_var, (0,)),
            "hidden": np.expand_dims(running_var, (0,)) * 0,
            "counter": np.zeros((), np.int32),
        },
    }


    @jax.jit
    def step(params, state, x):
        return network(params, state, x)


    data = x
    y, state = step(params, state, data)
    answer = y
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('haiku.batchnorm: BN-REJECT-5 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "haiku", haiku.__version__)

if answer is None:
    print(f"expected: an error\ngot:      {message[:1000]}")
    sys.exit(0)
print(f"expected: an error, for the running statistics have 1 value for 3 channels")
print(f"got:      an answer of shape {tuple(answer.shape)}")
sys.exit(1)
