"""equinox.ema: BN-GRAD-4 does not hold for dbeta.

BN-GRAD-4 (MUST): Training by running statistics differentiates through the batch's share of
them.

Found: expected 2.09998868e-38, got 0 at [0]: 1.79 times the bound 1.18e-38

On bnconform 0.1.0, equinox 0.13.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 6b49ac1180d4b47e, divergence 11c80b9f1338.

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
x = np.full((7, 1, 2, 5, 3), 1e-40, np.float32)
dy = x  # the same buffer
gamma = np.array([1.8008547], np.float32)
beta = np.array([0.73662955], np.float32)
running_mean = np.array([-0.21559471], np.float32)
running_var = np.array([0.9333937], np.float32)

# The call.
layer, state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(
    1,
    "batch",
    eps=1e-07,
    momentum=0.99,
    channelwise_affine=True,
    dtype=jax.numpy.float32,
    mode="ema",
)
affine = (gamma, beta)
# A layer that has been trained before.
state = state.set(layer.ema_first_time_index, np.zeros((), bool))
statistics = (running_mean, running_var)
state = state.set(layer.ema_state_index, statistics)


def call_layer(affine, state, x, inference):
    made = layer
    made = equinox.tree_at(lambda each: (each.weight, each.bias), layer, affine)
    x = x

    def sample(x):
        return made(x, state, inference=inference)

    batch = jax.vmap(sample, axis_name="batch", out_axes=(0, None))
    y, new = batch(x)
    return y, new


step = jax.jit(call_layer, static_argnums=3)
data = x
before = state
y, state = step(affine, state, data, False)


@jax.jit
def differentiated(affine, data, dy):
    y, pull = jax.vjp(lambda affine, data: step(affine, before, data, False)[0], affine, data)
    return pull(dy.astype(y.dtype))


gradients = differentiated(affine, data, dy)
answer = gradients[0][1]

print('equinox.ema: BN-GRAD-4 does not hold for dbeta.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "equinox", equinox.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([2.0999886812340995e-38], np.float64)
bound = np.array([1.1755235156210815e-38], np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dbeta at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
