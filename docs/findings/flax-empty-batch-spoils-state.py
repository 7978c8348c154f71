"""flax.linen: BN-EDGE-3 does not hold for running_mean.

BN-EDGE-3 (SHOULD): An empty batch, where accepted, leaves the running statistics alone.

Found: expected -55277440, got nan at [0]: inf times the bound 0

On bnconform 0.1.0, flax 0.12.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 048d3bd3cc69145d, divergence 422c0cb4cc76.

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
x = np.zeros((0, 8), np.float32)
running_mean = np.array([
    -5.527744e+07, -5.410199e+07, 6.3751244e+07, 1.7673891e+08, -1.301744e+08,
    -1.4909934e+08, -2.1048032e+08, -1.9055992e+08,
], np.float32)
running_var = np.array([
    1.1416902e+16, 3.2093572e+16, 2.7409397e+14, 5.1021883e+14, 1.2706956e+14,
    1.0761565e+16, 4.7828235e+15, 2.8802367e+15,
], np.float32)

# The call.
params = {}
stats = {"mean": running_mean, "var": running_var}
layer = linen.BatchNorm(
    use_running_average=False,
    axis=(-1,),
    momentum=0.9,
    epsilon=1.001e-05,
    use_scale=False,
    use_bias=False,
    param_dtype=jax.numpy.float32,
)


@jax.jit
def step(params, stats, x):
    variables = {"params": params, "batch_stats": stats}
    y, new = layer.apply(variables, x, mutable=["batch_stats"])
    return y, new["batch_stats"]


data = x
y, stats = step(params, stats, data)
answer = stats["mean"]

print('flax.linen: BN-EDGE-3 does not hold for running_mean.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "linen", __import__('flax').__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([
    -55277440.0, -54101992.0, 63751244.0, 176738912.0, -130174400.0, -149099344.0,
    -210480320.0, -190559920.0,
], np.float64)
bound = np.full((8,), 0.0, np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"running_mean at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
