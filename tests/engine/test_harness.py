"""The harness's own process: what must stay out of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = """
import sys
from typer.testing import CliRunner
from bnconform.cli.app import app
arguments = ["run", "--subjects", sys.argv[1], "--cases", "20", "--out", sys.argv[2]]
done = CliRunner().invoke(app, arguments)
assert done.exit_code in (0, 1), done.output
print("loaded:", *{name.partition(".")[0] for name in sys.modules})
"""

FRAMEWORKS = {"torch", "tensorflow", "keras", "tf_keras", "jax", "flax", "haiku", "equinox"}


def test_no_framework_comes_into_the_harness(tmp_path: Path) -> None:
    """What a subject sends is plain: its version, an object of torch's own, would load torch."""
    arguments = ["-c", RUN, "torch.functional,keras.torch,flax.linen", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=300
    )
    _, loaded = done.stdout.split("loaded:")
    assert "bnconform" in loaded.split()
    assert not FRAMEWORKS & set(loaded.split())
