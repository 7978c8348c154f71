"""The structures of ``batch_norm.h``, field by field."""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar

_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32


def _fields(names: str, kind: Any) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class Strides(ctypes.Structure):
    """``bnc_strides``: in elements."""

    _fields_: ClassVar = _fields("outer channel inner", _LONG)


class Call(ctypes.Structure):
    """``bnc_call``: what ``bnc_forward`` and ``bnc_backward`` take; 0 where nothing is given."""

    _fields_: ClassVar = [
        *_fields("x dy y dx", _POINTER),
        *_fields("x_strides dy_strides y_strides dx_strides", Strides),
        *_fields("gamma beta running_mean running_var mean var r dgamma dbeta", _POINTER),
        *_fields("workspace stream", _POINTER),
        *_fields("outer channels inner", _LONG),
        *_fields("epsilon decay", ctypes.c_double),
        *_fields("dtype training rung blocks lanes flags", _INT),
    ]


class Device(ctypes.Structure):
    """``bnc_device``: what the choice of a rung depends on."""

    _fields_: ClassVar = [
        ("l2_bytes", _LONG),
        *_fields("multiprocessors threads", _INT),
        *_fields("shared_per_block shared_per_multiprocessor shared_reserved", _INT),
        *_fields("largest_cluster cooperative architecture", _INT),
    ]


class Plan(ctypes.Structure):
    """``bnc_plan``: a rung, and how the call is cut up on it."""

    _fields_: ClassVar = [
        ("units", _LONG),
        *_fields("rung vector columns lanes threads blocks teams tiles", _INT),
        *_fields("held bulk shared_bytes", _INT),
    ]


H200 = Device(
    l2_bytes=60 * 2**20,
    multiprocessors=132,
    threads=512,
    shared_per_block=227 * 2**10,
    shared_per_multiprocessor=228 * 2**10,
    shared_reserved=2**10,
    largest_cluster=16,
    cooperative=1,
    architecture=90,
)
"""As its data sheet describes it, to ask for plans where there is none."""
