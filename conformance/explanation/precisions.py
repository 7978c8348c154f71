"""Alternatives that give the same values less exactly: their bounds are wider."""

from __future__ import annotations

from functools import partial

from ..case import Mode
from ..dialect import (
    Arithmetic,
    HalfGradient,
    SavedStatistics,
)
from ..formats import DType
from . import walks_wider
from .alternative import EVERYTHING, Alternative
from .names import Why
from .requests import (
    OF_DX,
    OF_OUTPUTS,
    claims,
    half,
    of_dtype,
)

WIDER = (
    Alternative(
        why=Why.SUBNORMALS_FLUSHED,
        sentence="subnormal results are flushed to 0",
        walk=walks_wider.Flushed,
        wider=True,
    ),
    Alternative(
        why=Why.BFLOAT16_TRUNCATED,
        sentence="float32 is cut off to bfloat16, not rounded",
        quantities=OF_OUTPUTS | OF_DX,
        concerns=partial(of_dtype, DType.BFLOAT16),
        walk=walks_wider.Truncated,
        wider=True,
    ),
    Alternative(
        why=Why.DX_ROUNDED_BY_TERM,
        sentence="each contribution to dx is rounded to the input's half format",
        quantities=OF_DX,
        concerns=half,
        conventions=claims(half_gradient=HalfGradient.BY_TERM),
        wider=True,
    ),
    Alternative(
        why=Why.AFFINE_FOLDED,
        sentence="y = x a + b with a = gamma r and b = beta - mu a, which cancels for large means",
        quantities=OF_OUTPUTS,
        walk=walks_wider.AffineFolded,
        wider=True,
    ),
    Alternative(
        why=Why.AFFINE_IN_HALF,
        sentence="xhat, gamma and beta are rounded to the input's half format before y",
        quantities=OF_OUTPUTS,
        concerns=half,
        walk=walks_wider.AffineInHalf,
        wider=True,
    ),
    Alternative(
        why=Why.STATISTICS_IN_HALF,
        sentence="the batch's statistics are kept in the input's half format",
        quantities=EVERYTHING,
        concerns=half,
        conventions=claims(saved_statistics=SavedStatistics.INPUT),
        wider=True,
    ),
    Alternative(
        why=Why.TF32,
        sentence="products are of factors rounded to TF32",
        quantities=EVERYTHING,
        concerns=lambda case: case.dtype is not DType.FLOAT64,
        conventions=claims(arithmetic=Arithmetic.TF32),
        wider=True,
    ),
    Alternative(
        why=Why.VARIANCE_ONE_PASS,
        sentence="the variance is E[x^2] - E[x]^2, which cancels for large means",
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        conventions=walks_wider.one_pass,
        wider=True,
    ),
    Alternative(
        why=Why.VARIANCE_ONE_PASS_UNCLAMPED,
        sentence="the variance is E[x^2] - E[x]^2 and may come out negative: NaN",
        concerns=lambda case: case.mode is not Mode.INFERENCE,
        conventions=walks_wider.one_pass,
        walk=walks_wider.OnePassUnclamped,
        wider=True,
        any_value=True,
    ),
    Alternative(
        why=Why.FLOAT64_IN_FLOAT32,
        sentence="float64 is computed in float32",
        concerns=partial(of_dtype, DType.FLOAT64),
        walk=walks_wider.InFloat32,
        wider=True,
        any_value=True,
    ),
    Alternative(
        why=Why.SUMS_IN_HALF,
        sentence="sums are carried out in the input's half format",
        concerns=half,
        walk=walks_wider.InHalf,
        wider=True,
        any_value=True,
    ),
)
