"""An outpost as its campaign sees it: placed, asked, and replaced when it is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from .cluster_actor import THREADS, ActorOutpost
from .manifest import recorded_versions
from .outpost import Brief, Introduction
from .units import Subject

TRIES = 5
"""Outposts that may be lost over one question before that is called the question's fault."""

PATIENCE = 300.0
"""Seconds to wait for a node on which a subject could be placed, when the cluster has none."""

_GLANCE = 0.5
"""Seconds after which it is looked whether everybody is to stop."""

_LEAVE_LIMIT = 15.0
"""Seconds that an outpost gets to end its process."""

JUDGING_PACKAGES = ("bnconform", "numpy", "ml_dtypes", "gmpy2")
"""What decides a judgement besides the answer, and must be the same on every node."""


class ClusterError(Exception):
    """A cluster cannot do what it is asked; the text says what to do."""


class StoppedError(Exception):
    """Everybody is to stop, so nobody waits for the answer."""


class Station:
    """An outpost as seen from here; the one behind it may change."""

    def __init__(
        self,
        ray: Any,
        name: str,
        brief: Brief,
        options: Mapping[str, Any],
        stopped: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        """Nothing is placed yet.

        ``options`` are an actor's, as Ray takes them; ``stopped`` says when nobody waits any more;
        ``tell`` hears of every loss. Set ``expected`` to refuse nodes that differ from it.
        """
        self._ray, self._name, self._brief, self._options = ray, name, brief, options
        self._stopped, self._tell = stopped, tell
        self._actor: Any = None
        self._introduction: Introduction | None = None
        self.expected: Subject | None = None
        errors = ray.exceptions
        self._losses = (
            errors.RayActorError, errors.ObjectLostError, errors.WorkerCrashedError,
            errors.NodeDiedError, errors.OutOfMemoryError,
        )  # fmt: skip

    def introduced(self) -> Introduction:
        """Who answers, once somebody does."""
        return cast("Introduction", self._insisting(self._present))

    def ask(self, method: str, *arguments: Any) -> Any:
        """What the outpost gives; one that is lost is replaced, and the next is asked the same."""
        return self._insisting(lambda: self._asked(method, arguments))

    def _asked(self, method: str, arguments: tuple[Any, ...]) -> Any:
        self._present()
        return self._awaited(getattr(self._actor, method).remote(*arguments))

    def _insisting(self, ask: Callable[[], Any]) -> Any:
        for _ in range(TRIES):
            try:
                return ask()
            except self._losses as error:
                if getattr(error, "actor_init_failed", False):
                    msg = f"{self._name} on the cluster: {error}"
                    raise ClusterError(msg) from error
                last = str(error).strip().splitlines()[0]
                self._tell(f"{self._name} was lost with what it was asked, which is asked again")
                self.abandon()
        msg = (
            f"{TRIES} outposts were lost over the same work of {self._name}, the last one to: "
            f"{last}; what was written before is kept: mend that, and continue with --resume"
        )
        raise ClusterError(msg)

    def _present(self) -> Introduction:
        if self._introduction is None:
            remote = self._ray.remote(ActorOutpost).options(**self._options)
            gpu = bool(self._options["num_gpus"])
            self._actor = remote.remote(self._brief, os.environ.get(THREADS), gpu=gpu)
            found = cast("Introduction", self._awaited(self._actor.introduce.remote()))
            _check(self._name, found, self.expected)
            self._introduction = found
        return self._introduction

    def _awaited(self, reference: Any) -> Any:
        began = time.monotonic()
        while not self._ray.wait([reference], timeout=_GLANCE)[0]:
            if self._stopped():
                raise StoppedError
            if time.monotonic() - began > PATIENCE and not self._placeable():
                msg = (
                    f"no node of the cluster can hold {self._name}, which needs "
                    f"{self._options['num_cpus']} CPU and {self._options['num_gpus']} GPU; "
                    "add one, and continue with --resume"
                )
                raise ClusterError(msg)
        try:
            return self._ray.get(reference)
        except self._losses:
            raise
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            msg = f"{self._name} on the cluster: {type(cause).__name__}: {cause}"
            raise ClusterError(msg) from error
        except self._ray.exceptions.RayError as error:
            msg = f"{self._name} on the cluster: {type(error).__name__}: {error}"
            raise ClusterError(msg) from error

    def _placeable(self) -> bool:
        """Whether some node could hold the outpost if it held nothing else."""
        needs = {"CPU": self._options["num_cpus"], "GPU": self._options["num_gpus"]}
        return any(
            all(node["Resources"].get(name, 0.0) >= count for name, count in needs.items())
            for node in self._ray.nodes()
            if node["Alive"]
        )

    def leave(self) -> None:
        """End the subject's process, then the actor."""
        if self._introduction is not None:
            with suppress(self._ray.exceptions.RayError):
                self._ray.get(self._actor.leave.remote(), timeout=_LEAVE_LIMIT)
        self.abandon()

    def abandon(self) -> None:
        """End the actor, if it still is there, whatever it does; its node ends its processes."""
        if self._actor is not None:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(self._actor)
        self._actor = self._introduction = None


def _check(name: str, found: Introduction, expected: Subject | None) -> None:
    """Refuse a node that would judge or answer differently from what the manifest says."""
    here = recorded_versions()
    for package in JUDGING_PACKAGES:
        if found.versions.get(package) != here.get(package):
            msg = (
                f"{found.host} has {package} {found.versions.get(package, 'not')}, this machine "
                f"{here.get(package, 'not')}; they judge alike only if they are the same: install "
                "one of them everywhere"
            )
            raise ClusterError(msg)
    if expected is not None and found.described != expected.described:
        msg = (
            f"{name} on {found.host} is {_told(found)}, and {expected.described.version} on "
            f"{expected.described.device} in this run; give every node the same, for example with "
            f"--runtime-env {name.partition('.')[0]}=FILE.json, and continue with --resume"
        )
        raise ClusterError(msg)


def _told(found: Introduction) -> str:
    said = found.described
    return f"{said.version} on {said.device}" if said.available else f"missing ({said.reason})"
