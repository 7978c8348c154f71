"""Subjects that have one environment are described in one process, unless one of them fails."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bnconform.adapters import REGISTRY
from bnconform.cli.subjects import describe_all, select_targets
from bnconform.conformance.engine import units
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.engine.process import SubjectProcess
from bnconform.conformance.engine.units import describe_subject, describe_subjects

STARTED: list[str] = []


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which adapters a process was started for."""

    class Process(SubjectProcess):
        def __init__(self, target: Target, environment: Mapping[str, str]) -> None:
            STARTED.append(target.attribute)
            super().__init__(target, environment)

    STARTED.clear()
    monkeypatch.setattr(units, "SubjectProcess", Process)


def _targets(*names: str) -> list[Target]:
    return [Target.parse(REGISTRY[name]) for name in names]


def test_one_process_says_what_each_would_say() -> None:
    """In the order in which they were asked for."""
    targets = _targets("numpy.reference", "onnx.reference")
    classes = [load_class(target) for target in targets]
    together = list(describe_subjects(targets, classes))
    assert len(STARTED) == 1
    assert together == [describe_subject(*each) for each in zip(targets, classes, strict=True)]


def test_order_is_that_of_the_request() -> None:
    """However they are grouped; those of another environment have a process of their own."""
    names = ["onnx.reference", "torch.functional", "numpy.reference", "torch.module"]
    heard: list[str] = []
    found = describe_all(
        select_targets(",".join(names), []), 2, lambda subject: heard.append(subject.name)
    )
    assert [each.name for each in found] == names
    assert sorted(heard) == sorted(names)
    assert len(STARTED) == 2
    assert all(each.described.available for each in found)


def test_what_is_unavailable_is_asked_again_alone() -> None:
    """It may be so for what was imported before it."""
    targets = _targets("numpy.reference", "gpu.cuda")
    classes = [load_class(target) for target in targets]
    right, gpu = describe_subjects(targets, classes)
    assert right.described.available
    if not gpu.described.available:
        assert len(STARTED) == 2
        assert gpu == describe_subject(targets[1], classes[1])
