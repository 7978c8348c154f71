"""keras.torch: BN-REJECT-8 does not hold for the call.

BN-REJECT-8 (SHOULD): A momentum outside [0, 1] is rejected.

Found: accepted the call (the old value weighs -0.5, the new one 1.5), and answered y of shape
(6, 3) by the equations

On bnconform 0.1.0, keras 3.15.1, numpy 2.4.6, python 3.11.7, torch 2.13.0+cpu.

Case b0f24eaad4a8f2cf, divergence 74ffc5d5f32b.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
try:
    import keras
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.array([
    [3.9207058, -5.842868, 5.822578],
    [9.664366, -3.8989608, 4.124461],
    [6.033653, -6.348191, 7.6339173],
    [-1.7119521, -2.274739, 8.199498],
    [7.8860097, -13.142034, 16.897604],
    [9.760038, 6.7658877, 8.84553],
], np.float32)
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    layer = keras.layers.BatchNormalization(
        axis=1,
        momentum=-0.5,
        epsilon=0.001,
        center=True,
        scale=True,
        dtype="float32",
    )
    layer.build((None, 3))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    layer.moving_mean.assign(running_mean)
    layer.moving_variance.assign(running_var)
    data = torch.from_numpy(x)
    y = layer(data, training=True)
    answer = y
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('keras.torch: BN-REJECT-8 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "torch", torch.__version__)

if answer is None:
    print(f"expected: an error\ngot:      {message[:1000]}")
    sys.exit(0)
print(f"expected: an error, for the old value weighs -0.5, the new one 1.5")
print(f"got:      an answer of shape {tuple(answer.shape)}")
sys.exit(1)
