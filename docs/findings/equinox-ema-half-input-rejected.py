"""equinox.ema: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

Found: raised TypeError: lax.select requires arguments to have the same dtypes, got float32,
float16. (Tip: jnp.where is a similar function that does automatic type promotion on inputs).

On bnconform 0.1.0, equinox 0.13.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 0156c3fca44ce6e0, divergence 9fc7cc75c042.

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
x = np.zeros((5, 0, 3, 1), np.float16)
dy = np.zeros((5, 0, 3, 1), np.float16)
gamma = np.zeros((0,), np.float32)
beta = np.zeros((0,), np.float32)
running_mean = np.zeros((0,), np.float32)
running_var = np.zeros((0,), np.float32)

# The call.
def call():
    layer, state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(
        0,
        "batch",
        eps=0.1,
        momentum=0.999,
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
    answer = gradients[1]
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('equinox.ema: BN-CALL-1 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "equinox", equinox.__version__)

if answer is not None:
    print("expected: an answer\ngot:      an answer")
    sys.exit(0)
print(f"expected: an answer\ngot:      {message[:1000]}")
sys.exit(1)
