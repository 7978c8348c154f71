"""flax.linen: BN-EDGE-3 does not hold for running_mean.

BN-EDGE-3 (SHOULD): An empty batch, where accepted, leaves the running statistics alone.

Found: expected 0.626933575, got nan at [0]: inf times the bound 0

On bnconform 0.1.0, flax 0.12.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 07728abaaaf7b068, divergence a7a1962beab7.

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
    [
        [7.878527, -4.1323113, -2.0755594],
        [1.4262527, -3.770974, -2.0521963],
        [3.46097, -8.314333, -0.81838393],
    ],
    [
        [3.5720775, -7.914515, -1.6232796],
        [8.164278, -9.504802, -0.3781558],
        [2.3164878, -4.132417, -0.27365544],
    ],
    [
        [2.1051614, -3.8637927, -2.2563074],
        [3.6599276, -14.559616, -1.6693983],
        [8.482589, -10.877842, -2.0428932],
    ],
    [
        [-0.541229, -7.9746675, -1.4855316],
        [-0.9952795, -7.9595504, -1.2391603],
        [-0.31785095, -2.7216363, -0.3622191],
    ],
    [
        [1.9300956, -6.764219, -1.3491843],
        [4.4534326, -5.7273555, -1.892882],
        [5.794652, -11.189599, -1.6467222],
    ],
    [
        [3.4201634, -2.571625, -1.4307706],
        [4.872279, -2.3938107, -2.288683],
        [2.262467, -10.387214, 0.10644667],
    ],
    [
        [0.07572998, -4.3761983, -0.91987133],
        [6.552848, -8.3021755, -1.4670312],
        [2.4814048, -1.2226881, -2.6623363],
    ],
], np.float32)
mask = np.full((7, 3, 1), False, np.bool_)
gamma = np.array([-0.12600562, -0.13216358, -0.5859498], np.float32)
beta = np.array([-1.9162359, 1.0127071, 0.8457285], np.float32)
running_mean = np.array([0.6269336, -6.316141, -0.44607836], np.float32)
running_var = np.array([11.3914175, 9.333248, 1.0224528], np.float32)

# The call.
params = {"scale": gamma, "bias": beta}
stats = {"mean": running_mean, "var": running_var}
layer = linen.BatchNorm(
    use_running_average=False,
    axis=(-1,),
    momentum=0.99,
    epsilon=1e-05,
    use_scale=True,
    use_bias=True,
    param_dtype=jax.numpy.float32,
)


@jax.jit
def step(params, stats, x, mask):
    variables = {"params": params, "batch_stats": stats}
    y, new = layer.apply(variables, x, mask=mask, mutable=["batch_stats"])
    return y, new["batch_stats"]


data = x
y, stats = step(params, stats, data, mask)
answer = stats["mean"]

print('flax.linen: BN-EDGE-3 does not hold for running_mean.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "linen", __import__('flax').__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([0.6269335746765137, -6.316141128540039, -0.446078360080719], np.float64)
bound = np.array([0.0, 0.0, 0.0], np.float64)
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
