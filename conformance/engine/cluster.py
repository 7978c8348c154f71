"""A campaign's units on a cluster of Ray: where an outpost goes, and what happens if it is lost.

Each worker's thread of the campaign holds one outpost. A unit is asked as a whole and its rows are
written here when they have all come, so one that was lost on the way is simply asked again.
"""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self, cast

from ..contract import Adapter
from .crew import Desk, Found
from .loading import Target
from .outpost import Brief, Order
from .process import MEMORY_LIMIT
from .scheduling import Scheduler
from .station import ClusterError, Station, StoppedError
from .units import Subject, Unit

LOCAL = "local"
"""The address that starts a cluster on this machine, for as long as it is needed."""

_KNOCK_LIMIT = 10.0
"""Seconds within which somebody must answer at an address."""


class Cluster:
    """A connection to Ray; use it as a context manager, and as the crew of a campaign."""

    def __init__(
        self,
        address: str,
        *,
        environments: Mapping[str, Mapping[str, Any]] | None = None,
        cores: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connect to the cluster at ``address``, or start one of ``cores`` where it is 'local'.

        ``environments`` are runtime environments as Ray takes them, by subject or by what its name
        begins with: 'torch' is for 'torch.module', too. ``tell`` hears of what was lost. Raises
        :class:`ClusterError`.
        """
        self._tell = tell
        self.address, self._environments = address, dict(environments or {})
        self._set: dict[str, str] = {}
        self._ray = self._connected(cores)
        self._lock = Lock()
        self._cases: tuple[Mapping[str, Any], Any] | None = None

    def _connected(self, cores: int | None) -> Any:
        # Before the import, which reads them.
        self._set_variable("RAY_USAGE_STATS_ENABLED", "0")
        if self.address != LOCAL:
            # Of 40 seconds each: 'auto' may be the address of a cluster that is long gone.
            self._set_variable("RAY_NUM_REDIS_GET_RETRIES", "2")
        if self.address == LOCAL and "RAY_AUTH_MODE" not in os.environ:
            # Ray would write a token for all its clusters into the home directory.
            self._set_variable("RAY_AUTH_MODE", "token")
            self._set_variable("RAY_AUTH_TOKEN", secrets.token_hex(32))
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            msg = f"--cluster needs Ray ({error}): pip install bnconform[cluster]"
            raise ClusterError(msg) from error
        try:
            _knock(self.address)
            ray.init(
                address=self.address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({"num_cpus": cores} if self.address == LOCAL and cores else {}),
            )
        except Exception as error:
            msg = (
                f"cannot connect to a Ray cluster at {self.address!r}: {_why(error)}; give the "
                f"address that `ray start --head` prints, or use --cluster {LOCAL}"
            )
            raise ClusterError(msg) from error
        # Ray prints what it says of lost nodes on stdout, among our results, whatever its level.
        vars(importlib.import_module("ray._private.worker"))["_worker_logs_enabled"] = False
        return ray

    def _set_variable(self, name: str, value: str) -> None:
        if name not in os.environ:
            self._set[name] = os.environ[name] = value

    def __enter__(self) -> Self:
        """Nothing to do: it is connected."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect; Ray ends what is left of ours."""
        self._ray.shutdown()
        for name in self._set:
            os.environ.pop(name, None)

    @property
    def cores(self) -> int:
        """How many outposts the cluster can hold at a time, at least one."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    @property
    def facts(self) -> dict[str, Any]:
        """Address, version of Ray, the nodes and the environments, JSON-ready."""
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        return {
            "address": self.address,
            "ray": str(self._ray.__version__),
            "nodes": [
                {
                    "host": node["NodeManagerHostname"],
                    "cores": node["Resources"].get("CPU", 0.0),
                    "gpus": node["Resources"].get("GPU", 0.0),
                }
                for node in alive
            ],
            "environments": {
                name: _without_values(each) for name, each in self._environments.items()
            },
        }

    def describe(self, target: Target, adapter: type[Adapter]) -> Subject:
        """What :func:`bnconform.conformance.engine.units.describe_subject` says, on a node."""
        brief = _brief(target, known=(), limit=0.0, memory=MEMORY_LIMIT)
        with self._station(brief, adapter, lambda: False) as station:
            described = station.introduced().described
        return Subject(target=target, adapter=adapter, described=described)

    def work(self, scheduler: Scheduler, desk: Desk) -> None:
        """Take units until there are none, with an outpost for one subject after another."""
        unit = scheduler.take(None)
        # What is asked after everybody was told to stop has no answer.
        with suppress(StoppedError):
            while unit is not None:
                self._work_for(unit.subject, unit, scheduler, desk)
                # The outpost is gone by now: whoever waits here keeps no node from the others.
                unit = scheduler.take(None)

    def _work_for(self, subject: Subject, first: Unit, scheduler: Scheduler, desk: Desk) -> None:
        brief = _brief(subject.target, known=desk.known, limit=desk.limit, memory=desk.memory)
        with self._station(brief, subject.adapter, lambda: desk.stopped) as station:
            station.expected = subject
            unit: Unit | None = first
            while unit is not None:
                if desk.begins(unit):
                    desk.keep(unit, cast("Found", station.ask("work", Order.of(unit))))
                if scheduler.done(unit):
                    cases = self._shared(desk.cases)
                    explained = station.ask("explain", desk.rows_of(subject), cases)
                    desk.keep_explanations(subject, explained)
                desk.expects(scheduler)
                unit = scheduler.more(subject.name)

    def _shared(self, cases: Mapping[str, Any]) -> Any:
        """A reference to the campaign's cases, which are sent to a node once."""
        with self._lock:
            if self._cases is None or self._cases[0] is not cases:
                self._cases = cases, self._ray.put(cases)
            return self._cases[1]

    @contextmanager
    def _station(
        self, brief: Brief, adapter: type[Adapter], stopped: Callable[[], bool]
    ) -> Iterator[Station]:
        needs = {"num_cpus": 1, "num_gpus": int(wants_gpu(adapter) and self._has_gpus())}
        environment = self._environment_of(adapter.name)
        options: dict[str, Any] = {
            **needs,
            # Else Ray fills one node before it uses the next.
            "scheduling_strategy": "SPREAD",
            **({"runtime_env": dict(environment)} if environment else {}),
        }
        station = Station(self._ray, adapter.name, brief, options, stopped, self._tell)
        try:
            yield station
        except BaseException:
            station.abandon()
            raise
        station.leave()

    def _has_gpus(self) -> bool:
        return bool(self._ray.cluster_resources().get("GPU", 0.0) >= 1)

    def _environment_of(self, subject: str) -> Mapping[str, Any]:
        """The subject's runtime environment; nothing where none is given."""
        name = name_that_fits(self._environments, subject)
        return {} if name is None else self._environments[name]


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT, which Ray would try for many minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_LIMIT).close()


