"""Where something happens: the fewest facts that all affected cases share and no other one has.

An error need not show in every case in which it is made, so that a condition which some of the
others meet, too, may be right nevertheless. It counts if all that is affected could hardly meet it
by accident (:func:`likely_scope`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

STRUCTURE = (
    "dtype", "mode", "variant", "half_parameters", "layouts", "layout", "upstream_layout", "rank",
    "smallest_count", "largest_count", "batch", "last_batch", "channels", "channel_axis",
    "feature_axes", "steps", "scale", "center",
)  # fmt: skip
"""Facts that code branches on (see ``known.case_facts``), in the order of preference."""

MORE_STRUCTURE = (
    *STRUCTURE, "smaller_last_batch", "upstream", "same_inputs", "mask", "hidden",
)  # fmt: skip
"""With facts any two of which would too easily fit a handful of cases together."""

FACTS = (*STRUCTURE, "fill", "decay", "epsilon", "offset", "level")
"""All facts: those of the values decide whether an error shows, more than whether it is made."""

Facts = Mapping[str, Any]
Where = dict[str, Any]

CATEGORIES = ("dtype", "mode", "variant", "half_parameters", "layouts", "rank", "channel_axis")
"""Facts of so few values that two cases which share one say something."""

_MEASURED = frozenset(
    {
        "smallest_count", "largest_count", "batch", "last_batch", "channels", "decay", "epsilon",
        "offset", "level",
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

    It is in the grammar of a known divergence's ``where``: a value, a list of values, or a table
    with ``min`` or ``max``; {} when there are no others. One fact is tried, then two together.
    ``spared`` is how many of the others may meet it nevertheless.
    """
    if not others:
        return {}
    single = [
        (name, condition, frozenset(_meeting({name: condition}, others)))
        for name in facts
        for condition in _conditions(name, affected)
    ]
    for number in (1, 2):
        for chosen in sorted(itertools.combinations(single, number), key=_complexity):
            where = {name: condition for name, condition, _ in chosen}
            met = frozenset.intersection(*(meeting for _, _, meeting in chosen))
            if len(where) == number and len(met) <= spared:
                return where
    return None


def _meeting(where: Where, others: Sequence[Facts]) -> Iterator[int]:
    """The positions of those of ``others`` that meet ``where``."""
    return (place for place, other in enumerate(others) if meets(where, other))


def likely_scope(affected: Sequence[Facts], others: Sequence[Facts]) -> Where | None:
    """A condition on one fact of the structure that all of ``affected`` meet, and few others.

    Cases of one structure differ in their values alone, so that they count as one, and as affected
    if any of them is. The condition must be one that as many structures, drawn from all there are,
    would meet by accident with a probability below :data:`_ACCIDENT`, however many conditions were
    tried. Of such the one that fewest others meet is taken; None if there is none.
    """
    inside = _structures(affected)
    outside = {key: facts for key, facts in _structures(others).items() if key not in inside}
    tried = [
        (name, condition)
        for name in MORE_STRUCTURE
        for condition in _conditions(name, list(inside.values()))
    ]
    found: list[tuple[float, Where]] = []
    for name, condition in tried:
        where = {name: condition}
        # One more on each side: of few structures, none may meet it by accident.
        met = sum(meets(where, facts) for facts in outside.values()) + 1
        share = (met + len(inside)) / (len(outside) + len(inside) + 1)
        if isinstance(condition, dict):
            share = min(1.0, _LIMIT_COUNTS * share)
        if len(tried) * share ** len(inside) < _ACCIDENT:
            found.append((share, where))
    simplest = min(found, key=lambda each: (each[0], _complexity(each[1].items())), default=None)
    return None if simplest is None else simplest[1]


_ACCIDENT = 0.01
"""Probability up to which what all affected cases share is taken for no accident."""

_LIMIT_COUNTS = 1.5
"""How much likelier a limit, which is set to fit, is to be met by accident than a value."""


def _structures(cases: Sequence[Facts]) -> dict[tuple[str, ...], Facts]:
    """One of the cases of each structure."""
    return {tuple(repr(facts.get(name)) for name in MORE_STRUCTURE): facts for facts in cases}


def _complexity(chosen: Iterable[tuple[Any, ...]]) -> tuple[int, int]:
    """One value says more than a limit, and a limit more than a list.

    ``chosen`` has a name and a condition first in each.
    """
    conditions = [condition for _, condition, *_ in chosen]
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
