"""What a case must give: the way in.

>>> expected = expect(case, make_inputs(case), Conventions.of(dialect))
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .case import Case
from .expectation import EXACT_DECAYS, Conventions, Expectation, Expected, is_exact_lane
from .expecter_variants import EXPECTERS
from .fills import Inputs

__all__ = [
    "EXACT_DECAYS",
    "Conventions",
    "Expectation",
    "Expected",
    "expect",
    "is_exact_lane",
]


def expect(case: Case, inputs: Inputs, conventions: Conventions) -> Expected:
    """All that ``case`` must give under ``conventions``."""
    case = replace(case, epsilon=max(case.epsilon, conventions.epsilon_floor))
    # Cases that hold NaN or infinity have undefined channels by intention.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        return EXPECTERS[case.variant.kind](case, inputs.parameters, conventions).run(inputs)
