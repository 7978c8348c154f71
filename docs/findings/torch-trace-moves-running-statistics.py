"""torch.module: BN-PORT-3 does not hold for next_mean.

BN-PORT-3 (MUST): Training goes on: the same output, and running statistics that move by the same
decay and take the same variance.

torch.jit.trace of a module in training runs it on the example, and again to check itself. The
running statistics of what comes out, and of the module that went in, have moved by as much.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys
import warnings
from typing import Any

import numpy as np

try:
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.array([[1.0], [3.0]], np.float32)
momentum = 0.5
data = torch.from_numpy(x)


def shown(layer: Any) -> tuple[float, int]:
    """The running mean, and how many batches it has seen."""
    return layer.running_mean.item(), int(layer.num_batches_tracked.item())


# The calls: traced, then trained by one batch.
layer, plain = (
    torch.nn.BatchNorm1d(1, momentum=momentum),
    torch.nn.BatchNorm1d(1, momentum=momentum),
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    traced = torch.jit.trace(layer, data)
before = shown(layer)
traced(data)
plain(data)
got, control = shown(traced), shown(plain)

# The same by plain NumPy in float64: one batch after a mean of 0.
expected = (1 - momentum) * 0.0 + momentum * x.astype(np.float64).mean()

print("torch.module: BN-PORT-3 does not hold for next_mean.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "torch", torch.__version__,
)  # fmt: skip
print("expected               ", float(expected), "after 1 batch")
print("got                    ", got[0], f"after {got[1]} batches (traced, then called once)")
print("the module, once traced", before[0], f"after {before[1]} batches, before any call")
print("without torch.jit.trace", control[0], f"after {control[1]} batch")
sys.exit(0 if np.isclose(got[0], expected, rtol=1e-6) else 1)
