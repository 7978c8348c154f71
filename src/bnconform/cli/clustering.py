"""``--cluster`` and ``--runtime-env``: units on other machines, each framework in its own place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bnconform.cli.errors import UsageError
from bnconform.conformance.engine.cluster import Cluster


@contextmanager
def cluster_at(
    address: str | None,
    environments: Sequence[str],
    workers: int | None,
    tell: Callable[[str], None],
) -> Iterator[Cluster | None]:
    """The cluster at ``address``, for as long as it is needed; None where none is asked for.

    ``environments`` are NAME=FILE.json; ``tell`` hears of what is lost. Raises
    :class:`UsageError`, and the :class:`bnconform.conformance.engine.station.ClusterError` of a
    cluster that is not there.
    """
    if address is None:
        if environments:
            msg = "--runtime-env is for nodes of a cluster; give --cluster as well"
            raise UsageError(msg)
        yield None
        return
    read = dict(map(read_environment, environments))
    with Cluster(address, environments=read, cores=workers, tell=tell) as cluster:
        yield cluster


def read_environment(text: str) -> tuple[str, dict[str, Any]]:
    """The subject, or what its name begins with, and its runtime environment."""
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        msg = f"--runtime-env must be NAME=FILE.json, such as torch=nightly.json, got {text!r}"
        raise UsageError(msg)
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{file} must hold a runtime environment of Ray as JSON: {error}"
        raise UsageError(msg) from error
    if not isinstance(found, dict):
        msg = f"{file} must hold a JSON object, got {type(found).__name__}"
        raise UsageError(msg)
    return name, found