def _why(error: BaseException) -> str:
    """The last line of what an error came from, which says most of why."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _without_values(environment: Mapping[str, Any]) -> dict[str, Any]:
    """A runtime environment without what its variables hold, which may be secret."""
    names = sorted(environment.get("env_vars", {}))
    return {**environment, **({"env_vars": names} if names else {})}


def name_that_fits(names: Iterable[str], subject: str) -> str | None:
    """Of ``names`` the one that says most of the subject's: 'torch' fits 'torch.module'."""
    fitting = [name for name in names if f"{subject}.".startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def wants_gpu(adapter: type[Adapter]) -> bool:
    """Whether the subject belongs on a node with a GPU where there is one.

    An adapter says so with a class attribute ``gpu``; subjects called ``gpu.*`` need not.
    """
    return bool(getattr(adapter, "gpu", adapter.name.startswith("gpu.")))


def _brief(target: Target, *, known: Any, limit: float, memory: int) -> Brief:
    path = Path(target.module)
    if target.module.endswith(".py") and path.is_file():
        path = path.resolve()
        there = Target(module=str(path), attribute=target.attribute)
        source = path.read_bytes()
        return Brief(target=there, source=source, known=known, limit=limit, memory=memory)
    return Brief(target=target, source=None, known=known, limit=limit, memory=memory)
