"""``gpu.json`` as a page: what the card, the checks and the clocks said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpu_workloads import OPERATIONS, TORCH

_GOALS = """\
"ms" is the median over interleaved measurements, each over buffers that do not fit the cache;
"spread" is half the distance of the quartiles, over the median. "of copy" is the time of the device
copy of the same array, times the arrays that the operation must move over the two that a copy
moves, over the operation's time; "of peak" is the same with the bandwidth of a large copy.
"vs torch" is the better of PyTorch's own kernels and cuDNN over this one: above 1 is faster.
"how" tells a captured graph, without what Python takes to launch, from plain calls.
"""


_RUNS = {
    "measure": "Times",
    "compilers": "Times beside compilers, in a run of its own",
}


def page(found: Mapping[str, Any]) -> str:
    """The whole page, in Markdown."""
    timed = (line for part in _RUNS for line in _times(part, found[part]))
    return "\n".join((*_head(found), *_checks(found), *timed, *_failures(found), ""))


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    yield "# Batch norm on a GPU"
    yield ""
    yield "Written by `benchmarks/gpu.py`; `docs/gpu.md` says how to run it."
    if found["rehearsal"]:
        yield ""
        yield "**A rehearsal on the CPU: no figure here is a measurement.**"
    yield ""
    yield from _table(("what", "value"), [(k, str(v)) for k, v in found["machine"].items()])
    yield ""
    yield "## Parts"
    yield ""
    rows = [(p["part"], p["status"], f"{p['seconds']:.0f} s") for p in found["parts"]]
    yield from _table(("part", "result", "time"), rows)
    yield ""


def _checks(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## Checks"
    yield ""
    worst: dict[str, list[float]] = {}
    for row in found["errors"]:
        if "error" in row:
            worst.setdefault(row["subject"], []).append(row["error"])
    rows = [(name, str(len(each)), f"{max(each):.1f}") for name, each in sorted(worst.items())]
    yield "Against float64 formulae, in units of 2^-24 past the output's rounding:"
    yield ""
    yield from _table(("subject", "workloads", "largest error"), rows)
    yield ""
    same: dict[str, list[bool]] = {}
    for row in found["bits"]:
        same.setdefault(row["subject"], []).append(row.get("same", False))
    rows = [(name, f"{sum(each)} of {len(each)}") for name, each in sorted(same.items())]
    yield "Workloads on which 100 runs gave the same bits:"
    yield ""
    yield from _table(("subject", "same bits"), rows)
    yield ""
    yield from _campaign(found)


def _campaign(found: Mapping[str, Any]) -> Iterator[str]:
    if found["conformance"]:
        yield "A quick campaign against the spec (`runs.tar.gz`, for `bnconform report`):"
        yield ""
        rows = []
        for row in found["conformance"]:
            footer = row.get("footer", {})
            counts = ", ".join(f"{n} {name}" for name, n in footer.get("counts", {}).items())
            unexpected = str(footer.get("unexpected", "unknown"))
            rows.append((str(row["shard"]), row["status"].replace("|", "/"), counts, unexpected))
        yield from _table(("shard", "result", "judgements", "unexpected"), rows)
        yield ""
    if found["sanitizer"]:
        yield "compute-sanitizer on small calls:"
        yield ""
        rows = [(row["subject"], row["tool"], row["status"]) for row in found["sanitizer"]]
        yield from _table(("subject", "tool", "result"), rows)
        yield ""


def _times(part: str, found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not found:
        return
    peak = next((row["copy_bytes_per_second"] for row in found if len(row) == 1), None)
    yield f"## {_RUNS[part]}"
    yield ""
    yield _GOALS
    if peak is not None:
        yield f"A large device copy moves {peak / 1e12:.2f} TB/s, read and written."
        yield ""
    timed = [row for row in found if "ms" in row]
    for operation in OPERATIONS:
        rows = [_row(row, timed, peak) for row in timed if row["operation"] == operation]
        if rows:
            yield f"### {operation}"
            yield ""
            names = ("shape", "layout", "format", "subject", "ms", "spread")
            yield from _table((*names, "of copy", "of peak", "vs torch", "how"), rows)
            yield ""


def _row(
    row: Mapping[str, Any], timed: Sequence[Mapping[str, Any]], peak: float | None
) -> tuple[str, ...]:
    ms, arrays = row["ms"], OPERATIONS[row["operation"]]
    beside = [other for other in timed if _workload(other) == _workload(row)]
    copies = [other["ms"] for other in beside if other["operation"] == "copy"]
    rivals = [
        other["ms"]
        for other in beside
        if other["operation"] == row["operation"] and other["subject"] in TORCH
    ]
    low, high = row["quartiles_ms"]
    return (
        "x".join(map(str, row["shape"])),
        row["layout"],
        row["dtype"],
        row["subject"],
        f"{ms:.4f}",
        f"{(high - low) / 2 / ms:.1%}",
        f"{copies[0] * arrays / 2 / ms:.0%}" if copies else "",
        f"{1000 * arrays * row['bytes'] / peak / ms:.0%}" if peak else "",
        f"{min(rivals) / ms:.2f}" if rivals else "",
        row["method"],
    )


def _workload(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["shape"], row["layout"], row["dtype"])


def _failures(found: Mapping[str, Any]) -> Iterator[str]:
    where: dict[tuple[str, str, str], list[str]] = {}
    for part in ("errors", "bits", *_RUNS):
        for row in found[part]:
            why = row.get("failed") or row.get("skipped")
            if why:
                size = "x".join(map(str, row["shape"]))
                key = (part, row.get("subject", ""), why.replace("|", "/")[:120])
                where.setdefault(key, []).append(f"{size} {row['layout']} {row['dtype']}")
    if where:
        yield "## What did not work, and what was not reached"
        yield ""
        rows = [(*key, ", ".join(each)) for key, each in where.items()]
        yield from _table(("part", "subject", "why", "workloads"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
