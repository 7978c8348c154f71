"""torch.module: BN-HALF-3 does not hold for dgamma.

BN-HALF-3 (MUST): Gradients have the formats of what they belong to.

Found: expected 0, got nan at [1]: inf times the bound 651

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, torch 2.13.0+cpu.

Case 50fb8375839eaf9a, divergence 0326ffc59a50.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.array([[487.0, 18.2, 5.434], [1.796, 1.796, 1.796]], np.float16)
dy = np.array([[-0.7397, 1.155, 0.001083], [0.828, 0.4895, -2.045]], np.float16)
# In memory, there is a gap after every value (strided).
dy = np.repeat(dy, 2, axis=-1)[..., ::2]
gamma = np.array([0.8047, -2.537], np.float16)
beta = np.array([-1.34, -0.0256], np.float16)
running_mean = np.array([12.82, 1.876], np.float16)
running_var = np.array([134.1, 0.905], np.float16)

# The call.
layer = torch.nn.BatchNorm1d(
    2,
    eps=1e-12,
    momentum=None,
    affine=True,
    dtype=torch.float16,
)
with torch.no_grad():
    layer.weight.copy_(torch.from_numpy(gamma))
    layer.bias.copy_(torch.from_numpy(beta))
    layer.running_mean.copy_(torch.from_numpy(running_mean))
    layer.running_var.copy_(torch.from_numpy(running_var))
layer.train()
data = torch.from_numpy(x)
y = layer(data.movedim(0, 1)).movedim(1, 0)
upstream = torch.from_numpy(dy)
answer = torch.autograd.grad(y, layer.weight, upstream)[0]

print('torch.module: BN-HALF-3 does not hold for dgamma.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "torch", torch.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([-1.8304331176760429, 0.0], np.float64)
bound = np.array([0.006046642799051223, 651.3877705081559], np.float64)
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
    x64 = x.astype(float)
    mean, var = x64.mean((1,), keepdims=True), x64.var((1,), keepdims=True)
    xhat = (x64 - mean) / np.sqrt(var + 1e-12)
    g = dy.astype(float)
    plain = (g * xhat).sum((1,))

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dgamma at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
