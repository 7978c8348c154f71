"""torch.functional: BN-SECOND-7 does not hold for by_x.

BN-SECOND-7 (MUST): Gradients that are taken by a vectorized call have the derivatives of those that
are not.

The gradient by the weight is right under torch.func.vmap, but its derivative by x takes the batch's
saved statistics as constants. torch.func.jacrev is such a call, also for a single number. Nothing
is said.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import sys
from typing import Any

import numpy as np

try:
    import torch
    from torch.func import grad, jacrev
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in: f(x, weight) = sum(dy y), differentiated by the weight and then by x.
x = np.array([[0.3], [-1.2], [2.0], [0.7]])
dy = np.array([[1.0], [-0.5], [0.25], [2.0]])
epsilon, step = 0.0625, 1e-5


def by_weight(at: np.ndarray[Any, Any]) -> float:
    """The gradient of f by the weight, by plain NumPy in float64."""
    return float((dy * (at - at.mean()) / np.sqrt(at.var() + epsilon)).sum())


def f(data: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The loss, by the framework."""
    y = torch.nn.functional.batch_norm(data, None, None, weight, training=True, eps=epsilon)
    return (torch.from_numpy(dy) * y).sum()


# The call, and the same with a gradient that is not vectorized.
given = torch.from_numpy(x), torch.ones(1, dtype=torch.float64)
got = jacrev(jacrev(f, 1), 0)(*given).flatten().numpy()
control = jacrev(lambda *each: grad(f, 1)(*each).sum(), 0)(*given).flatten().numpy()
first = jacrev(f, 1)(*given).item()

# What must come out: central differences of the gradient.
moves = [step * row.reshape(x.shape) for row in np.eye(x.size)]
expected = np.array([(by_weight(x + each) - by_weight(x - each)) / (2 * step) for each in moves])
constant = (dy / np.sqrt(x.var() + epsilon)).flatten()

print("torch.functional: BN-SECOND-7 does not hold for by_x.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "torch", torch.__version__,
)  # fmt: skip
print("expected, by differences               ", expected.round(6).tolist())
print("got, jacrev(jacrev(f, 1), 0)           ", got.round(6).tolist())
print("not vectorized, jacrev(grad(f, 1), 0)  ", control.round(6).tolist())
print("with the statistics as constants       ", constant.round(6).tolist())
print("the first gradient, wanted and vectorized:", round(by_weight(x), 6), round(first, 6))
sys.exit(0 if np.allclose(got, expected, rtol=1e-6, atol=1e-6) else 1)
