"""Miniature adapters: two right ones, and one for each defect that the suite must find.

They are ordinary adapters and no registered subjects. Each differs from a right one in exactly one
method, and the defects are drawn from classes of real ones, whose reports are named beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

from bnconform.adapters.miniatures import (
    contract,
    gradients,
    layout,
    nondeterminism,
    precision,
    sizes,
    state,
    terms,
)
from bnconform.adapters.miniatures.planting import planted_in
from bnconform.adapters.miniatures.right import Right, RightOtherwise
from bnconform.conformance.selftest.planted import Planted

CONTROLS: Mapping[str, Planted] = {
    miniature.name: Planted(
        adapter=miniature,
        causes=(),
        where=(),
        sentence=(miniature.__doc__ or "").splitlines()[0],
        source="adapters/miniatures/layer.py: the equations in its docstring",
    )
    for miniature in (Right, RightOtherwise)
}
"""The miniatures without a defect, by name."""

FAMILIES = {
    "terms": terms,
    "state": state,
    "precision": precision,
    "layout": layout,
    "sizes": sizes,
    "gradients": gradients,
    "contract": contract,
    "nondeterminism": nondeterminism,
}

DEFECTS: Mapping[str, Planted] = {
    name: planted for family in FAMILIES.values() for name, planted in planted_in(family).items()
}
"""What is planted, by the miniature's name."""
