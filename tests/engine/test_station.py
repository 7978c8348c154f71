"""Outposts that are lost, refused or waited for in vain, on a cluster that is made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.contract import Adapter
from bnconform.conformance.engine import station as stations
from bnconform.conformance.engine.cluster import wants_gpu
from bnconform.conformance.engine.loading import AdapterError, Target
from bnconform.conformance.engine.manifest import recorded_versions
from bnconform.conformance.engine.outpost import Brief, Introduction
from bnconform.conformance.engine.station import TRIES, ClusterError, Station, StoppedError
from bnconform.conformance.engine.units import Subject
from bnconform.conformance.engine.worker import Described

TARGET = Target(module="nowhere", attribute="Nobody")
BRIEF = Brief(target=TARGET, source=None, known=(), limit=1.0, memory=2**30)
HERE = Described(available=True, reason="", version="2.13", device="cpu")
SUBJECT = Subject(target=TARGET, adapter=cast("type[Adapter]", NumpyReference), described=HERE)
HELLO = Introduction(described=HERE, versions=recorded_versions(), host="node7")


class _RayError(Exception):
    """What all errors of Ray are."""


class _ActorError(_RayError):
    actor_init_failed = False


class _TaskError(_RayError):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class _Actor:
    """Gives what it is told to, whatever it is asked."""

    def __init__(self, outcomes: list[Any]) -> None:
        self.introduce = self.work = self.leave = SimpleNamespace(
            remote=lambda *_: outcomes.pop(0) if outcomes else None
        )


class FakeRay:
    """The few functions of Ray that a station calls; ``actors`` say what each gives, in turn."""

    exceptions = SimpleNamespace(
        RayError=_RayError,
        RayTaskError=_TaskError,
        RayActorError=_ActorError,
        **dict.fromkeys(
            ("ObjectLostError", "WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"),
            _ActorError,
        ),
    )

    def __init__(self, *actors: list[Any], ready: bool = True, cores: float = 1.0) -> None:
        self.actors, self.ready, self.cores = list(actors), ready, cores
        self.placed = 0
        self.killed = 0

    def remote(self, _kind: type) -> Any:
        def place(*_: Any, **__: Any) -> _Actor:
            self.placed += 1
            return _Actor(self.actors[self.placed - 1])

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=place))

    def wait(self, references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return (references, []) if self.ready else ([], references)

    def get(self, outcome: Any, timeout: float = 0.0) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def kill(self, _actor: _Actor) -> None:
        self.killed += 1

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": self.cores}}]


Told = list[str]


def _station(
    ray: FakeRay, told: Told | None = None, stopped: Callable[[], bool] = lambda: False
) -> Station:
    options = {"num_cpus": 1, "num_gpus": 0}
    hear = (lambda _: None) if told is None else told.append
    found = Station(ray, "torch.module", BRIEF, options, stopped, hear)
    found.expected = SUBJECT
    return found


def test_an_outpost_stays_for_the_next_question() -> None:
    """A framework takes seconds to import, so it is placed once."""
    ray = FakeRay([HELLO, "one", "two"])
    station = _station(ray)
    assert [station.ask("work", 1), station.ask("work", 2)] == ["one", "two"]
    assert ray.placed == 1


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param([_ActorError("gone")], id="before it says who it is"),
        pytest.param([HELLO, _ActorError("gone")], id="while it works"),
    ],
)
def test_what_a_lost_outpost_was_asked_is_asked_again(lost: list[Any]) -> None:
    """Of another one, and it is said."""
    told: Told = []
    ray = FakeRay(lost, lost.copy(), [HELLO, "rows"])
    assert _station(ray, told).ask("work") == "rows"
    assert ray.placed == 3
    assert told == ["torch.module was lost with what it was asked, which is asked again"] * 2


def test_a_question_that_costs_every_outpost_is_given_up() -> None:
    """Else it would take node after node for ever."""
    ray = FakeRay(*([HELLO, _ActorError("node died: out of memory")] for _ in range(TRIES + 1)))
    with pytest.raises(ClusterError, match=r"5 outposts were lost .* node died: out of memory"):
        _station(ray).ask("work")
    assert ray.placed == ray.killed == TRIES


def test_an_error_of_the_harness_is_not_tried_again() -> None:
    """It would be the same elsewhere; the text is that of its cause."""
    ray = FakeRay([_TaskError(AdapterError("no adapter file gone.py"))])
    with pytest.raises(ClusterError, match=r"^torch\.module .*AdapterError: no adapter file"):
        _station(ray).ask("work")
    assert ray.placed == 1


def test_an_outpost_that_cannot_be_made_is_not_tried_again() -> None:
    """As where bnconform is not installed on a node."""
    error = _ActorError("No module named 'bnconform'")
    error.actor_init_failed = True
    ray = FakeRay([error])
    with pytest.raises(ClusterError, match="No module named 'bnconform'"):
        _station(ray).ask("work")
    assert ray.placed == 1


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        pytest.param(
            replace(HELLO, versions={**HELLO.versions, "numpy": "1.0"}),
            "node7 has numpy 1.0",
            id="its judge may judge differently",
        ),
        pytest.param(
            replace(HELLO, described=replace(HERE, version="2.12")),
            "torch.module on node7 is 2.12 on cpu, and 2.13 on cpu in this run",
            id="another version answers",
        ),
        pytest.param(
            replace(HELLO, described=replace(HERE, available=False, reason="no torch")),
            r"is missing \(no torch\)",
            id="nobody answers",
        ),
    ],
)
def test_a_node_that_differs_is_refused(other: Introduction, sentence: str) -> None:
    """The manifest tells one version, and it is the version of every row."""
    with pytest.raises(ClusterError, match=sentence):
        _station(FakeRay([other])).ask("work")


def test_nobody_waits_when_everybody_is_to_stop() -> None:
    """Ctrl-C does not wait for a unit."""
    with pytest.raises(StoppedError):
        _station(FakeRay([HELLO], ready=False), stopped=lambda: True).ask("work")


def test_a_cluster_that_can_never_hold_a_subject_is_told_from_a_busy_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One without a core is not waited for any longer than it takes to start a node."""
    monkeypatch.setattr(stations, "PATIENCE", 0.0)
    with pytest.raises(ClusterError, match=r"can hold torch\.module, which needs 1 CPU and 0 GPU"):
        _station(FakeRay([HELLO], ready=False, cores=0.0)).ask("work")
    busy = iter([False, False, True])
    with pytest.raises(StoppedError):
        _station(FakeRay([HELLO], ready=False), stopped=lambda: next(busy)).ask("work")


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        pytest.param("gpu.triton", {}, True, id="its name says so"),
        pytest.param("torch.module", {}, False, id="nothing says so"),
        pytest.param("torch.cudnn", {"gpu": True}, True, id="its class says so"),
        pytest.param("gpu.cuda.emulated", {"gpu": False}, False, id="its class says otherwise"),
    ],
)
def test_which_subjects_want_a_gpu(name: str, said: dict[str, bool], expected: bool) -> None:  # noqa: FBT001 -- a row of the table
    """Those called gpu.*, unless their class knows better."""
    assert wants_gpu(type("Named", (NumpyReference,), {"name": name, **said})) is expected


def test_an_adapter_that_is_a_file_is_sent_along(tmp_path: Path) -> None:
    """A node that does not have it writes it down; one that has the same uses its own."""
    from bnconform.conformance.engine.outpost import _placed

    source = b"class Mine: ..."
    there = Target(module="/not/there/mine.py", attribute="Mine")
    copy = _placed(there, source, tmp_path)
    assert Path(copy.module).read_bytes() == source
    assert _placed(copy, source, tmp_path / "unused") == copy
