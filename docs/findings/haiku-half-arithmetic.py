"""haiku.batchnorm: BN-INFER-1 does not hold for y.

BN-INFER-1 (MUST): y = gamma (x - rm) / sqrt(rv + epsilon) + beta, whatever the batch.

Found: expected -0.110473299, got -0.0888184085 at [0, 0]: 5.57 times the bound 0.00389

On bnconform 0.1.0, dm-haiku 0.0.17, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 00b691a779816588, divergence e79ad51a0c31.

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
# bfloat16 values are written as float32, which holds them exactly.
x = np.array([[-10.125, 11.0]], np.float32)
gamma = np.array([0.9850438, -1.3973206], np.float32)
running_mean = np.array([-9.969408, 10.733524], np.float32)
running_var = np.array([1.9237343, 0.93491465], np.float32)

# The call.
def network(x):
    layer = haiku.BatchNorm(
        create_scale=True,
        create_offset=False,
        decay_rate=0.9,
        eps=0.001,
        data_format="channels_first",
        name="bn",
    )
    return layer(x, is_training=False)


network = haiku.without_apply_rng(haiku.transform_with_state(network)).apply
params = {
    "bn": {
        "scale": np.expand_dims(gamma, (0,)),
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


data = jax.numpy.asarray(x, jax.numpy.bfloat16)
y, state = step(params, state, data)
answer = y

print('haiku.batchnorm: BN-INFER-1 does not hold for y.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "haiku", haiku.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([[-0.11047329903617936, -0.38488902112757933]], np.float64)
bound = np.array([[0.003886879294026594, 0.013538068022282659]], np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

# The same by plain NumPy in float64, for comparison: it decides nothing.
with np.errstate(all="ignore"):
    mean, var = running_mean.astype(float), running_var.astype(float)
    x64 = x.astype(float)
    mean, var = mean.reshape((1, 2)), var.reshape((1, 2))
    xhat = (x64 - mean) / np.sqrt(var + 0.001)
    scaled = gamma.astype(float).reshape((1, 2))
    plain = xhat * scaled

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"y at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
