"""keras.torch: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

Model.save to .h5 writes bfloat16 weights as two opaque bytes each, without a word, and load_model
finds no such type and raises. The same on TensorFlow and JAX; the .keras format keeps the weights.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
try:
    import keras
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: a layer in bfloat16, whose gamma this format holds.
gamma = [0.5, -1.25, 3.0]
layer = keras.layers.BatchNormalization(dtype="bfloat16")
model = keras.Sequential([keras.Input((3,), dtype="bfloat16"), layer])
layer.gamma.assign(gamma)


def after(name: str) -> list[float] | str:
    """Gamma after a journey through the file ``name``, or what was raised on the way back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        model.save(path)
        try:
            loaded = keras.saving.load_model(path)
        except Exception as error:  # noqa: BLE001 -- whatever it raises is what is asked about
            return f"{type(error).__name__}: {error}"
    found: list[float] = loaded.layers[-1].gamma.value.tolist()
    return found


# The calls.
got, control = after("layer.h5"), after("layer.keras")

print("keras.torch: BN-CALL-1 does not hold for the call.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "keras", keras.__version__, "torch", torch.__version__,
)  # fmt: skip
print("expected               ", gamma)
print("got                    ", got, "(layer.h5)")
print("by the other format    ", control, "(layer.keras)")
sys.exit(0 if got == gamma else 1)
