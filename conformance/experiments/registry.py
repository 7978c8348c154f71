"""Every experiment by name."""

from __future__ import annotations

from collections.abc import Mapping

from .experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {}
