"""Subjects for tests of a cluster: each marks where it answers what.

A node of the test's cluster is started with the variables below; without them nothing is marked,
and every subject answers as it does anywhere.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import psutil

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Array, Layer, Parameters, Step
from bnconform.conformance.variant import VariantKind

NODE = "BNCONFORM_TEST_NODE"
"""The name of the node."""

MARKS = "BNCONFORM_TEST_MARKS"
"""The folder to leave marks in."""

WORD = "BNCONFORM_TEST_WORD"
"""A variable that a runtime environment sets."""

PAUSE = 0.2
"""Seconds that a case takes on a node which is told to be slow, so that it can be killed."""


def slow_file(marks: Path, node: str) -> Path:
    """Where it says that a node is slow."""
    return marks / f"{node}-is-slow"


class _Doubled:
    """A layer whose running variance is twice what it should be."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def train(self, x: Array, dy: Array) -> Step:
        step = self.layer.train(x, dy)
        return step if step.running_var is None else replace(step, running_var=2 * step.running_var)

    def infer(self, x: Array, dy: Array) -> Step:
        return self.layer.infer(x, dy)


class One(NumpyReference):
    """Leaves a mark for every layer that it builds, and gets the running variance wrong."""

    name = "distant.one"
    capabilities = replace(
        NumpyReference.capabilities, variants=frozenset({VariantKind.PLAIN}), half_parameters=False
    )

    def build(  # type: ignore[override]  # a wrapper is a Layer, not the reference's own
        self, case: Case, parameters: Parameters
    ) -> Layer:
        mark(self.name, case)
        return _Doubled(super().build(case, parameters))


class Two(One):
    """The same under another name."""

    name = "distant.two"


class Traitor(One):
    """Kills who asks it, once in the life of a cluster."""

    name = "distant.traitor"

    def build(  # type: ignore[override]  # as above
        self, case: Case, parameters: Parameters
    ) -> Layer:
        layer = super().build(case, parameters)
        folder = os.environ.get(MARKS)
        if folder is not None and not (Path(folder) / "killed").exists():
            (Path(folder) / "killed").touch()
            psutil.Process(os.getppid()).kill()
            time.sleep(60)
        return layer


class OnGpu(One):
    """Belongs on a GPU, says its class."""

    name = "distant.gpu"
    gpu: ClassVar[bool] = True


def mark(subject: str, case: Case) -> None:
    """Note that ``subject`` answers ``case`` on this node."""
    folder = os.environ.get(MARKS)
    if folder is None:
        return
    node = os.environ[NODE]
    told: list[Any] = [time.time_ns(), node, subject, case.id, _seen()]
    (Path(folder) / " ".join(map(str, told))).touch()
    if slow_file(Path(folder), node).exists():
        time.sleep(PAUSE)


def _seen() -> str:
    """What a subject's process has of its surroundings, in a word."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all") or "none"
    told = {
        "gpus": gpus,
        "threads": os.environ.get("OMP_NUM_THREADS", "free"),
        "ray": "yes" if "ray" in sys.modules or "thirdparty_files" in str(sys.path) else "no",
        "word": os.environ.get(WORD, ""),
    }
    return ",".join(f"{name}={value}" for name, value in told.items())
