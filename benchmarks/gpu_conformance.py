"""The part of ``gpu.py`` that runs a campaign: GPU subjects against the spec, in several shards.

A Triton kernel is compiled anew for every kind of case, so that shards run side by side.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

ADAPTERS = (
    "bnconform.adapters.gpu_kernel.adapter:TritonKernel",
    "bnconform.adapters.gpu_kernel.cuda_adapter:CudaKernel",
    "bnconform.adapters.torch_cudnn:TorchCudnn",
    "bnconform.adapters.torch_cudnn:TorchCuda",
    "bnconform.adapters.cudnn_frontend:CudnnFrontend",
)
_REHEARSED = ("bnconform.adapters.numpy_reference:NumpyReference", ADAPTERS[2])
_NEEDED = ("pebble", "psutil", "pyarrow", "pandas", "hypothesis", "ml_dtypes", "typer", "rich")


def run(out: Path, seconds: float, *, rehearsal: bool) -> list[dict[str, Any]]:
    """A row for each shard: how it ended, and what its footer counts.

    The run directories go to ``out/runs.tar.gz``.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return [{"shard": "all", "status": f"not installed: {', '.join(missing)}"}]
    shards = 2 if rehearsal else max(1, min(8, (os.cpu_count() or 1) // 2))
    with tempfile.TemporaryDirectory() as folder:
        running = [
            _start(Path(folder), f"{index}/{shards}", rehearsal=rehearsal)
            for index in range(1, shards + 1)
        ]
        ends = time.monotonic() + seconds
        rows = [_finish(each, Path(folder), i, ends) for i, each in enumerate(running, 1)]
        out.mkdir(parents=True, exist_ok=True)
        with tarfile.open(out / "runs.tar.gz", "w:gz") as archive:
            archive.add(folder, arcname="runs")
    return rows


def _start(folder: Path, shard: str, *, rehearsal: bool) -> subprocess.Popen[bytes]:
    where = folder / f"shard-{shard.partition('/')[0]}"
    command = [sys.executable, "-m", "bnconform", "run", "--out", str(where), "--shard", shard]
    command += ["--workers", "2", "--scripts", "0", "--profile", "quick"]
    command += ["--cases", "8"] if rehearsal else []
    for adapter in _REHEARSED if rehearsal else ADAPTERS:
        command += ["--adapter", adapter]
    with where.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - bnconform itself
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _finish(
    process: subprocess.Popen[bytes], folder: Path, index: int, ends: float
) -> dict[str, Any]:
    """How the shard ended: 0 and 1 are answers, all else is not."""
    row: dict[str, Any] = {"shard": index, "status": "ok"}
    try:
        status = process.wait(timeout=max(ends - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return row | {"status": "out of time"}
    where = folder / f"shard-{index}"
    said = where.with_suffix(".log").read_text(errors="replace").strip().splitlines()
    row["said"] = said[-8:]
    footer = where / "footer.json"
    if footer.exists():
        row["footer"] = json.loads(footer.read_text())
    if status == 1:
        return row | {"status": "failed: unexpected divergences"}
    return row if status == 0 else row | {"status": f"failed ({status}): {' / '.join(said[-2:])}"}
