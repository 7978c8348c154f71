"""bnconform: an executable standard for batch normalization.

The names here are the public API: what an adapter needs, and what judges it. The command line is
``bnconform`` (``python -m bnconform``). Each is imported when it is first asked for: pytest, where
the plugin is installed, imports this package whether it tests adapters or not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_NAMES = {
    "case": "Case Fill FillKind Layout Mode",
    "clauses": "CLAUSES Clause Level",
    "contract": "Adapter Axes Capabilities Layer Parameters Quantity Step UnsupportedError",
    "dialect": "Claim Dialect FrozenPolicy HalfOutput MomentumSense Policy RunningVariance"
    " VarianceAlgorithm",
    "formats": "DType",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
"""Name -> the module of ``conformance`` that it is from."""


def __getattr__(name: str) -> Any:
    """One of ``__all__``; AttributeError for any other name."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(f"{__name__}.conformance.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """What is public, imported or not."""
    return sorted({*globals(), *__all__})
