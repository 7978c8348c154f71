"""flax.linen: BN-EDGE-2 does not hold for dgamma.

BN-EDGE-2 (MUST): An empty training batch gives empty outputs or is rejected, as documented.

Found: expected 0, got nan at [0]: inf times the bound 0

On bnconform 0.1.0, flax 0.12.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case ea32a54402daa75d, divergence dee24ad2e6df.

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
x = np.zeros((0, 1), np.float32)
dy = np.zeros((0, 1), np.float32)
gamma = np.array([0.26495883], np.float32)
running_mean = np.array([6.7807484], np.float32)
running_var = np.array([22.061222], np.float32)

# The call.
params = {"scale": gamma}
stats = {"mean": running_mean, "var": running_var}
layer = linen.BatchNorm(
    use_running_average=False,
    axis=(1,),
    momentum=0.5,
    epsilon=0.001,
    use_scale=True,
    use_bias=False,
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
answer = gradients[0]["scale"]

print('flax.linen: BN-EDGE-2 does not hold for dgamma.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "linen", __import__('flax').__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([0.0], np.float64)
bound = np.array([0.0], np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dgamma at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
