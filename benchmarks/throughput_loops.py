"""The three loops that ``throughput.py`` compares; each runs in a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
from hypothesis import HealthCheck, given, settings

from bnconform.cli.subjects import describe_all, select_targets
from bnconform.conformance.case import Case
from bnconform.conformance.cases.fills import Inputs, make_inputs
from bnconform.conformance.cases.plan import PROFILES, plan_cases
from bnconform.conformance.cases.strategies import cases as any_case
from bnconform.conformance.contract import Adapter, Answered
from bnconform.conformance.engine import answering, campaign, closing, judging, worker
from bnconform.conformance.engine.loading import load_class
from bnconform.conformance.engine.run_directory import RunDirectory
from bnconform.conformance.engine.units import Quiet, Request
from bnconform.conformance.judging.judge import Trial, judge
from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.reference import Conventions, expect

Item = TypeVar("Item")
MADE_AT_ONCE = 2**21
"""Elements whose arrays are made before the clock starts, so that memory holds them."""


def alone(arguments: argparse.Namespace) -> dict[str, Any]:
    """The framework's own layers, on arrays that are there already."""
    kind = _class(arguments.subjects)
    os.environ.update(kind.environment)
    adapter = kind()
    asked = sorted(_asked(arguments, kind), key=lambda case: case.signature)
    seconds = 0.0
    for some in _portions(asked):
        made = [(case, make_inputs(case)) for case in some]
        began = time.perf_counter()
        for case, inputs in made:
            _call(adapter, case, inputs)
        seconds += time.perf_counter() - began
    return {"cases": len(asked), "seconds": seconds}


def _call(adapter: Adapter, case: Case, inputs: Inputs) -> Any:
    with contextlib.suppress(Exception):  # what it rejects, it rejects
        return worker.run(adapter, case, inputs)
    return None


def _portions(cases: Sequence[Case]) -> Iterator[list[Case]]:
    some: list[Case] = []
    elements = 0
    for case in cases:
        some.append(case)
        elements += case.elements
        if elements >= MADE_AT_ONCE:
            yield some
            some, elements = [], 0
    yield some


def naive(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a test of a few lines would do: draw one, build one, call it, compare it."""
    kind = _class(arguments.subjects)
    os.environ.update(kind.environment)
    adapter, tried = kind(), Counter[str]()

    @settings(
        max_examples=arguments.naive,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(any_case())
    def test(case: Case) -> None:
        if kind.capabilities.unsupported(case) is not None:
            return
        tried["cases"] += 1
        inputs = make_inputs(case)
        answer = _call(adapter, case, inputs)
        if answer is None:
            return
        expected = expect(case, inputs, Conventions.of(kind.dialect))
        trial = Trial(case=case, inputs=inputs, expected=expected)
        outcome = Answered(answer=answer, seconds=0.0, unrepeatable=None, mutated=(), output="")
        judge(trial, outcome, kind.dialect, kind.capabilities)

    began = time.perf_counter()
    test()
    return {"cases": tried["cases"], "seconds": time.perf_counter() - began}


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """A campaign of the same cases, without experiments and malformed calls."""
    (subject,) = describe_all(select_targets(arguments.subjects, []), 1, lambda _: None)
    stages = Stages()
    stages.watch(answering, "_judged_batch", "judging and the rest")
    stages.watch(judging, "make_many", "inputs")
    stages.watch(judging, "expect_many", "reference and bounds")
    stages.watch(campaign, "make_records", "records")
    stages.watch(RunDirectory, "write_part", "writing")
    stages.watch(campaign, "explain_subject", "attribution")
    stages.watch(closing, "reaches", "closing")
    _only_cases()
    with tempfile.TemporaryDirectory() as folder, Memory() as memory:
        request = Request(
            profile=PROFILES[arguments.profile],
            cases=arguments.cases,
            seed=0,
            shard=(1, 1),
            workers=1,
            out=Path(folder) / "run",
            resume=False,
        )
        clock = Clock()
        today = datetime.datetime.now(datetime.UTC).date()
        footer = campaign.run_campaign(request, [subject], load_known(), clock, today)
        seconds = time.perf_counter() - clock.began
    return {
        "cases": len(_asked(arguments, subject.adapter)),
        "seconds": seconds,
        "verdicts": sum(footer["counts"].values()),
        "harness_mb": memory.harness / 2**20,
        "worker_mb": memory.worker / 2**20,
        "stages": stages.exclusive(seconds),
    }


class Clock(Quiet):
    """Begins with the first answer, when the framework is imported."""

    began = 0.0

    def advanced(self, subject: str, cases: int) -> None:
        """Begin."""
        del subject, cases
        self.began = self.began or time.perf_counter()


class Stages:
    """Seconds spent in named functions, without what others of them took inside."""

    def __init__(self) -> None:
        """Nothing is watched yet."""
        self.seconds: Counter[str] = Counter()
        self._inside: list[float] = []

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Time every call of ``owner.name``; of a generator, what it does between its values."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._timing(stage):
                found = original(*args, **kwargs)
            return self._each(found, stage) if isinstance(found, Iterator) else found

        setattr(owner, name, timed)

    def _each(self, items: Iterator[Item], stage: str) -> Iterator[Item]:
        while True:
            with self._timing(stage):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    @contextlib.contextmanager
    def _timing(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took, inner = time.perf_counter() - began, self._inside.pop()
            self.seconds[stage] += took - inner
            if self._inside:
                self._inside[-1] += took

    def exclusive(self, total: float) -> dict[str, float]:
        """Seconds of every stage, and what is left: waiting for the worker."""
        return {**self.seconds, "waiting": max(total - sum(self.seconds.values()), 0.0)}


class Memory:
    """The largest resident memory of this process and of its largest child, looked at often."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.harness = self.worker = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._end.wait(0.1):
            self.harness = max(self.harness, me.memory_info().rss)
            for child in me.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.worker = max(self.worker, child.memory_info().rss)


def _only_cases() -> None:
    plan = campaign.plan_units

    def planned(*arguments: Any) -> list[Any]:
        return [unit for unit in plan(*arguments) if unit.cases]

    campaign.plan_units = planned  # type: ignore[assignment]  # for this process alone


def _class(name: str) -> type[Adapter]:
    (target,) = select_targets(name, [])
    return load_class(target)


def _asked(arguments: argparse.Namespace, kind: type[Adapter]) -> list[Case]:
    planned: Iterable[Case] = plan_cases(PROFILES[arguments.profile], cases=arguments.cases, seed=0)
    return [case for case in planned if kind.capabilities.unsupported(case) is None]


LOOPS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "alone": alone,
    "naive": naive,
    "ours": ours,
}
