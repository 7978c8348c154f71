"""Every experiment by name."""

from __future__ import annotations

from collections.abc import Mapping

from .axes import AXES_OF_UNKNOWN_SIZE
from .experiment import Experiment
from .exports import EXPORTS
from .initializers import INITIALIZERS
from .optimization import OPTIMIZATION
from .second_order import SECOND_ORDER
from .sharing import SHARING
from .switches import SWITCHES

LAYERS: tuple[Experiment, ...] = (
    AXES_OF_UNKNOWN_SIZE + INITIALIZERS + OPTIMIZATION + SWITCHES + SHARING
)
"""What no single call of a layer shows."""

ALL: tuple[Experiment, ...] = LAYERS + SECOND_ORDER + EXPORTS

EXPERIMENTS: Mapping[str, Experiment] = {experiment.name: experiment for experiment in ALL}
