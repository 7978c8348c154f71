"""Everything that a GPU can tell of our kernels, in one call on a machine that has one.

    python benchmarks/gpu.py --out DIR [--budget 540] [--parts build,errors,...]

Writes ``DIR/gpu.json`` (all that was found), ``DIR/RESULTS-gpu.md`` (the same to read) and
``DIR/runs.tar.gz`` (run directories for ``bnconform report``), anew after every part. A part that
fails or runs out of time is reported and the others go on, the most important ones first. Needs
torch; whatever else is missing leaves its part out. ``--rehearse`` runs all of it on the CPU, with
tiny shapes and the emulated kernels.

Exit status: 0 all right, 1 a wrong result or a part that failed, 2 no GPU, hence nothing done.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import gpu_conformance
import gpu_parts
import gpu_report
import torch

OURS = ("triton", "cuda")
RUNGS = ("cuda.block", "cuda.cluster", "cuda.persistent", "cuda.split")
_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("torch", "triton", "jax", "jaxlib", "numpy", "nvidia-cudnn-cu13", "nvidia-cudnn-cu12")
_AT_A_TIME = 4
_GRACE = 30.0
"""Seconds that a part gets to finish what it has begun when its time is over."""


@dataclass(kw_only=True)
class Session:
    """What one call has to do and has found."""

    out: Path
    rehearsal: bool
    ends: float
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds before the budget is spent."""
        return self.ends - time.monotonic()

    def usable(self, names: Iterable[str]) -> list[str]:
        """Those of our kernels that could be built."""
        broken = {row["subject"] for row in self.found["build"] if "failed" in row}
        return [name for name in names if name.partition(".")[0] not in broken]

    def write(self) -> None:
        """Put all that is known on disk."""
        self.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.found, indent=1, default=str)
        (self.out / "gpu.json").write_text(text)
        (self.out / "RESULTS-gpu.md").write_text(gpu_report.page(self.found))


