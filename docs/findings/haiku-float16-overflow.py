"""haiku.batchnorm: BN-STATE-6 does not hold for running_var.

BN-STATE-6 (MUST): A zero-debiased average begins at h = 0 and is h / (1 - decay^t), where
documented.

Found: expected 0, got nan at [2]: inf times the bound 2.44e+03

On bnconform 0.1.0, dm-haiku 0.0.17, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case f416dc8ef8a356c4, divergence 856882b8f4d4.

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
x = np.array([[1.0, 0.001, 1e+03]], np.float16)
running_mean = np.array([0.9632108, -0.474458, 1000.49384], np.float32)
running_var = np.array([1.3788264, 0.6258232, 0.6982653], np.float32)

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
answer = state["bn/~/var_ema"]["average"]

print('haiku.batchnorm: BN-STATE-6 does not hold for running_var.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "haiku", haiku.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([0.0, 0.0, 0.0], np.float64)
# 1.797e308, the largest number: any finite answer will do.
bound = np.array([
    1.7976931348623157e+308, 6.216957849075992e-08, 1.7976931348623157e+308,
], np.float64)
got = np.asarray(answer).astype(np.float64).squeeze((0,))
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
# Beyond 3.4028234663852886e+38 the format has only infinity.
with np.errstate(all="ignore"):
    beyond = np.abs(expected) + bound >= 3.4028234663852886e+38
ratio = np.where(beyond & (got == np.copysign(np.inf, expected)), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

# The same by plain NumPy in float64, for comparison: it decides nothing.
with np.errstate(all="ignore"):
    mean, var = running_mean.astype(float) * 0, running_var.astype(float) * 0
    mean = 0.5 * mean + (1 - 0.5) * x.astype(float).mean((0,))
    var = 0.5 * var + (1 - 0.5) * x.astype(float).var((0,))
    mean, var = mean / (1 - 0.5 ** 1), var / (1 - 0.5 ** 1)
    plain = var

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"running_var at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
