"""Every experiment by name."""

from __future__ import annotations

from collections.abc import Mapping

from .axes import AXES_OF_UNKNOWN_SIZE
from .experiment import Experiment
from .initializers import INITIALIZERS
from .optimization import OPTIMIZATION
from .sharing import SHARING
from .switches import SWITCHES

ALL: tuple[Experiment, ...] = (
    AXES_OF_UNKNOWN_SIZE + INITIALIZERS + OPTIMIZATION + SWITCHES + SHARING
)

EXPERIMENTS: Mapping[str, Experiment] = {experiment.name: experiment for experiment in ALL}
