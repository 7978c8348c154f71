"""Signatures that every campaign holds, so that few cases already reach every clause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..case import FillKind, Layout, Mode, Upstream
from ..formats import DType
from ..variant import (
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
from .case_space import RENORMS, Demand


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


_FINITE = tuple(kind for kind in FillKind if kind not in (FillKind.NAN, FillKind.INF))

_PLAIN: Mapping[str, Demand] = {
    "image, channels first": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, steps=3,
                                    dtype=DType.FLOAT32, affine=(True, True),
                                    layouts=(Layout.CONTIGUOUS, Layout.CONTIGUOUS),
                                    no_single=True),
    "image, channels last": Demand(rank=4, feature_axes=(-1,), mode=Mode.TRAIN, steps=3,
                                   dtype=DType.FLOAT32, affine=(True, True),
                                   layouts=(Layout.CHANNELS_LAST, Layout.CHANNELS_LAST),
                                   no_single=True),
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
    "float64, image": Demand(rank=4, feature_axes=(1,), batch=7, last_batch=5, inner=3,
                             mode=Mode.TRAIN, steps=2, dtype=DType.FLOAT64,
                             layouts=(Layout.CONTIGUOUS, Layout.CHANNELS_LAST), no_single=True),
    "float64, matrix": Demand(rank=2, feature_axes=(-1,), batch=12, last_batch=7, channels=5,
                              mode=Mode.TRAIN, steps=2, dtype=DType.FLOAT64),
    "float16, image": Demand(rank=4, feature_axes=(-1,), batch=5, last_batch=4, inner=3,
                             mode=Mode.TRAIN, steps=2, dtype=DType.FLOAT16),
    "bfloat16, image": Demand(rank=4, feature_axes=(1,), batch=6, last_batch=4, inner=3,
                              mode=Mode.TRAIN, steps=2, dtype=DType.BFLOAT16),
    "sequence": Demand(rank=3, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                       layouts=(Layout.STRIDED, Layout.CONTIGUOUS), no_single=True),
    "volume": Demand(rank=5, feature_axes=(-1,), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                     layouts=(Layout.STRIDED, Layout.STRIDED), no_single=True),
    "two feature axes": Demand(rank=4, feature_axes=(1, 3), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                               layouts=(Layout.CHANNELS_LAST, Layout.STRIDED), no_single=True),
    "batch axis as feature axis": Demand(rank=2, feature_axes=(0,), mode=Mode.TRAIN,
                                         dtype=DType.FLOAT32),
    "layouts differ": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                             layouts=(Layout.CHANNELS_LAST, Layout.CONTIGUOUS), no_single=True),
    "strided": Demand(rank=4, feature_axes=(1,), mode=Mode.TRAIN, dtype=DType.FLOAT32,
                      layouts=(Layout.STRIDED, Layout.CHANNELS_LAST), no_single=True),
    "neither scale nor center": Demand(mode=Mode.TRAIN, affine=(False, False), rank=4,
                                       feature_axes=(1,), dtype=DType.FLOAT32,
                                       layouts=(Layout.CONTIGUOUS, Layout.STRIDED),
                                       no_single=True),
    "one channel": Demand(rank=4, feature_axes=(1,), channels=1, mode=Mode.TRAIN,
                          dtype=DType.FLOAT32),
    "batch of one": Demand(rank=4, feature_axes=(1,), batch=1, inner=3, mode=Mode.TRAIN, steps=2,
                           dtype=DType.FLOAT32, affine=(True, True)),
    "batch of two": Demand(rank=4, feature_axes=(-1,), batch=2, inner=3, last_batch=2,
                           mode=Mode.TRAIN, steps=2, dtype=DType.FLOAT32, affine=(True, True)),
    "no spatial positions": Demand(rank=4, feature_axes=(1,), batch=2, inner=0, mode=Mode.TRAIN,
                                   steps=1, dtype=DType.FLOAT32, most=4),
    "no channels": Demand(rank=4, feature_axes=(-1,), batch=2, inner=3, channels=0,
                          mode=Mode.TRAIN, steps=1, dtype=DType.FLOAT32, most=4),
    "ten steps": Demand(rank=2, feature_axes=(1,), batch=8, last_batch=5, channels=3,
                        mode=Mode.TRAIN, steps=10, dtype=DType.FLOAT32, most=6),
    "a hundred steps": Demand(rank=2, feature_axes=(-1,), batch=4, last_batch=3, channels=3,
                              mode=Mode.TRAIN, steps=100, dtype=DType.FLOAT32,
                              affine=(True, True), most=3,
                              kinds=(FillKind.NORMAL, FillKind.OFFSET, FillKind.MIXED)),
    "same inputs at every call": Demand(rank=4, feature_axes=(1,), batch=4, last_batch=4,
                                        mode=Mode.TRAIN, steps=3, dtype=DType.FLOAT32,
                                        same_inputs=True, no_single=True),
    "upstream gradient is the input": Demand(rank=4, feature_axes=(-1,), mode=Mode.TRAIN, steps=2,
                                             dtype=DType.FLOAT32, affine=(True, True),
                                             layouts=(Layout.CONTIGUOUS, Layout.CONTIGUOUS),
                                             upstream=Upstream.INPUT, kinds=_FINITE),
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
    "mask on axis 1": _variant(Masked(hidden=Hidden.NAN), rank=4, feature_axes=(1,), steps=1),
    "mask, one channel": replace(
        _variant(Masked(hidden=Hidden.ORDINARY), rank=3, feature_axes=(-1,), steps=1), channels=1
    ),
    "mask that broadcasts": replace(
        _variant(Masked(hidden=Hidden.ORDINARY, by_sample=True), rank=4, feature_axes=(-1,),
                 steps=1),
        no_single=True,
    ),
    "mask that keeps nothing": replace(
        _variant(Masked(hidden=Hidden.ORDINARY, nothing=True), rank=3, feature_axes=(-1,), steps=1),
        channels=3, most=6, kinds=_FINITE,
    ),
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

_LARGE = Demand(
    rank=4,
    feature_axes=(1,),
    shape=(16, 2, 128, 128),
    mode=Mode.TRAIN,
    steps=1,
    dtype=DType.FLOAT32,
    affine=(True, True),
    half_parameters=False,
    variant=PLAIN,
    most=2,
    # Bounds grow with the count: a mean far from 0 would leave nothing to judge.
    kinds=(FillKind.NORMAL, FillKind.CONSTANT),
)

LARGE_DEMANDS: Mapping[str, Demand] = {
    **{
        f"large reduction, {layout}": replace(_LARGE, layouts=(layout, layout))
        for layout in Layout
    },
    "large reduction, float64, channels on the last axis": replace(
        _LARGE, feature_axes=(-1,), shape=(16, 128, 128, 2),
        layouts=(Layout.CONTIGUOUS, Layout.CONTIGUOUS),
    ),
}  # fmt: skip
"""2^18 values per channel, for campaigns that have the time."""

DEMANDS: Mapping[str, Demand] = {
    **{
        name: replace(demand, variant=PLAIN, half_parameters=False)
        for name, demand in _PLAIN.items()
    },
    **_VARIANTS,
}
"""Signatures that every campaign holds before it draws any by chance."""
