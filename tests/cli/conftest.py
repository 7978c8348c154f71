"""One real run with a planted defect, for the commands that read runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bnconform.cli.app import app
from bnconform.conformance.engine.closing import Tally

FAULTY = Path(__file__).parents[1] / "engine" / "faulty.py"

Alter = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="session")
def unbiased_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a subject that stores the unbiased variance, which nobody has accepted."""
    out = tmp_path_factory.mktemp("unbiased") / "run"
    target = f"{FAULTY}:UnbiasedRunningVariance"
    done = CliRunner().invoke(app, ["run", "--adapter", target, "--cases", "40", "--out", str(out)])
    assert done.exit_code == 1, done.output
    return out


@pytest.fixture
def altered(unbiased_run: Path, tmp_path: Path) -> Callable[[Alter], Path]:
    """Copies ``unbiased_run``, changing its records, with a footer that fits them."""

    def altered(change: Alter) -> Path:
        out = tmp_path / change.__name__
        shutil.copytree(unbiased_run, out)
        parts = sorted((out / "records").glob("*.parquet"))
        frame = change(pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True))
        for part in parts:
            part.unlink()
        frame.to_parquet(out / "records" / "part.parquet", index=False)
        footer = json.loads((out / "footer.json").read_text())
        tally = Tally(known=(), facts={})
        tally.add(frame)
        (out / "footer.json").write_text(json.dumps(footer | tally.footer()))
        return out

    return altered
