"""Which subjects a command is about: registered names, or adapters given as files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bnconform.adapters import REGISTRY
from bnconform.cli.errors import UsageError
from bnconform.conformance.contract import Adapter
from bnconform.conformance.engine.campaign import Subject
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.units import describe_subjects


def select_targets(names: str, adapters: Sequence[str]) -> list[Target]:
    """Targets for ``--subjects`` ('all' or a comma-separated list) and every ``--adapter``.

    With adapters given and ``names`` empty, only those.
    """
    targets = [Target.parse(REGISTRY[name]) for name in _names(names, bool(adapters))]
    return targets + [Target.parse(text) for text in adapters]


def _names(names: str, have_adapters: bool) -> list[str]:
    if not names:
        return [] if have_adapters else list(REGISTRY)
    if names == "all":
        return list(REGISTRY)
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in REGISTRY]
    if unknown or not chosen:
        known = ", ".join(REGISTRY)
        msg = f"no subject {', '.join(unknown) or repr(names)}; there are: {known}"
        raise UsageError(msg)
    return list(dict.fromkeys(chosen))


def describe_all(
    targets: Sequence[Target],
    workers: int,
    done: Callable[[Subject], None],
    describe: Callable[[Target, type[Adapter]], Subject] | None = None,
) -> list[Subject]:
    """Start every subject once, ``workers`` at a time; ``done`` hears of each.

    Without ``describe``, which does it elsewhere, registered ones that have one environment share a
    process for it.
    """
    classes = [load_class(target) for target in targets]
    names = [adapter.name for adapter in classes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"two adapters are called {', '.join(twice)}; give each its own name"
        raise UsageError(msg)
    subjects = {}
    with ThreadPoolExecutor(max_workers=workers) as executor:
        if describe is None:
            groups = _groups(targets, classes)
            found = executor.map(lambda group: list(describe_subjects(*group)), groups)
        else:
            found = ([each] for each in executor.map(describe, targets, classes))
        for subject in itertools.chain.from_iterable(found):
            done(subject)
            subjects[subject.name] = subject
    return [subjects[name] for name in names]


def _groups(
    targets: Sequence[Target], classes: Sequence[type[Adapter]]
) -> list[tuple[list[Target], list[type[Adapter]]]]:
    """Those that can be described in one process, together."""
    registered = set(map(Target.parse, REGISTRY.values()))
    groups: dict[str, tuple[list[Target], list[type[Adapter]]]] = {}
    for target, adapter in zip(targets, classes, strict=True):
        alone = "" if target in registered else adapter.name
        members, kinds = groups.setdefault(
            f"{sorted(adapter.environment.items())}{alone}", ([], [])
        )
        members.append(target)
        kinds.append(adapter)
    return list(groups.values())
