"""torch.module: BN-PORT-5 does not hold for y_folded.

BN-PORT-5 (MUST): Folded into a linear layer before it, w = gamma / sqrt(rv + epsilon), the output
stays the same.

A convolution module that is called twice, with a batch norm after each call, is one module: what
is folded into it for one call changes the other. Nothing is said.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys
import warnings
from typing import Any

import numpy as np

try:
    import torch
    from torch.ao.quantization.quantize_fx import fuse_fx
    from torch.fx.experimental.optimization import fuse
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)


class Twice(torch.nn.Module):  # type: ignore[misc]  # untyped
    """One convolution, by 1, with a batch norm after each of its two calls."""

    def __init__(self) -> None:
        """Both batch norms scale, each by another factor."""
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 1, 1, bias=False)
        self.first, self.second = (torch.nn.BatchNorm2d(1, eps=0.0) for _ in range(2))
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.first.weight.fill_(2.0)
            self.second.weight.fill_(5.0)

    def forward(self, x: Any) -> tuple[Any, Any]:
        """2 x and 5 x."""
        return self.first(self.conv(x)), self.second(self.conv(x))


# What goes in, and what comes out by plain NumPy in float64: means are 0, variances 1.
x = np.array([1.0, -3.0], np.float32).reshape(1, 1, 1, 2)
expected = np.stack([2.0 * x.astype(np.float64), 5.0 * x.astype(np.float64)]).reshape(2, 2)


def answered(whole: Any) -> np.ndarray[Any, Any]:
    """Both outputs."""
    with torch.no_grad():
        outputs = whole(torch.from_numpy(x))
    return np.stack([each.numpy().astype(np.float64).reshape(2) for each in outputs])


# The calls.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    folded = {"fuse": answered(fuse(Twice().eval())), "fuse_fx": answered(fuse_fx(Twice().eval()))}

print("torch.module: BN-PORT-5 does not hold for y_folded.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "torch", torch.__version__,
)  # fmt: skip
print("expected               ", expected.tolist())
print("got, fuse              ", folded["fuse"].tolist(), "(torch.fx.experimental.optimization)")
print("got, fuse_fx           ", folded["fuse_fx"].tolist(), "(torch.ao.quantization)")
print("the module, as it is   ", answered(Twice().eval()).tolist())
wrong = [not np.allclose(each, expected, rtol=1e-5) for each in folded.values()]
sys.exit(1 if any(wrong) else 0)
