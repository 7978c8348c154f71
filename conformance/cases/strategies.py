"""Hypothesis strategies over the case space.

>>> from hypothesis import given
>>> @given(cases(mode=Mode.TRAIN))
... def test_something(case): ...

Campaigns do not draw from these: what Hypothesis generates depends on its version and on the
constants it finds in the modules that happen to be imported, while a campaign must give the same
cases on every machine. Both draw from ``case_space.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from ..case import Case, FillKind, Mode
from ..formats import DType
from ..variant import PLAIN, Variant
from .case_space import Demand, Signature, draw_case, draw_signature

T = TypeVar("T")


class _Drawn:
    """Choices that Hypothesis makes, and therefore shrinks."""

    def __init__(self, draw: DrawFn) -> None:
        self.draw = draw

    def pick(self, options: Sequence[T]) -> T:
        return self.draw(st.sampled_from(options))

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))


@st.composite
def signatures(draw: DrawFn, *, demand: Demand | None = None) -> Signature:
    """Signatures that meet ``demand``.

    Shrinks towards a contiguous float32 matrix with three channels on axis 1 and one training step.
    """
    return draw_signature(_Drawn(draw), demand)


@st.composite
def cases(
    draw: DrawFn,
    *,
    rank: int | None = None,
    dtype: DType | None = None,
    mode: Mode | None = None,
    kind: FillKind | None = None,
    variant: Variant | None = None,
) -> Case:
    """Cases with the given properties; what is None is drawn.

    ``kind`` 'exact' also asks for power-of-two counts and a plain case, without which it does not
    exist; a ``variant`` must fit whatever else is drawn. Shrinks like :func:`signatures`, towards
    ordinary values, epsilon 1e-3 and decay 0.9.
    """
    demand = Demand(rank=rank, dtype=dtype, mode=mode, variant=variant)
    if kind is FillKind.EXACT:
        demand = replace(demand, powers_of_two=True, half_parameters=False, variant=PLAIN)
    choices = _Drawn(draw)
    return draw_case(choices, draw_signature(choices, demand), kind)


@st.composite
def cases_of(draw: DrawFn, signatures: Sequence[Signature]) -> Case:
    """Cases of the given signatures, for searches whose cost grows with their number.

    Shrinks like :func:`cases`, towards the first signature.
    """
    choices = _Drawn(draw)
    return draw_case(choices, choices.pick(signatures))
