"""Signatures that every campaign holds, so that few cases already reach every clause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .case import Layout, Mode
from .case_space import RENORMS, Demand
from .formats import DType
from .variant import (
    PLAIN,
    Adjusted,
    FixedGamma,
    Ghost,
    Hidden,
    Masked,
    Synchronized,
    Untracked,
    Variant,
    Weighted,
)


def _variant(
    variant: Variant,
    *,
    rank: int,
    feature_axes: tuple[int, ...],
    mode: Mode = Mode.TRAIN,
    batch: int | None = None,
    steps: int | None = None,
) -> Demand:
    """A float32 signature of ``variant`` with gamma and beta."""
    return Demand(
        rank=rank,
        feature_axes=feature_axes,
        mode=mode,
        batch=batch,
        steps=steps,
        dtype=DType.FLOAT32,
        affine=(True, True),
        half_parameters=False,
        variant=variant,
    )


_PLAIN: Mapping[str, Demand] = {
    "image, channels first": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=3,
                                    dtype=DType.FLOAT32, affine=(True, True)),
    "image, channels last": Demand(rank=4, feature_axes=(-1,), mode=Mode.TRAIN, steps=3,
                                   dtype=DType.FLOAT32, affine=(True, True)),
    "matrix": Demand(rank=2, feature_axes=(1,), mode=Mode.TRAIN, steps=4, dtype=DType.FLOAT32),
    "exact lane, image": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=2,
                                dtype=DType.FLOAT32, powers_of_two=True),
    "exact lane, matrix": Demand(rank=2, feature_axes=(-1,), mode=Mode.TRAIN, steps=2,
                                 dtype=DType.FLOAT32, powers_of_two=True),
    "inference, image": Demand(rank=4, feature_axes=(1,), mode=Mode.INFERENCE,
                               dtype=DType.FLOAT32),
    "inference, matrix": Demand(rank=2, feature_axes=(-1,), mode=Mode.INFERENCE,
                                dtype=DType.FLOAT32),
    "frozen, image": Demand(rank=4, feature_axes=(-1,), mode=Mode.FROZEN, dtype=DType.FLOAT32),
    "frozen, matrix": Demand(rank=2, feature_axes=(1,), mode=Mode.FROZEN, dtype=DType.FLOAT32),
    "one value per channel": Demand(rank=2, feature_axes=(1,), batch=1, mode=Mode.TRAIN, steps=1,
                                    dtype=DType.FLOAT32),
    "one value per channel, image": Demand(rank=4, feature_axes=(-1,), batch=1, inner=1,
                                           mode=Mode.TRAIN, steps=2, dtype=DType.FLOAT32),
    "two values per channel": Demand(rank=2, feature_axes=(1,), batch=2, mode=Mode.TRAIN, steps=1,
                                     dtype=DType.FLOAT32),
    "empty batch": Demand(rank=4, feature_axes=(1,), batch=0, mode=Mode.TRAIN, steps=1,
                          dtype=DType.FLOAT32),
    "empty batch, matrix": Demand(rank=2, feature_axes=(-1,), batch=0, mode=Mode.TRAIN, steps=1,
                                  dtype=DType.FLOAT32),
    "float64, image": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=2,
                             dtype=DType.FLOAT64),
    "float64, matrix": Demand(rank=2, feature_axes=(-1,), mode=Mode.TRAIN, steps=2,
                              dtype=DType.FLOAT64),
    "float16, image": Demand(rank=4, feature_axes=(-1,), mode=Mode.TRAIN, steps=2,
                             dtype=DType.FLOAT16),
    "bfloat16, image": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=2,
                              dtype=DType.BFLOAT16),
    "sequence": Demand(rank=3, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32),
    "volume": Demand(rank=5, feature_axes=(-1,), mode=Mode.TRAIN, dtype=DType.FLOAT32),
    "two feature axes": Demand(rank=4, feature_axes=(1, 3), mode=Mode.TRAIN, dtype=DType.FLOAT32),
    "batch axis as feature axis": Demand(rank=2, feature_axes=(0,), mode=Mode.TRAIN,
                                         dtype=DType.FLOAT32),
    "layouts differ": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                             layouts=(Layout.CHANNELS_LAST, Layout.CONTIGUOUS)),
    "strided": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                      layouts=(Layout.STRIDED, Layout.CHANNELS_LAST)),
    "neither scale nor center": Demand(mode=Mode.TRAIN, affine=(False, False), rank=4,
                                       feature_axes=(1,), dtype=DType.FLOAT32),
    "one channel": Demand(rank=4, feature_axes=(1,), channels=1, mode=Mode.TRAIN,
                          dtype=DType.FLOAT32),
}  # fmt: skip

_VARIANTS: Mapping[str, Demand] = {
    "renorm": _variant(RENORMS[0], rank=4, feature_axes=(-1,), steps=1),
    "renorm, several steps": _variant(RENORMS[0], rank=2, feature_axes=(-1,), steps=3),
    "renorm, clipped": _variant(RENORMS[1], rank=4, feature_axes=(1,), steps=2),
    "ghost batches": _variant(Ghost(size=2), rank=4, feature_axes=(-1,), batch=8, steps=1),
    "ghost batches, matrix": _variant(Ghost(size=3), rank=2, feature_axes=(1,), batch=6, steps=1),
    "synchronized": _variant(Synchronized(replicas=2, uneven=False), rank=4, feature_axes=(-1,),
                             batch=8, steps=1),
    "synchronized, uneven": _variant(Synchronized(replicas=3, uneven=True), rank=2,
                                     feature_axes=(1,), batch=7, steps=1),
    "mask": _variant(Masked(hidden=Hidden.ORDINARY), rank=3, feature_axes=(-1,), steps=2),
    "mask that hides NaN": _variant(Masked(hidden=Hidden.NAN), rank=4, feature_axes=(-1,),
                                    steps=2),
    "mask that hides nothing": _variant(Masked(hidden=Hidden.ORDINARY, everything=True), rank=3,
                                        feature_axes=(-1,), steps=1),
    "weights": _variant(Weighted(), rank=4, feature_axes=(-1,), steps=2),
    "adjusted": _variant(Adjusted(per_sample=True), rank=4, feature_axes=(-1,), steps=2),
    "adjusted, all samples alike": _variant(Adjusted(per_sample=False), rank=2,
                                            feature_axes=(1,), steps=1),
    "untracked": _variant(Untracked(), rank=4, feature_axes=(1,), steps=2),
    "untracked, inference": _variant(Untracked(), rank=4, feature_axes=(1,), mode=Mode.INFERENCE),
    "fixed gamma": _variant(FixedGamma(), rank=4, feature_axes=(1,), steps=1),
    "float16 parameters": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=3,
                                 dtype=DType.FLOAT16, half_parameters=True, variant=PLAIN),
    "bfloat16 parameters": Demand(rank=2, feature_axes=(-1,), mode=Mode.TRAIN, steps=2,
                                  dtype=DType.BFLOAT16, half_parameters=True, variant=PLAIN),
}  # fmt: skip

DEMANDS: Mapping[str, Demand] = {
    **{
        name: replace(demand, variant=PLAIN, half_parameters=False)
        for name, demand in _PLAIN.items()
    },
    **_VARIANTS,
}
"""Signatures that every campaign holds before it draws any by chance."""
