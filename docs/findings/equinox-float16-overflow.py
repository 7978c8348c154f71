"""equinox.batch: BN-HALF-3 does not hold for dx.

BN-HALF-3 (MUST): Gradients have the formats of what they belong to.

Found: expected 0, got nan at [0, 0]: inf times the bound 2.98e-07

On bnconform 0.1.0, equinox 0.13.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 21ec6f3e9a29872e, divergence 4eace8a4e8df.

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
x = np.array([[0.0002, 0.0002, 0.0002], [-0.0004, -0.0004, -0.0004]], np.float16)
dy = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0]], np.float16)
gamma = np.array([0.3218, -0.7646], np.float16)
beta = np.array([-0.007057, -1.402], np.float16)
running_mean = np.array([0.11554, -0.1228], np.float16)
running_var = np.array([0.524, 0.682], np.float16)

# The call.
layer, state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(
    2,
    "batch",
    eps=1.001e-05,
    momentum=0.999,
    channelwise_affine=True,
    dtype=jax.numpy.float16,
    mode="batch",
)
affine = (gamma, beta)


def call_layer(affine, state, x, inference):
    made = layer
    made = equinox.tree_at(lambda each: (each.weight, each.bias), layer, affine)
    x = jax.numpy.moveaxis(x, 0, 1)

    def sample(x):
        return made(x, state, inference=inference)

    batch = jax.vmap(sample, axis_name="batch", out_axes=(0, None))
    y, new = batch(x)
    return jax.numpy.moveaxis(y, 1, 0), new


step = jax.jit(call_layer, static_argnums=3)
data = x
before = state
y, state = step(affine, state, data, False)


@jax.jit
def differentiated(affine, data, dy):
    y, pull = jax.vjp(lambda affine, data: step(affine, before, data, False)[0], affine, data)
    return pull(dy.astype(y.dtype))


gradients = differentiated(affine, data, dy)
answer = gradients[1]

print('equinox.batch: BN-HALF-3 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "equinox", equinox.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([
    [0.0, 0.0, 0.0],
    [-241.68225624595405, 120.84112812297703, 120.84112812297703],
], np.float64)
bound = np.array([
    [
        2.9813963919878006e-07, 2.9813963919878006e-07, 2.9813963919878006e-07,
    ],
    [2.2518518207495717, 0.8897976015250773, 0.8897976015250773],
], np.float64)
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
    x64 = x.astype(float)
    mean, var = x64.mean((1,), keepdims=True), x64.var((1,), keepdims=True)
    xhat = (x64 - mean) / np.sqrt(var + 1.001e-05)
    scaled = gamma.astype(float).reshape((2, 1))
    g = dy.astype(float)
    g_mean, gx_mean = g.mean((1,), keepdims=True), (g * xhat).mean((1,), keepdims=True)
    plain = scaled / np.sqrt(var + 1.001e-05) * (g - g_mean - xhat * gx_mean)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dx at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
