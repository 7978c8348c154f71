"""torch.module: BN-PORT-5 does not hold for y_folded_half_no_variance.

BN-PORT-5 (MUST): Folded into a linear layer before it, w = gamma / sqrt(rv + epsilon), the output
stays the same.

The module adds epsilon in float32, folding in the parameters' format: in float16 an epsilon below
3e-8 is 0 beside a running variance of 0, and the folded weight infinite.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys

import numpy as np

try:
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: all of the deviation is epsilon's.
x, gamma, variance, epsilon = 1.0, 0.25, 0.0, 2.0**-26
convolution = torch.nn.Conv2d(1, 1, 1, dtype=torch.float16).eval()
layer = torch.nn.BatchNorm2d(1, eps=epsilon, dtype=torch.float16).eval()
with torch.no_grad():
    convolution.weight.fill_(1.0)
    convolution.bias.zero_()
    layer.weight.fill_(gamma)
    layer.running_var.fill_(variance)

# The call.
fused = torch.nn.utils.fusion.fuse_conv_bn_eval(convolution, layer)
data = torch.full((1, 1, 1, 1), x, dtype=torch.float16)
with torch.no_grad():
    got, control = fused(data).item(), layer(convolution(data)).item()

# The same by plain NumPy in float64; float16 holds it.
expected = gamma * np.float64(x) / np.sqrt(np.float64(variance) + epsilon)

print("torch.module: BN-PORT-5 does not hold for y_folded_half_no_variance.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "torch", torch.__version__,
)  # fmt: skip
print("expected               ", float(expected))
print("got                    ", got, "(fuse_conv_bn_eval)")
print("weight that was folded ", fused.weight.item())
print("the layers, as they are", control)
sys.exit(0 if np.isclose(got, expected, rtol=2.0**-9) else 1)
