"""keras.jax: BN-AXIS-3 does not hold for the call.

BN-AXIS-3 (MUST): A feature axis of another size than the parameters is rejected, 1 too.

Found: accepted the call (1 channel where parameters and statistics have 3), and answered y of
shape (6, 3, 4, 5)

On bnconform 0.1.0, jax 0.10.2, jaxlib 0.10.2, keras 3.15.1, numpy 2.4.6, python 3.11.7.

Case 07f7ef6d7ad23fcc, divergence ef88d7eea18c.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import base64
import os
import sys

import numpy as np

os.environ["KERAS_BACKEND"] = "jax"
try:
    import jax

    jax.config.update("jax_enable_x64", True)
    import keras
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.frombuffer(base64.b64decode(
    "2Ox6QD6hGkGvE8FAPyHbvzFa/EAeKRxB9X2dQHGy20BaUo1ACNYHQZ8pGMA4PoxBNVSfQHf6UUCzStlA8GPrQL"
    "VugEEcCABBqbH8QLH7DEGmpR5BHLcJQWS8KkH7TR3AfUXeQMSCF0GmNFhBvp6LQIYwTEFD9CVBk/SmP+doakA8"
    "Cz5BMYHyQMGTckFSApFAdoS6QP+IrkD04RNB/e0UQWRpN0HQAChAUIRaQINP50Dtw0pBG0OOQGb1IkE4Lh9Av4"
    "BBQSzOgcCBG7dAxL8rQTWHg0CcpjpBjFk1QblPA0HyIkRB8BzmQCvd8EBEVhFB9JwLQeRD3752+2FBkLqiQNZm"
    "uz9j+DFBqXutQOzoBEHafjk/gxnWP5Sbm0Apnm1B8RBhQPWCEEG0hghBHjX/QKqeUUBoyKdANy71QLoy80Dc1B"
    "lBaVAFQdmpg0CCBSJBwG3BQIrXj0AsqK5AzfsjQbOzZj6g/x9Boi80QV24jj9IUhJB/34HQaj8Z0Eltm1AMzpU"
    "QWhWHkEvikJBguQiQbZhST+Rl1FBfLeUQJ+jK0FarKZAswJvQBt8M0D2JQpB9tGdQHhrzEA6OXxBMxU7QDpnN0"
    "GpR7xAfVgcQED550Co4FJBNv83QbleHUETTAdA"
), "<f4").reshape((6, 1, 4, 5)).copy()
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    layer = keras.layers.BatchNormalization(
        axis=1,
        momentum=0.9,
        epsilon=0.001,
        center=True,
        scale=True,
        dtype="float32",
    )
    layer.build((None, 3, 4, 5))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    layer.moving_mean.assign(running_mean)
    layer.moving_variance.assign(running_var)

    affine = [variable.value for variable in (layer.gamma, layer.beta) if variable is not None]
    state = [variable.value for variable in layer.non_trainable_variables]


    def call_layer(affine, state, x, training):
        y, new = layer.stateless_call(
            affine, state, x, training=training
        )
        return y, new[-len(state) :]


    step = jax.jit(call_layer, static_argnames="training")
    data = x
    y, state = step(affine, state, data, training=False)
    answer = y
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('keras.jax: BN-AXIS-3 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "jax", jax.__version__)

if answer is None:
    print(f"expected: an error\ngot:      {message[:1000]}")
    sys.exit(0)
print(f"expected: an error, for 1 channel where parameters and statistics have 3")
print(f"got:      an answer of shape {tuple(answer.shape)}")
sys.exit(1)
