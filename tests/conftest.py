"""What every test runs under."""

from __future__ import annotations

from hypothesis import settings

# Repeatable: the same examples everywhere, no memory of earlier runs, and no deadline, because a
# first call into a framework may compile for seconds.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")
