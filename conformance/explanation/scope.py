"""Where something happens: the fewest facts that all affected cases share and no other one has."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

STRUCTURE = (
    "dtype", "mode", "variant", "half_parameters", "layouts", "layout", "upstream_layout", "rank",
    "smallest_count", "largest_count", "batch", "last_batch", "channels", "channel_axis",
    "feature_axes", "steps", "scale", "center",
)  # fmt: skip
"""Facts that code branches on (see ``known.case_facts``), in the order of preference."""

FACTS = (*STRUCTURE, "fill", "decay", "epsilon", "offset")
"""All facts: those of the values decide whether an error shows, more than whether it is made."""

Facts = Mapping[str, Any]
Where = dict[str, Any]

_MEASURED = frozenset(
    {
        "smallest_count", "largest_count", "batch", "last_batch", "channels", "decay", "epsilon",
        "offset",
    }
)  # fmt: skip
"""Facts of which a list would only repeat what was drawn: there a value or a limit must do."""

_MOST_VALUES = 3
"""A list of more values than this describes the sample rather than the cause."""


def find_scope(
    affected: Sequence[Facts],
    others: Sequence[Facts],
    facts: Sequence[str] = FACTS,
    spared: int = 0,
) -> Where | None:
    """A condition that all of ``affected`` meet and none of ``others``; None if there is none.

    ``spared`` is how many of the others may meet it nevertheless.

    In the grammar of a known divergence's ``where``: a value, a list of values, or a table with
    ``min`` or ``max``. {} when there are no others. Tries one fact, then two together.
    """
    if not others:
        return {}
    single = [(name, condition) for name in facts for condition in _conditions(name, affected)]
    for number in (1, 2):
        for chosen in sorted(itertools.combinations(single, number), key=_complexity):
            names = {name for name, _ in chosen}
            where = dict(chosen)
            if len(names) == number and sum(meets(where, other) for other in others) <= spared:
                return where
    return None


def _complexity(chosen: tuple[tuple[str, Any], ...]) -> tuple[int, int]:
    """One value says more than a limit, and a limit more than a list."""
    conditions = [condition for _, condition in chosen]
    lists = sum(isinstance(each, list) for each in conditions)
    return lists, sum(isinstance(each, dict) for each in conditions)


def meets(where: Mapping[str, Any], facts: Facts) -> bool:
    """Whether ``facts`` meet every condition of ``where``."""
    return all(name in facts and _holds(wanted, facts[name]) for name, wanted in where.items())


def _holds(wanted: Any, fact: Any) -> bool:
    if isinstance(wanted, dict):
        number = isinstance(fact, (int, float)) and not isinstance(fact, bool)
        return number and wanted.get("min", fact) <= fact <= wanted.get("max", fact)
    return fact in wanted if isinstance(wanted, list) else bool(fact == wanted)


def _conditions(name: str, affected: Sequence[Facts]) -> list[Any]:
    """Conditions on one fact that all of ``affected`` meet, the simplest first."""
    if any(name not in facts for facts in affected):
        return []
    values = [facts[name] for facts in affected]
    distinct = sorted(set(values), key=repr)
    found: list[Any] = []
    if len(distinct) == 1:
        found.append(distinct[0])
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if numbers:
        found += [{"min": min(values)}, {"max": max(values)}]
    if 1 < len(distinct) <= _MOST_VALUES and name not in _MEASURED:
        found.append(distinct)
    return found
