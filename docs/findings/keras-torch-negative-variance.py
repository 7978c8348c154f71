"""keras.torch: BN-GRAD-1 does not hold for dx.

BN-GRAD-1 (MUST): dx = gamma r (g - mean g - xhat mean(g xhat)), through the statistics.

Found: expected -0.00994552381, got nan at [0, 0]: inf times the bound 1.45e+04

On bnconform 0.1.0, keras 3.15.1, numpy 2.4.6, python 3.11.7, torch 2.13.0+cpu.

Case b1747b47c0b44f8f, divergence 4478f57bd1cd.

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
x = np.array([[3001.4897], [3000.6692]], np.float32)
dy = np.array([[-0.8551373], [0.5308268]], np.float32)
running_mean = np.array([3000.0996], np.float32)
running_var = np.array([1.6966507], np.float32)

# The call.
layer = keras.layers.BatchNormalization(
    axis=1,
    momentum=0.5,
    epsilon=0.001,
    center=False,
    scale=False,
    dtype="float32",
)
layer.build((None, 1))
layer.moving_mean.assign(running_mean)
layer.moving_variance.assign(running_var)
data = torch.from_numpy(x).requires_grad_()
y = layer(data, training=True)
upstream = torch.from_numpy(dy)
answer = torch.autograd.grad(y, data, upstream)[0]

print('keras.torch: BN-GRAD-1 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "torch", torch.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([[-0.009945523805463487], [0.009945523805463487]], np.float64)
# 1.797e308, the largest number: any finite answer will do.
bound = np.array([[1.7976931348623157e+308], [1.7976931348623157e+308]], np.float64)
got = answer.detach().to(torch.float64).numpy()
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
# Beyond 3.4028234663852886e+38 the format has only infinity.
with np.errstate(all="ignore"):
    beyond = np.abs(expected) + bound >= 3.4028234663852886e+38
ratio = np.where(beyond & (got == np.copysign(np.inf, expected)), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

# The same by plain NumPy in float64, for comparison: it decides nothing.
with np.errstate(all="ignore"):
    x64 = x.astype(float)
    mean, var = x64.mean((0,), keepdims=True), x64.var((0,), keepdims=True)
    xhat = (x64 - mean) / np.sqrt(var + 0.001)
    g = dy.astype(float)
    g_mean, gx_mean = g.mean((0,), keepdims=True), (g * xhat).mean((0,), keepdims=True)
    plain = 1.0 / np.sqrt(var + 0.001) * (g - g_mean - xhat * gx_mean)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dx at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
