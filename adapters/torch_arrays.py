"""NumPy arrays to torch tensors and back, without losing strides or bfloat16."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from bnconform.conformance.contract import Array


def to_torch(torch: Any, array: Array) -> Any:
    """A tensor that shares ``array``'s memory and strides.

    Torch does not read NumPy's bfloat16, so those bits travel as int16.
    """
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(torch: Any, tensor: Any) -> Array:
    """The tensor's values in its own format."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.asarray(tensor.numpy())
