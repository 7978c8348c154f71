"""What every test runs under."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Repeatable: the same examples everywhere, no memory of earlier runs, and no deadline, because a
# first call into a framework may compile for seconds.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Compiled code is kept beside what pytest keeps, not in the user's own cache."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is not None:
        os.environ.setdefault("BNCONFORM_CACHE", str(cache.mkdir("bnconform")))
