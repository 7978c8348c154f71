"""torch.module: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

fuse_conv_bn_eval(transpose=True) shapes the scale for a weight whose second axis has all output
channels; with groups it has out / groups. The folded layer has a weight of another shape and raises
when it is called.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys

import numpy as np

try:
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: 2 x + 1 by channel, and then a factor by channel.
gamma, epsilon = [1.0, 2.0, 3.0], 0.0625
convolution = torch.nn.ConvTranspose2d(3, 3, 1, groups=3).eval()
layer = torch.nn.BatchNorm2d(3, eps=epsilon).eval()
with torch.no_grad():
    convolution.weight.fill_(2.0)
    convolution.bias.fill_(1.0)
    layer.weight.copy_(torch.tensor(gamma))
x = torch.tensor([0.0, 1.0, -1.0]).reshape(1, 3, 1, 1)

# The call.
got, said, shape = None, "", None
with torch.no_grad():
    try:
        fused = torch.nn.utils.fusion.fuse_conv_bn_eval(convolution, layer, transpose=True)
        shape = tuple(fused.weight.shape)
        got = fused(x).flatten().tolist()
    except Exception as error:  # noqa: BLE001 -- whatever it raises is what is asked about
        said = f"{type(error).__name__}: {error}"
    control = layer(convolution(x)).flatten().tolist()

# The same by plain NumPy in float64.
expected = np.array(gamma) / np.sqrt(1 + epsilon) * (2 * x.flatten().numpy().astype(float) + 1)

print("torch.module: BN-CALL-1 does not hold for the call.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "torch", torch.__version__,
)  # fmt: skip
print("expected               ", expected.round(6).tolist())
print("got                    ", got or said)
print("the layers, as they are", [round(each, 6) for each in control])
print("shape of the weight    ", tuple(convolution.weight.shape), "and folded", shape)
sys.exit(0 if got is not None and np.allclose(got, expected, rtol=1e-5) else 1)
