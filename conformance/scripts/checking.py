"""Run a script in a process of its own, and say what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STANDS, GONE, CANNOT_RUN = 1, 0, 2
"""A script's exit status."""

LIMIT = 300.0
"""Seconds that a script may take; importing a framework alone may take 20 on a busy machine."""

_KEPT = 4000
_OWN = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_SHOWN = "expected"
_TRACE = "Traceback ("


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came of a script: ``status`` is None where it did not end in time.

    ``output`` is what it printed; what went to stderr is there only if it does not reproduce.
    """

    status: int | None
    output: str
    seconds: float

    @property
    def reproduces(self) -> bool:
        """Whether it ran to its end and shows the divergence.

        Python itself exits with 1 where a script fails, so that the status alone is no proof.
        """
        return self.status == STANDS and _SHOWN in self.output and _TRACE not in self.output

    @property
    def sentence(self) -> str:
        """What became of it, in words."""
        if self.status is None:
            return f"it did not end within {self.seconds:.0f} s"
        last = self.output.strip().splitlines()[-1:] or ["no output"]
        if self.reproduces:
            return "run by itself it shows the divergence"
        if self.status == GONE:
            return "run by itself it does not show the divergence"
        if self.status == CANNOT_RUN:
            return f"it cannot run here: {last[0]}"
        return f"it failed with status {self.status}: {last[0]}"


def check_script(
    path: Path, environment: Mapping[str, str] | None = None, limit: float = LIMIT
) -> Checked:
    """Run the script at ``path`` with this Python, as a stranger would.

    The process has an empty working directory, and of the caller's variables only those that any
    program needs, besides ``environment``: a script must set what it depends on.
    """
    own = {name: os.environ[name] for name in _OWN if name in os.environ}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bnconform-script-") as folder:
        try:
            done = subprocess.run(  # noqa: S603 -- our own Python, a script that we wrote
                [sys.executable, "-I", str(path.resolve())],
                cwd=folder,
                env=own | dict(environment or {}),
                capture_output=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            output = (error.stdout or b"").decode(errors="replace")[-_KEPT:]
            return Checked(status=None, output=output, seconds=time.monotonic() - began)
    said, noise = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    # Frameworks log to stderr; that matters only where the script did not come to its end.
    shown = done.returncode == STANDS and _SHOWN in said and _TRACE not in noise
    output = (said if shown else f"{said}{noise}")[-_KEPT:]
    return Checked(status=done.returncode, output=output, seconds=time.monotonic() - began)
