"""What the subjects that run on PyTorch share: arrays to tensors and back, and the environment."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from bnconform.conformance.contract import Array

THREADS = {
    # A fixed number of threads splits a reduction in the same way on every machine, and two keep
    # that split under test.
    "OMP_NUM_THREADS": "2",
    # Threads that wait must sleep: on a busy machine they would spin in the way of the others.
    "GOMP_SPINCOUNT": "0",
}
"""Environment of a worker process that computes with PyTorch."""


def to_torch(torch: Any, array: Array) -> Any:
    """A tensor that shares ``array``'s memory and strides.

    PyTorch does not read NumPy's bfloat16, so those bits travel as int16.
    """
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_leaf(torch: Any, array: Array) -> Any:
    """The same as a variable, where PyTorch can differentiate by it: integers it takes as data."""
    leaf = to_torch(torch, array)
    return leaf.requires_grad_() if leaf.is_floating_point() else leaf


def is_variable(tensor: Any) -> bool:
    """Whether there is such a tensor and it asks for its gradient."""
    return tensor is not None and bool(tensor.requires_grad)


def to_numpy(torch: Any, tensor: Any) -> Array:
    """The tensor's values in its own format, in an array that later calls cannot change."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return np.array(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.array(tensor.numpy())
