"""What a record is about: a case, an experiment or a malformed call, told in one way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from .case import Case
from .cases.malformed import Probe
from .experiments.experiment import Experiment
from .known.divergences import case_facts

Rank = tuple[int, int, int, str]
"""Order from simple to complicated."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """``find`` and ``tell`` give :attr:`facts` and :attr:`told`, which few topics are asked for.

    The rest are the record's columns of the same names.
    """

    id: str
    find: Callable[[], Mapping[str, Any]]
    tell: Callable[[], Mapping[str, Any]]
    rank_of_example: Rank
    mode: str = ""
    dtype: str = ""
    fill: str = ""
    rank: int = 0
    smallest_count: int = 0
    signature: str = ""

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What known divergences may ask."""
        return self.find()

    @property
    def told(self) -> Mapping[str, Any]:
        """All of it as JSON-ready data."""
        return self.tell()


def topic_of_case(case: Case) -> Topic:
    """A case as it is."""
    return _like(case, case.id, partial(case_facts, case), case.to_dict)


def topic_of_experiment(experiment: Experiment) -> Topic:
    """An experiment, which has no one case."""
    return Topic(
        id=experiment.id,
        find=partial(dict, experiment=experiment.name),
        tell=partial(
            dict,
            experiment=experiment.name,
            parameter=experiment.parameter,
            purpose=experiment.purpose,
        ),
        rank_of_example=(0, 0, 0, experiment.id),
    )


def topic_of_probe(probe: Probe) -> Topic:
    """A malformed call: its base case, and what is wrong."""
    return _like(
        probe.base, probe.id, partial(_facts_of_probe, probe), partial(_tell_of_probe, probe)
    )


def _facts_of_probe(probe: Probe) -> dict[str, Any]:
    return {**case_facts(probe.base), "malformation": probe.malformation.value}


def _tell_of_probe(probe: Probe) -> dict[str, Any]:
    return {
        "malformation": probe.malformation.value,
        "what": probe.rule.what,
        "base": probe.base.to_dict(),
    }


def _like(
    case: Case,
    name: str,
    find: Callable[[], Mapping[str, Any]],
    tell: Callable[[], Mapping[str, Any]],
) -> Topic:
    return Topic(
        id=name,
        find=find,
        tell=tell,
        rank_of_example=(case.steps, math.prod(case.shape), case.rank, name),
        mode=case.mode.value,
        dtype=case.dtype.value,
        fill=case.fill.kind.value,
        rank=case.rank,
        smallest_count=case.smallest_count,
        signature=case.signature,
    )
