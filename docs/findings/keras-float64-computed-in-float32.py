"""keras.torch: BN-INFER-4 does not hold for dx.

BN-INFER-4 (MUST): In inference dx = gamma g / sqrt(rv + epsilon).

Found: expected -5.42069329e-61, got -0 at [0, 0]: 1e+15 times the bound 5.42e-76

On bnconform 0.1.0, keras 3.15.1, numpy 2.4.6, python 3.11.7, torch 2.13.0+cpu.

Case 4a2b2e28296a522b, divergence 552e16d42f45.

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
x = np.array([[2.854707746471415e+58]], np.float64)
dy = np.array([[-0.159129111033586]], np.float64)
running_mean = np.array([2.0729973358091726e+59], np.float64)
running_var = np.array([8.617664919420253e+118], np.float64)

# The call.
layer = keras.layers.BatchNormalization(
    axis=1,
    momentum=0.5,
    epsilon=0.001,
    center=False,
    scale=False,
    dtype="float64",
)
layer.build((None, 1))
layer.moving_mean.assign(running_mean)
layer.moving_variance.assign(running_var)
data = torch.from_numpy(x).requires_grad_()
y = layer(data, training=False)
upstream = torch.from_numpy(dy)
answer = torch.autograd.grad(y, data, upstream)[0]

print('keras.torch: BN-INFER-4 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "torch", torch.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([[-5.4206932887044594e-61]], np.float64)
bound = np.array([[5.4163606486956764e-76]], np.float64)
got = answer.detach().to(torch.float64).numpy()
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
    plain = 1.0 / np.sqrt(var + 0.001) * g

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dx at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
