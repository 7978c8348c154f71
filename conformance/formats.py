"""The number formats a case may use, and the constants that error bounds need.

Every figure is a property of the IEEE 754 (or bfloat16) format itself, so nothing here depends on
a framework or on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import ml_dtypes
import numpy as np


class DType(StrEnum):
    """A floating-point format of inputs and outputs."""

    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


@dataclass(frozen=True, kw_only=True)
class Format:
    """What the bounds need to know of one number format.

    ``unit_roundoff`` is u = 2^-p for p significant bits; ``smallest_normal`` and
    ``smallest_subnormal`` are the thresholds of flushing and of gradual underflow;
    ``largest`` is the largest finite value.
    """

    dtype: DType
    unit_roundoff: float
    smallest_normal: float
    smallest_subnormal: float
    largest: float

    @property
    def numpy(self) -> np.dtype:
        """The NumPy dtype that stores this format."""
        return NUMPY_DTYPES[self.dtype]


NUMPY_DTYPES: dict[DType, np.dtype] = {
    DType.FLOAT16: np.dtype(np.float16),
    DType.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    DType.FLOAT32: np.dtype(np.float32),
    DType.FLOAT64: np.dtype(np.float64),
}


def _format(dtype: DType) -> Format:
    info: Any = ml_dtypes.finfo(NUMPY_DTYPES[dtype])  # type: ignore[no-untyped-call]  # no stubs
    return Format(
        dtype=dtype,
        unit_roundoff=float(info.eps) / 2,
        smallest_normal=float(info.smallest_normal),
        smallest_subnormal=float(info.smallest_subnormal),
        largest=float(info.max),
    )


FORMATS: dict[DType, Format] = {dtype: _format(dtype) for dtype in DType}


def compute_format(dtype: DType) -> Format:
    """The format in which statistics and parameters of a ``dtype`` input are kept.

    Half-precision inputs are used with float32 parameters and float32 statistics, the way every
    framework's mixed precision does it; float32 and float64 keep their own format.
    """
    if dtype in (DType.FLOAT16, DType.BFLOAT16):
        return FORMATS[DType.FLOAT32]
    return FORMATS[dtype]
