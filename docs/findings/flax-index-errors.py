"""flax.linen: BN-REJECT-10 does not hold for the call.

BN-REJECT-10 (SHOULD): A rejection says which argument is wrong, or what arrived.

Found: says neither which argument is wrong nor what arrived: IndexError: tuple index out of
range

On bnconform 0.1.0, flax 0.12.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 1a561ab7c5330636, divergence f8f6afa10010.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import jax
    from flax import linen

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
dy = np.array([
    [-0.15912911, -0.24703202, -0.13277937],
    [-0.07307623, -0.18883532, -0.7371053],
    [0.038031355, -0.52266026, -1.2296894],
    [0.5744611, -0.7756916, 1.5151491],
    [-0.51074076, 0.6169061, 0.9152897],
    [0.8917943, -1.7419101, -1.3123592],
], np.float32)
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    params = {"scale": gamma, "bias": beta}
    stats = {"mean": running_mean, "var": running_var}
    layer = linen.BatchNorm(
        use_running_average=False,
        axis=(2,),
        momentum=0.9,
        epsilon=0.001,
        use_scale=True,
        use_bias=True,
        param_dtype=jax.numpy.float32,
    )


    @jax.jit
    def step(params, stats, x):
        variables = {"params": params, "batch_stats": stats}
        y, new = layer.apply(variables, x, mutable=["batch_stats"])
        return y, new["batch_stats"]


    data = x
    before = stats
    y, stats = step(params, stats, data)


    @jax.jit
    def differentiated(params, data, dy):
        y, pull = jax.vjp(lambda params, data: step(params, before, data)[0], params, data)
        return pull(dy.astype(y.dtype))


    gradients = differentiated(params, data, dy)
    answer = gradients[1]
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('flax.linen: BN-REJECT-10 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "linen", __import__('flax').__version__)

if answer is not None:
    print("expected: an error\ngot:      an answer")
    sys.exit(0)
# A message is clear that names the argument or what arrived.
words = ('axis', 'axes', 'dim', 'rank')
clear = any(word in message.lower() for word in words)
print(f"expected: an error about the axis is the input's rank, with one of the words {', '.join(words)}")
print(f"got:      {message[:1000]}")
sys.exit(0 if clear else 1)
