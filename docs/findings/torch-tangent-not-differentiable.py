"""torch.functional: BN-SECOND-6 does not hold for by_x.

BN-SECOND-6 (MUST): Gradients of that tangent (reverse over forward) are the same second
derivatives.

The tangent of y, differentiated again, is wrong in training: batch_norm_jvp takes the saved mean
and inverse deviation of the batch as constants. Nothing is said.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys
from typing import Any

import numpy as np

try:
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: the second derivative of f(x) = sum(dy batch_norm(x)) along the direction u.
x = np.array([[0.3], [-1.2], [2.0], [0.7]])
dy = np.array([[1.0], [-0.5], [0.25], [2.0]])
u = np.array([[1.0], [0.0], [-0.5], [0.25]])
epsilon, step = 0.1, 1e-5


def gradient(at: Any) -> Any:
    """The gradient of f by plain NumPy in float64."""
    r = 1 / np.sqrt(at.var() + epsilon)
    xhat = (at - at.mean()) * r
    return r * (dy - dy.mean() - xhat * (dy * xhat).mean())


def f(at: Any) -> Any:
    """The same as a function of a tensor."""
    y = torch.nn.functional.batch_norm(at, None, None, training=True, eps=epsilon)
    return (torch.from_numpy(dy) * y).sum()


# The calls: u' H by the gradient of the tangent along u, and by the gradient of the gradient.
data, along = torch.from_numpy(x), torch.from_numpy(u)
got = torch.func.grad(lambda at: torch.func.jvp(f, (at,), (along,))[1])(data).numpy()
control = torch.func.grad(lambda at: (torch.func.grad(f)(at) * along).sum())(data).numpy()
expected = (gradient(x + step * u) - gradient(x - step * u)) / (2 * step)

print("torch.functional: BN-SECOND-6 does not hold for by_x.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "torch", torch.__version__,
)  # fmt: skip
print("expected               ", expected[:, 0].round(6).tolist())
print("got                    ", got[:, 0].round(6).tolist(), "(gradient of the tangent)")
print("gradient of gradient   ", control[:, 0].round(6).tolist())
sys.exit(0 if np.allclose(got, expected, rtol=1e-4, atol=1e-6) else 1)
