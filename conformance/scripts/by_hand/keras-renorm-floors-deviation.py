"""keras.torch: BN-RENORM-1 does not hold for y.

BN-RENORM-1 (MUST): y = gamma (R xhat + D) + beta, R and D from averages before the update.

R and D are divided by max(renorm_stddev, sqrt(epsilon)), not by renorm_stddev. Training stores no
smaller deviation but by a rounding, which shows in bfloat16 and float16; whoever assigns one sees
it in float32, too. The same on TensorFlow and JAX.

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

# What goes in: epsilon is the most part of v + epsilon, and its root is 0.00316.
x, epsilon = np.array([[1e-4], [3e-4]], np.float32), 1e-5


def trained(deviation: float) -> list[float]:
    """y of a training call with ``deviation`` stored for the correction."""
    layer = keras.layers.BatchNormalization(epsilon=epsilon, renorm=True)
    layer.build(x.shape)
    layer.renorm_stddev.assign([deviation])
    found: list[float] = layer(torch.from_numpy(x), training=True).flatten().tolist()
    return found


# The calls; R xhat + D = (x - 0) / deviation, as the average of the mean is 0.
below, above = 0.001, 0.01
got, control = trained(below), trained(above)
expected, expected_above = (x[:, 0].astype(np.float64) / each for each in (below, above))
floored = x[:, 0].astype(np.float64) / np.sqrt(epsilon)

print("keras.torch: BN-RENORM-1 does not hold for y.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "keras", keras.__version__, "torch", torch.__version__,
)  # fmt: skip
print("expected               ", expected.round(6).tolist())
print("got                    ", np.round(got, 6).tolist())
print("x / sqrt(epsilon)      ", floored.round(6).tolist())
print(f"with {above} stored, not {below}: expected", expected_above.round(6).tolist(), end=", ")
print("got", np.round(control, 6).tolist())
sys.exit(0 if np.allclose(got, expected, rtol=1e-4) else 1)
