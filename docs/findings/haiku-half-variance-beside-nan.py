"""haiku.batchnorm: BN-EDGE-4 does not hold for dx.

BN-EDGE-4 (MUST): A NaN or an infinity never reaches another channel.

Found: expected 0.148952279, got nan at [0, 1, 0]: inf times the bound 1.94e+03

On bnconform 0.1.0, dm-haiku 0.0.17, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 9a502f3b3daaffb1, divergence 1efb34ea1684.

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
    [[-4.266, -2.807], [0.498, 1.126]],
    [[np.nan, -3.13], [0.529, -0.945]],
], np.float16)
dy = np.array([
    [[0.2856, -1.004], [0.7188, 0.3462]],
    [[0.2708, 1.541], [0.6035, -0.4414]],
], np.float16)
running_mean = np.array([[-2.7392204, -1.3661752], [0.96575475, -1.0762717]], np.float32)
running_var = np.array([[5.8342023, 1.6542314], [0.34283283, 21.993814]], np.float32)

# The call.
def network(x):
    layer = haiku.BatchNorm(
        create_scale=False,
        create_offset=False,
        decay_rate=0.5,
        eps=1.001e-05,
        axis=(0,),
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
before = state
y, state = step(params, state, data)


@jax.jit
def differentiated(params, data, dy):
    y, pull = jax.vjp(lambda params, data: step(params, before, data)[0], params, data)
    return pull(dy.astype(y.dtype))


gradients = differentiated(params, data, dy)
answer = gradients[1]

print('haiku.batchnorm: BN-EDGE-4 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "haiku", haiku.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([
    [
        [np.nan, -0.002988175162042503],
        [0.14895227948991097, 3.5512188788338405e-06],
    ],
    [
        [np.nan, 0.002988175162042503],
        [-0.14895227948991097, -3.5512188788338405e-06],
    ],
], np.float64)
# 1.797e308, the largest number: any finite answer will do.
# Infinity: this element is not looked at.
bound = np.array([
    [
        [np.inf, 149.74196856148495],
        [1.7976931348623157e+308, 0.003973164872015031],
    ],
    [
        [np.inf, 150.1641919274462],
        [1.7976931348623157e+308, 0.00402263164378903],
    ],
], np.float64)
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
    xhat = (x64 - mean) / np.sqrt(var + 1.001e-05)
    g = dy.astype(float)
    g_mean, gx_mean = g.mean((0,), keepdims=True), (g * xhat).mean((0,), keepdims=True)
    plain = 1.0 / np.sqrt(var + 1.001e-05) * (g - g_mean - xhat * gx_mean)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dx at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
