"""Fixtures for tests that run real worker processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnconform.conformance.engine.loading import Target


@pytest.fixture
def faulty() -> Callable[[str], Target]:
    """A target for one of the adapters in the files faulty*.py."""
    files = {path: path.read_text("utf-8") for path in Path(__file__).parent.glob("faulty*.py")}

    def target(attribute: str) -> Target:
        (path,) = (path for path, text in files.items() if f"\nclass {attribute}(" in text)
        return Target(module=str(path), attribute=attribute)

    return target
