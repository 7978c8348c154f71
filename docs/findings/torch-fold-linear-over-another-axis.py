"""torch.module: BN-PORT-5 does not hold for y_folded.

BN-PORT-5 (MUST): Folded into a linear layer before it, w = gamma / sqrt(rv + epsilon), the output
stays the same.

A linear layer works on the last axis, batch norm on axis 1. fuse_linear_bn_eval and
torch.jit.freeze scale the last axis wherever the two have one length.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys
import warnings

import numpy as np

try:
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: a linear layer that changes nothing, and batch norm that halves one of two channels.
x = np.ones((1, 2, 2), np.float32)
variance, epsilon = np.array([1.0, 4.0]), 0.0
linear = torch.nn.Linear(2, 2)
layer = torch.nn.BatchNorm1d(2, eps=epsilon)
with torch.no_grad():
    linear.weight.copy_(torch.eye(2))
    linear.bias.zero_()
    layer.running_var.copy_(torch.from_numpy(variance))
both = torch.nn.Sequential(linear, layer).eval()

# The calls.
data = torch.from_numpy(x)
fused = torch.nn.utils.fusion.fuse_linear_bn_eval(linear, layer)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    frozen = torch.jit.freeze(torch.jit.script(both))
with torch.no_grad():
    answers = [whole(data).numpy().astype(np.float64) for whole in (fused, frozen, both)]

# The same by plain NumPy in float64: the linear layer is the identity, all means are 0.
expected = x / np.sqrt(variance + epsilon)[:, None]

print("torch.module: BN-PORT-5 does not hold for y_folded.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "torch", torch.__version__,
)  # fmt: skip
print("expected               ", expected.tolist())
print("got, fused             ", answers[0].tolist(), "(fuse_linear_bn_eval)")
print("got, frozen            ", answers[1].tolist(), "(torch.jit.script, torch.jit.freeze)")
print("the layers, as they are", answers[2].tolist())
wrong = [not np.allclose(answer, expected, rtol=1e-5) for answer in answers[:2]]
sys.exit(1 if any(wrong) else 0)
