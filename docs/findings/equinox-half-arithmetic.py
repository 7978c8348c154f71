"""equinox.batch: BN-STATE-6 does not hold for running_mean.

BN-STATE-6 (MUST): A zero-debiased average begins at h = 0 and is h / (1 - decay^t), where
documented.

Found: expected 0.00100040436, got 0.00101327884 at [1]: 13.3 times the bound 9.66e-07

On bnconform 0.1.0, equinox 0.13.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 04f994effbe0c395, divergence 3f347ba9bb3f.

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
x = np.array([[1.0, 0.001]], np.float16)
running_mean = np.array([0.9632108, -0.474458], np.float32)
running_var = np.array([1.3788264, 0.6258232], np.float32)

# The call.
layer, state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(
    2,
    "batch",
    eps=0.001,
    momentum=0.999,
    channelwise_affine=False,
    dtype=jax.numpy.float32,
    mode="batch",
)
affine = ()


def call_layer(affine, state, x, inference):
    made = layer
    x = x

    def sample(x):
        return made(x, state, inference=inference)

    batch = jax.vmap(sample, axis_name="batch", out_axes=(0, None))
    y, new = batch(x)
    return y, new


step = jax.jit(call_layer, static_argnums=3)
data = x
y, state = step(affine, state, data, False)
# What inference makes of the hidden average.
answer = state.get(layer.batch_state_index)[0] / (1 - 0.999 ** state.get(layer.batch_counter))

print('equinox.batch: BN-STATE-6 does not hold for running_mean.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "equinox", equinox.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([1.0, 0.0010004043579101562], np.float64)
bound = np.array([0.0009064509251498998, 9.663731247132965e-07], np.float64)
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
    mean, var = running_mean.astype(float) * 0, running_var.astype(float) * 0
    mean = 0.999 * mean + (1 - 0.999) * x.astype(float).mean((0,))
    var = 0.999 * var + (1 - 0.999) * x.astype(float).var((0,))
    mean, var = mean / (1 - 0.999 ** 1), var / (1 - 0.999 ** 1)
    plain = mean

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"running_mean at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
