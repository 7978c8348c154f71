"""Where compiled code is kept between runs, so that a second one pays for no compilation."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import platformdirs

CACHE = "BNCONFORM_CACHE"
"""Environment variable: the folder to use instead of the user's own cache."""


def cache_folder() -> Path:
    """The folder for everything that can be made again."""
    given = os.environ.get(CACHE)
    return Path(given) if given else platformdirs.user_cache_path("bnconform")


def jax_caches() -> dict[str, str]:
    """What has JAX keep every executable, however small and soon compiled.

    JAX finds one by the program, its own version and its flags. Code for one processor may not run
    on another, and home folders are shared between machines: each kind has a folder of its own.
    """
    return {
        "JAX_COMPILATION_CACHE_DIR": str(cache_folder() / "jax" / _processor()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def _processor() -> str:
    """A name for the instructions that this machine's processor knows."""
    described = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    described += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    digest = hashlib.sha256(described.encode()).hexdigest()[:12]
    return f"{platform.machine()}-{digest}"
