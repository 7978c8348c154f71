"""keras.torch: BN-PORT-1 does not hold for y_float64.

BN-PORT-1 (MUST): After a journey out of its framework a layer infers the same.

It infers the same before and after, but in float32: a layer with dtype="float64" computes so on
PyTorch and JAX. Its parameters and statistics come back bit for bit.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
try:
    import keras
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: gamma, beta, moving mean and variance, none of which float32 holds.
x, epsilon = np.array([[0.3], [5.0]]), 0.0625
held = [np.array([each]) for each in (1.1, -0.7, 0.1, 3.3)]
layer = keras.layers.BatchNormalization(epsilon=epsilon, dtype="float64")
model = keras.Sequential([keras.Input((1,), dtype="float64"), layer])
layer.set_weights(held)


def inferred(whole: Any) -> np.ndarray[Any, Any]:
    """What a model gives for x, in its own format."""
    answer = whole(keras.ops.convert_to_tensor(x), training=False)
    return np.array(keras.ops.convert_to_numpy(answer))


# The call: saved, and loaded again.
with tempfile.TemporaryDirectory() as folder:
    model.save(Path(folder, "layer.keras"))
    loaded = keras.saving.load_model(Path(folder, "layer.keras"))
before, got = inferred(model), inferred(loaded)
arrived = all(map(np.array_equal, loaded.get_weights(), held))

# The same by plain NumPy in float64.
gamma, beta, mean, variance = held
expected = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta

print("keras.torch: BN-PORT-1 does not hold for y_float64.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "keras", keras.__version__,
)  # fmt: skip
print("expected               ", expected[:, 0].tolist())
print("got                    ", got[:, 0].tolist(), f"({got.dtype})")
print("before the journey     ", before[:, 0].tolist())
print("expected, in float32   ", expected[:, 0].astype(np.float32).tolist())
print("the variables came back bit for bit:", arrived)
sys.exit(0 if np.allclose(got, expected, rtol=1e-13, atol=0) else 1)
