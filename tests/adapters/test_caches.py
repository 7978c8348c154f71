"""Compiled code is kept between runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnconform.adapters.caches import CACHE, cache_folder

SCRIPT = """
import os
from bnconform.adapters.flax_linen import FlaxLinen
os.environ.update(FlaxLinen.environment)
import jax
jax.jit(lambda x: x * x + 3)(2.0)
"""


def _entries(folder: Path) -> dict[str, int]:
    """When each executable was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("jax/*/*-cache")}


def test_what_jax_compiled_is_found_by_the_next_process(tmp_path: Path) -> None:
    """The first run leaves its executables, the second needs no other ones."""
    pytest.importorskip("flax")
    found = []
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | {CACHE: str(tmp_path)}, check=True
        )
        found.append(_entries(tmp_path))
    assert found[0]
    assert found[1] == found[0]


def test_the_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By an environment variable; else it is the user's own cache."""
    monkeypatch.setenv(CACHE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv(CACHE)
    assert cache_folder().name == "bnconform"
