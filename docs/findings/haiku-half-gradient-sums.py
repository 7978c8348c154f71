"""haiku.batchnorm: BN-HALF-3 does not hold for dbeta.

BN-HALF-3 (MUST): Gradients have the formats of what they belong to.

Found: expected -0.194213867, got -0.194091797 at [0]: 1.28 times the bound 9.51e-05

On bnconform 0.1.0, dm-haiku 0.0.17, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case a00ba30bd3354fc7, divergence 7d285d9fa4f3.

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
x = np.array([[3.92], [9.664], [6.035]], np.float16)
dy = np.array([[-0.1592], [-0.07306], [0.03802]], np.float16)
beta = np.array([1.289], np.float16)
running_mean = np.array([6.78], np.float16)
running_var = np.array([22.06], np.float16)

# The call.
def network(x):
    layer = haiku.BatchNorm(
        create_scale=False,
        create_offset=True,
        decay_rate=0.5,
        eps=0.001,
        data_format="channels_first",
        name="bn",
    )
    return layer(x, is_training=False)


network = haiku.without_apply_rng(haiku.transform_with_state(network)).apply
params = {
    "bn": {
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
before = state
y, state = step(params, state, data)


@jax.jit
def differentiated(params, data, dy):
    y, pull = jax.vjp(lambda params, data: step(params, before, data)[0], params, data)
    return pull(dy.astype(y.dtype))


gradients = differentiated(params, data, dy)
answer = gradients[0]["bn"]["offset"]

print('haiku.batchnorm: BN-HALF-3 does not hold for dbeta.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "haiku", haiku.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([-0.1942138671875], np.float64)
bound = np.array([9.51001135110264e-05], np.float64)
got = np.asarray(answer).astype(np.float64).squeeze((0,))
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
    mean, var = mean.reshape((1, 1)), var.reshape((1, 1))
    xhat = (x64 - mean) / np.sqrt(var + 0.001)
    g = dy.astype(float)
    plain = g.sum((0,))

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dbeta at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
