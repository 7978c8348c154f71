"""Fixtures for tests that run real worker processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnconform.conformance.engine.loading import Target

FAULTY = Path(__file__).parent / "faulty.py"


@pytest.fixture
def faulty() -> Callable[[str], Target]:
    """A target for one of the adapters in faulty.py."""

    def target(attribute: str) -> Target:
        return Target(module=str(FAULTY), attribute=attribute)

    return target
