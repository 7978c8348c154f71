"""haiku.batchnorm: BN-EDGE-6 does not hold for y.

BN-EDGE-6 (MUST): A constant channel gives y = beta within its bound, never NaN.

Found: expected 0, got nan at [0, 0]: inf times the bound 383

On bnconform 0.1.0, dm-haiku 0.0.17, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 4dcc050d0a20fe36, divergence a5497358f2b4.

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
x = np.array([[1.2344e+04], [1.2344e+04]], np.float16)
running_mean = np.array([12345.954], np.float32)
running_var = np.array([1.146168], np.float32)

# The call.
def network(x):
    layer = haiku.BatchNorm(
        create_scale=False,
        create_offset=False,
        decay_rate=0.5,
        eps=0.001,
        data_format="channels_first",
        name="bn",
    )
    return layer(x, is_training=True)


network = haiku.without_apply_rng(haiku.transform_with_state(network)).apply
params = {
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

print('haiku.batchnorm: BN-EDGE-6 does not hold for y.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "haiku", haiku.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([[0.0], [0.0]], np.float64)
# 1.797e308, the largest number: any finite answer will do.
bound = np.array([[1.7976931348623157e+308], [1.7976931348623157e+308]], np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
# Beyond 65504.0 the format has only infinity.
with np.errstate(all="ignore"):
    beyond = np.abs(expected) + bound >= 65504.0
ratio = np.where(beyond & (got == np.copysign(np.inf, expected)), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

# The same by plain NumPy in float64, for comparison: it decides nothing.
with np.errstate(all="ignore"):
    x64 = x.astype(float)
    mean, var = x64.mean((0,), keepdims=True), x64.var((0,), keepdims=True)
    xhat = (x64 - mean) / np.sqrt(var + 0.001)
    plain = xhat

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"y at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
