"""bnconform: an executable standard for batch normalization.

The names here are the public API: what an adapter needs, and what judges it. The command line is
``bnconform`` (``python -m bnconform``).
"""

from __future__ import annotations

from bnconform.conformance.case import Case, Fill, FillKind, Layout, Mode
from bnconform.conformance.clauses import CLAUSES, Clause, Level
from bnconform.conformance.contract import (
    Adapter,
    Axes,
    Capabilities,
    Layer,
    Parameters,
    Quantity,
    Step,
    UnsupportedError,
)
from bnconform.conformance.dialect import (
    Claim,
    Dialect,
    FrozenPolicy,
    HalfOutput,
    MomentumSense,
    Policy,
    RunningVariance,
    VarianceAlgorithm,
)
from bnconform.conformance.formats import DType

__all__ = [
    "CLAUSES",
    "Adapter",
    "Axes",
    "Capabilities",
    "Case",
    "Claim",
    "Clause",
    "DType",
    "Dialect",
    "Fill",
    "FillKind",
    "FrozenPolicy",
    "HalfOutput",
    "Layer",
    "Layout",
    "Level",
    "Mode",
    "MomentumSense",
    "Parameters",
    "Policy",
    "Quantity",
    "RunningVariance",
    "Step",
    "UnsupportedError",
    "VarianceAlgorithm",
]
