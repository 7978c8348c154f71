"""keras.torch: BN-SECOND-1 does not hold for by_x.

BN-SECOND-1 (MUST): In training, gradients of the gradients go through the batch statistics again.

Second derivatives of a float64 layer have float32's precision on PyTorch, as everything else of it
has: keras.backend.result_type("float64", "float32") is "float32". The same on JAX.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
try:
    import keras
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: the second derivative of f(x) = sum(dy layer(x)) along the direction u.
x = np.array([[0.3], [-1.2], [2.0], [0.7]]) + 100.0
dy = np.array([[1.0], [-0.5], [0.25], [2.0]])
u = np.array([[1.0], [0.0], [-0.5], [0.25]])
epsilon, step = 0.0625, 1e-5  # float32 holds this epsilon


def gradient(at: Any) -> Any:
    """The gradient of f by plain NumPy in float64; gamma is 1."""
    r = 1 / np.sqrt(at.var() + epsilon)
    xhat = (at - at.mean()) * r
    return r * (dy - dy.mean() - xhat * (dy * xhat).mean())


def by_autograd(function: Any) -> np.ndarray[Any, Any]:
    """The gradient of the product of the gradient of f and u."""
    data = torch.from_numpy(x).requires_grad_()
    f = (torch.from_numpy(dy) * function(data)).sum()
    (first,) = torch.autograd.grad(f, data, create_graph=True)
    (found,) = torch.autograd.grad((first * torch.from_numpy(u)).sum(), data)
    return np.array(found.numpy())


layer = keras.layers.BatchNormalization(epsilon=epsilon, dtype="float64")
layer.build(x.shape)
batch_norm = torch.nn.functional.batch_norm
got = by_autograd(lambda data: layer(data, training=True))
control = by_autograd(lambda data: batch_norm(data, None, None, training=True, eps=epsilon))
expected = (gradient(x + step * u) - gradient(x - step * u)) / (2 * step)

print("keras.torch: BN-SECOND-1 does not hold for by_x.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "keras", keras.__version__, "torch", torch.__version__,
)  # fmt: skip
print("expected               ", expected[:, 0].round(9).tolist())
print("got                    ", got[:, 0].round(9).tolist(), f"({got.dtype})")
print("without Keras          ", control[:, 0].round(9).tolist(), "(batch_norm of PyTorch)")
print(f"the largest error is {abs(got - expected).max():.1e}", end=", ")
print(f"without Keras {abs(control - expected).max():.1e}")
sys.exit(0 if np.allclose(got, expected, rtol=0, atol=1e-8) else 1)
