"""torch.module: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

fuse_linear_bn_eval takes a batch norm without weight and bias (affine=False) and raises a TypeError
about None; fuse_conv_bn_eval counts them as 1 and 0.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys

import numpy as np

try:
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: 2 x + 1, and then a division by sqrt(1 + epsilon).
epsilon, x = 0.0625, torch.tensor([[0.0], [1.0], [-3.0]])
linear, convolution = torch.nn.Linear(1, 1).eval(), torch.nn.Conv2d(1, 1, 1).eval()
with torch.no_grad():
    for map_ in (linear, convolution):
        map_.weight.fill_(2.0)
        map_.bias.fill_(1.0)
layer = torch.nn.BatchNorm1d(1, eps=epsilon, affine=False).eval()
layer_2d = torch.nn.BatchNorm2d(1, eps=epsilon, affine=False).eval()

# The calls.
fusion = torch.nn.utils.fusion
got, said = None, ""
with torch.no_grad():
    try:
        got = fusion.fuse_linear_bn_eval(linear, layer)(x).flatten().tolist()
    except Exception as error:  # noqa: BLE001 -- whatever it raises is what is asked about
        said = f"{type(error).__name__}: {error}"
    by_convolution = fusion.fuse_conv_bn_eval(convolution, layer_2d)
    control = by_convolution(x[:, :, None, None]).flatten().tolist()

# The same by plain NumPy in float64.
expected = (2 * x.flatten().numpy().astype(np.float64) + 1) / np.sqrt(1 + epsilon)

print("torch.module: BN-CALL-1 does not hold for the call.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "torch", torch.__version__,
)  # fmt: skip
print("expected               ", expected.round(6).tolist())
print("got                    ", got or said, "(fuse_linear_bn_eval)")
print("as a convolution       ", [round(each, 6) for each in control], "(fuse_conv_bn_eval)")
sys.exit(0 if got is not None and np.allclose(got, expected, rtol=1e-5) else 1)