def main() -> int:
    """Run the parts, or, called by itself, one of them."""
    asked = _arguments()
    if not asked.rehearse and not torch.cuda.is_available():
        print("no GPU that torch can use: nothing checked, nothing measured", file=sys.stderr)
        return 2
    if asked.rehearse:
        os.environ["TRITON_INTERPRET"] = "1"
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # Where CUDA's tools are by default, though not every machine has the folder on its path.
    os.environ["PATH"] += os.pathsep + "/usr/local/cuda/bin"
    # Ahead of what is installed, and for every process that is started from here.
    paths = [str(_ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    sys.path.insert(0, paths[0])
    if asked.part:
        setting = gpu_parts.setting_of(
            rehearsal=asked.rehearse, seconds=asked.seconds, share=asked.share
        )
        for row in gpu_parts.PARTS[asked.part](setting, asked.subjects.split(",")):
            print(json.dumps(row), flush=True)
        return 0
    return _all(asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--budget", type=float, default=540.0, help="seconds for all parts")
    parser.add_argument("--parts", default=",".join(STEPS), help=f"of {', '.join(STEPS)}")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, measuring nothing")
    parser.add_argument("--part", choices=gpu_parts.PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--subjects", default="", help=argparse.SUPPRESS)
    parser.add_argument("--share", default="0/1", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    strangers = set(asked.parts.split(",")) - set(STEPS)
    if strangers:
        parser.error(f"no part {', '.join(sorted(strangers))}; there are {', '.join(STEPS)}")
    return asked


def _all(asked: argparse.Namespace) -> int:
    session = Session(out=asked.out, rehearsal=asked.rehearse, ends=time.monotonic() + asked.budget)
    names = ("build", "errors", "bits", "measure", "compilers", "conformance", "sanitizer")
    session.found |= {name: [] for name in names} | {"parts": [], "rehearsal": asked.rehearse}
    session.found["machine"] = _machine(asked.rehearse)
    print(json.dumps(session.found["machine"], indent=1), flush=True)
    good = True
    for part in asked.parts.split(","):
        began = time.monotonic()
        status = _step(session, part)
        seconds = time.monotonic() - began
        session.found["parts"].append({"part": part, "status": status, "seconds": seconds})
        print(f"== {part}: {status} ({seconds:.0f} s)", flush=True)
        session.write()
        good = good and not status.startswith("failed")
    print((session.out / "RESULTS-gpu.md").read_text()[-6000:], flush=True)
    return 0 if good and not _wrong(session.found) else 1


def _step(session: Session, part: str) -> str:
    limit, step = STEPS[part]
    if session.left < 10:
        return "out of time"
    try:
        return step(session, min(limit, session.left - 5))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts go on
        return f"failed: {gpu_parts.one_line(error)}"


def _wrong(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows that say that a kernel computes wrongly; nothing was measured in a rehearsal."""
    if found["rehearsal"]:
        return []
    far = [row for row in found["errors"] if not row.get("error", 0.0) <= gpu_parts.ALLOWED]
    return [*far, *(row for row in found["bits"] if not row.get("same", True))]


def _build(session: Session, seconds: float) -> str:
    """Compile each of our kernels once, on one small call."""
    for subject in OURS:
        status = _child(session, "build", "driver", [subject], seconds)
        rows = session.found["build"]
        if status != "ok":
            rows.append({"subject": subject, "failed": status})
        print(f"   {subject}: {status}", flush=True)
    return "ok" if session.usable(OURS) else "failed: none of our kernels can be built"


def _errors(session: Session, seconds: float) -> str:
    """Every kernel in processes apart: an illegal access in one leaves the others alone.

    Side by side, too, because a Triton kernel is compiled anew for every kind of workload; what is
    compiled here is there when times are taken.
    """
    side_by_side = 2 if session.rehearsal else _AT_A_TIME
    shares = [("triton", f"{i}/{side_by_side}") for i in range(side_by_side)]
    shares += [(name, "0/1") for name in (*OURS, *RUNGS) if name != "triton"]
    wanted = [(name, share) for name, share in shares if session.usable([name])]
    with ThreadPoolExecutor(side_by_side) as executor:
        found = executor.map(
            lambda each: _child(session, "errors", "errors", [each[0]], seconds / 2, share=each[1]),
            wanted,
        )
        return _worst(list(found))


def _bits(session: Session, seconds: float) -> str:
    return _child(session, "bits", "bits", session.usable(OURS), seconds)


def _measure(session: Session, seconds: float) -> str:
    subjects = ["copy", *session.usable(OURS), "torch native", "torch cudnn"]
    return _child(session, "measure", "measure", subjects, seconds)


def _compilers(session: Session, seconds: float) -> str:
    subjects = ["copy", *session.usable(OURS), "torch native", "torch.compile", "jax"]
    return _child(session, "compilers", "measure", subjects, seconds)


def _conformance(session: Session, seconds: float) -> str:
    rows = gpu_conformance.run(session.out, seconds, rehearsal=session.rehearsal)
    session.found["conformance"] = rows
    return _worst([row["status"] for row in rows])


def _sanitizer(session: Session, seconds: float) -> str:
    found = []
    for subject in session.usable(OURS):
        for tool in ("memcheck", "racecheck"):
            watched = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "86"]
            row = {"subject": subject, "tool": tool}
            row["status"] = _child(
                session, "", "driver", [subject], seconds / 4, watched=watched, row=row
            )
            session.found["sanitizer"].append(row)
            found.append(row["status"])
    return _worst(found)


STEPS: dict[str, tuple[float, Callable[[Session, float], str]]] = {
    "build": (150.0, _build),
    "errors": (120.0, _errors),
    "measure": (150.0, _measure),
    "conformance": (220.0, _conformance),
    "bits": (40.0, _bits),
    "sanitizer": (140.0, _sanitizer),
    "compilers": (300.0, _compilers),
}
"""Part -> the most seconds that it gets, and what it does; the most important ones first."""


def _child(
    session: Session,
    into: str,
    part: str,
    subjects: list[str],
    seconds: float,
    *,
    share: str = "0/1",
    watched: Iterable[str] = (),
    row: dict[str, Any] | None = None,
) -> str:
    """Run a part in a process of its own and keep its rows; how it went, in words."""
    script = str(Path(__file__).resolve())
    command = [*watched, sys.executable, script, "--part", part, "--subjects", ",".join(subjects)]
    command += [
        "--share",
        share,
        "--seconds",
        str(seconds),
        *(["--rehearse"] if session.rehearsal else []),
    ]
    try:
        done = _run(command, seconds + _GRACE)
    except FileNotFoundError:
        return f"not installed: {command[0]}"
    session.found.setdefault(into, []).extend(_rows(done.stdout) if into else [])
    said = (done.stdout if watched else done.stderr).strip().splitlines()
    if row is not None:
        row["said"] = [line for line in said if line.startswith("=")][-8:]
    if done.returncode == -signal.SIGKILL:
        return "out of time"
    return "ok" if done.returncode == 0 else f"failed ({done.returncode}): {_last(said)}"


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Its output and status; killed with all that it started when its time is over."""
    process = subprocess.Popen(  # noqa: S603 - this script, and NVIDIA's tools
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _rows(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _last(lines: list[str]) -> str:
    return lines[-1][:300] if lines else "it said nothing"


def _worst(statuses: list[str]) -> str:
    """One word for several: the first failure, else a lack, else that time ran out."""
    for wanted in ("failed", "not installed", "out of time"):
        for status in statuses:
            if status.startswith(wanted):
                return status
    return "ok"


def _machine(rehearsal: bool) -> dict[str, Any]:  # noqa: FBT001 - one of one
    """The card, its driver, and versions of all that takes part."""
    found: dict[str, Any] = {"card": "none (CPU)", "python": sys.version.split()[0]}
    if not rehearsal:
        found["card"] = torch.cuda.get_device_name()
        found["multiprocessors"] = torch.cuda.get_device_properties(0).multi_processor_count
    found["cuda of torch"] = torch.version.cuda
    found["cudnn"] = torch.backends.cudnn.version()
    asked = "driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit"
    found["driver, memory, clocks, power"] = _says(
        "nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"
    )
    found["nvcc"] = _says("nvcc", "--version")
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _says(*command: str) -> str:
    try:
        done = _run(list(command), 30.0)
    except FileNotFoundError:
        return "not installed"
    return _last(done.stdout.strip().splitlines())


if __name__ == "__main__":
    sys.exit(main())
