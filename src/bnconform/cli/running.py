"""``bnconform run``."""

from __future__ import annotations

import datetime
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bnconform.cli.clustering import cluster_at
from bnconform.cli.errors import UsageError, user_errors
from bnconform.cli.progress import Reporter
from bnconform.cli.subjects import describe_all, select_targets
from bnconform.conformance.cases.plan import PROFILES
from bnconform.conformance.engine.campaign import (
    Request,
    Subject,
    run_campaign,
)
from bnconform.conformance.engine.heap import keep_small
from bnconform.conformance.engine.process import MEMORY_LIMIT
from bnconform.conformance.engine.station import ClusterError
from bnconform.conformance.known.divergences import load_known
from bnconform.conformance.scripts import Published, publish_scripts


def run(
    out: Annotated[Path, typer.Option("--out", help="The run directory to write.")],
    subjects: Annotated[
        str, typer.Option("--subjects", help="Names separated by commas, or 'all'.")
    ] = "",
    adapter: Annotated[
        list[str] | None,
        typer.Option("--adapter", help="FILE.py:Class or module:Class; may be repeated."),
    ] = None,
    cases: Annotated[
        int | None, typer.Option("--cases", help="Number of cases (default: the profile's).")
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="quick, nightly or deep.")] = "quick",
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives other cases.")] = 0,
    shard: Annotated[str, typer.Option("--shard", help="I/N: the I-th of N parts.")] = "1/1",
    workers: Annotated[
        int | None, typer.Option("--workers", help="Subjects at a time (default: the cores).")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="Work on a Ray cluster: its address, 'auto' or 'local'."),
    ] = None,
    runtime_env: Annotated[
        list[str] | None,
        typer.Option(
            "--runtime-env",
            help="NAME=FILE.json: Ray's runtime environment for subjects called NAME or NAME.*; "
            "may be repeated.",
        ),
    ] = None,
    known: Annotated[
        Path | None, typer.Option("--known", help="Folder of known divergences (default: ours).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out, keeping what it holds.")
    ] = False,
    memory: Annotated[
        float, typer.Option("--memory", help="GiB that a subject may take before it is killed.")
    ] = MEMORY_LIMIT / 2**30,
    scripts: Annotated[
        int, typer.Option("--scripts", help="Unexpected divergences that get a script, at most.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the footer as JSON.")] = False,
) -> None:
    """Run a campaign and write a run directory.

    What diverges unexpectedly gets a script that shows it without bnconform; each is run once.

    Exit status 0: nothing unexpected. 1: unexpected divergences, or stale known ones. 2: the call
    or the harness is at fault.
    """
    keep_small()
    with user_errors(ClusterError):
        request = _request(out, cases, profile, seed, shard, workers, resume, memory)
        entries = load_known(_folder(known))
        targets = select_targets(subjects, adapter or [])
        with (
            Reporter() as reporter,
            cluster_at(cluster, runtime_env or [], workers, reporter.say) as crew,
        ):
            if crew is not None and workers is None:
                request = replace(request, workers=crew.cores)
            describe = None if crew is None else crew.describe
            found = describe_all(targets, request.workers, reporter.described, describe)
            _need_one(found)
            today = datetime.datetime.now(datetime.UTC).date()
            footer = run_campaign(request, found, entries, reporter, today, crew)
        published = publish_scripts(
            out,
            max(scripts, 0),
            only=lambda divergence: not divergence["known"],
            # Here, wherever the cases were answered.
            workers=min(request.workers, os.cpu_count() or 1),
        )
    if as_json:
        typer.echo(json.dumps(footer, indent=1))
    else:
        _print_summary(footer, out)
        _print_scripts(published)
    raise typer.Exit(footer["exit_status"])


def _request(
    out: Path,
    cases: int | None,
    profile: str,
    seed: int,
    shard: str,
    workers: int | None,
    resume: bool,
    memory: float,
) -> Request:
    if profile not in PROFILES:
        msg = f"no profile {profile!r}; there are: {', '.join(PROFILES)}"
        raise UsageError(msg)
    number = _at_least_one("--cases", cases, PROFILES[profile].cases)
    return Request(
        profile=PROFILES[profile],
        cases=number,
        seed=seed,
        shard=parse_shard(shard),
        workers=_at_least_one("--workers", workers, os.cpu_count() or 1),
        out=out,
        resume=resume,
        memory=_bytes(memory),
    )


def _bytes(gib: float) -> int:
    if not gib > 0:
        msg = f"--memory must be more than 0 GiB, got {gib:g}"
        raise UsageError(msg)
    return int(gib * 2**30)


def _at_least_one(option: str, given: int | None, default: int) -> int:
    if given is not None and given < 1:
        msg = f"{option} must be at least 1, got {given}"
        raise UsageError(msg)
    return default if given is None else given


def parse_shard(text: str) -> tuple[int, int]:
    """Read I/N with 1 <= I <= N."""
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        msg = f"--shard must be I/N with 1 <= I <= N, such as 2/4, got {text!r}"
        raise UsageError(msg)
    return int(match[1]), int(match[2])


def _folder(known: Path | None) -> Path | None:
    if known is not None and not known.is_dir():
        msg = f"--known must be a folder of .toml files, got {known}"
        raise UsageError(msg)
    return known


def _need_one(subjects: list[Subject]) -> None:
    if any(subject.described.available for subject in subjects):
        return
    reasons = "; ".join(f"{each.name}: {each.described.reason}" for each in subjects)
    msg = f"no subject is available, so there is nothing to run ({reasons})"
    raise UsageError(msg)


def _print_summary(footer: dict[str, Any], out: Path) -> None:
    counts = ", ".join(f"{count} {kind}" for kind, count in footer["counts"].items())
    typer.echo(f"{sum(footer['counts'].values())} judgements: {counts}")
    typer.echo(f"{footer['vacuous']} of them vacuous, {footer['known']} known divergences")
    for sentence in footer["stale_known"]:
        typer.echo(f"stale: {sentence}")
    typer.echo(f"{footer['unexpected']} unexpected; run directory: {out}")


def _print_scripts(published: tuple[Published, ...]) -> None:
    """What became of the scripts; those that show nothing are worth a look themselves."""
    for each in published:
        typer.echo(
            f"script: {each.divergence} {each.subject}: {each.status}, {each.why or each.file}"
        )
