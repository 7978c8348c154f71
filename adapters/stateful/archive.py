"""Arrays in a byte string, for frameworks that leave writing them down to their users."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from bnconform.conformance.contract import Array


def to_bytes(arrays: Mapping[str, Array]) -> bytes:
    """An ``.npz`` file of ``arrays``."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def from_bytes(saved: bytes) -> dict[str, Array]:
    """The arrays of such a file, in the order in which they were saved."""
    with np.load(io.BytesIO(saved), allow_pickle=False) as found:
        return dict(found)
