"""What a record is about: a case, an experiment or a malformed call, told in one way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .case import Case
from .cases.malformed import Probe
from .experiments.experiment import Experiment
from .known.divergences import case_facts

Rank = tuple[int, int, int, str]
"""Order from simple to complicated."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """``facts`` are what known divergences may ask; ``told`` is JSON-ready.

    The rest are the record's columns of the same names.
    """

    id: str
    facts: Mapping[str, Any]
    told: Mapping[str, Any]
    rank_of_example: Rank
    mode: str = ""
    dtype: str = ""
    fill: str = ""
    rank: int = 0
    smallest_count: int = 0
    signature: str = ""


def topic_of_case(case: Case) -> Topic:
    """A case as it is."""
    return _like(case, case.id, case_facts(case), case.to_dict())


def topic_of_experiment(experiment: Experiment) -> Topic:
    """An experiment, which has no one case."""
    return Topic(
        id=experiment.id,
        facts={"experiment": experiment.name},
        told={
            "experiment": experiment.name,
            "parameter": experiment.parameter,
            "purpose": experiment.purpose,
        },
        rank_of_example=(0, 0, 0, experiment.id),
    )


def topic_of_probe(probe: Probe) -> Topic:
    """A malformed call: its base case, and what is wrong."""
    facts = {**case_facts(probe.base), "malformation": probe.malformation.value}
    told = {
        "malformation": probe.malformation.value,
        "what": probe.rule.what,
        "base": probe.base.to_dict(),
    }
    return _like(probe.base, probe.id, facts, told)


def _like(case: Case, name: str, facts: Mapping[str, Any], told: Mapping[str, Any]) -> Topic:
    return Topic(
        id=name,
        facts=facts,
        told=told,
        rank_of_example=(case.steps, math.prod(case.shape), case.rank, name),
        mode=case.mode.value,
        dtype=case.dtype.value,
        fill=case.fill.kind.value,
        rank=case.rank,
        smallest_count=case.smallest_count,
        signature=case.signature,
    )
