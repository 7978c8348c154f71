"""The findings of a run as a page: what each framework does, and a script that shows it.

A finding is a known divergence that the run came across, or a cause that nobody has accepted yet.
Its script is that of the simplest case whose script, run by itself, shows the divergence.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checking import check_script
from .publishing import FILE, publish_scripts

TRIES = 4
"""Divergences of a finding whose scripts are tried, the simplest first."""

PAGE = "README.md"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Divergences of one known entry, or unexpected ones of one subject, clause and cause.

    ``script`` is the file's name beside the page, None where no script shows it: ``why`` says why.
    """

    name: str
    entry: Mapping[str, Any] | None
    divergences: tuple[Mapping[str, Any], ...]
    script: str | None
    why: str
    output: str

    @property
    def subjects(self) -> list[str]:
        """Who diverges."""
        return sorted({str(each["subject"]) for each in self.divergences})

    @property
    def rows(self) -> int:
        """How many results of the run it accounts for."""
        return sum(int(each["count"]) for each in self.divergences)


def write_findings(run_dir: Path, out: Path, *, workers: int = 1) -> tuple[Finding, ...]:
    """Write ``README.md`` and the scripts of the findings of the run at ``run_dir`` into ``out``.

    :class:`~bnconform.conformance.engine.run_directory.RunDirectoryError` where there is no run.
    """
    groups = _groups(run_dir)
    tried = {each["id"] for members in groups.values() for each in members[:TRIES]}
    publish_scripts(run_dir, only=lambda each: each["id"] in tried, workers=workers)
    groups = _groups(run_dir)
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=workers) as executor:
        jobs = [
            executor.submit(_finding, run_dir, out, name, members, manifest["known"].get(name))
            for name, members in sorted(groups.items())
        ]
        found = tuple(job.result() for job in jobs)
    (out / PAGE).write_text("\n".join(_page(found, manifest)) + "\n", encoding="utf-8")
    return found


def _groups(run_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """The run's divergences by finding, the simplest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in (run_dir / "divergences").glob("*/divergence.json"):
        each = json.loads(path.read_text(encoding="utf-8"))
        parts = (each["subject"], each["clause"].lower(), each["cause"].replace(" ", "-"))
        found.setdefault(each["known"] or "-".join(parts), []).append(each)
    for members in found.values():
        members.sort(key=lambda each: (each["simplicity"], each["id"]))
    return found


def _finding(
    run_dir: Path,
    out: Path,
    name: str,
    members: Sequence[Mapping[str, Any]],
    entry: Mapping[str, Any] | None,
) -> Finding:
    shown = [each for each in members if each.get("script", {}).get("status") == "reproduces"]
    tried = [each["script"]["why"] for each in members if "script" in each]
    script = output = None
    if shown:
        script = f"{name.replace('.', '-')}.py"
        shutil.copyfile(run_dir / "divergences" / shown[0]["id"] / FILE, out / script)
        # Once more, from where it will be read: what the page quotes is what that file prints.
        output = check_script(out / script).output.strip()
    return Finding(
        name=name,
        entry=entry,
        divergences=tuple(members),
        script=script,
        why="" if shown else next(iter(tried), "not tried"),
        output=output or "",
    )


def _page(findings: Sequence[Finding], manifest: Mapping[str, Any]) -> Iterator[str]:
    asked, versions = manifest["arguments"], manifest["versions"]
    known = [each for each in findings if each.entry is not None]
    others = [each for each in findings if each.entry is None]
    scripts = sum(each.script is not None for each in findings)
    yield "# What the frameworks do differently"
    yield ""
    yield (
        f"Found by `bnconform run --profile {asked['profile']} --seed {asked['seed']}` "
        f"({asked['cases']} cases for each subject), written by `bnconform findings`."
    )
    yield ""
    yield (
        f"{len(findings)} findings, {scripts} of them with a script beside this page that needs "
        "NumPy and the one framework alone. It prints what was expected and what came, and exits "
        "with 1 while the divergence stands. Each was run before it was listed."
    )
    yield ""
    yield "Versions: " + ", ".join(f"{name} {text}" for name, text in versions.items()) + "."
    if others:
        yield from ("", "## Not accepted yet", "")
        for each in others:
            yield from _told(each)
    yield from ("", "## Known", "")
    for each in known:
        yield from _told(each)


def _told(finding: Finding) -> Iterator[str]:
    clauses = sorted({str(each["clause"]) for each in finding.divergences})
    yield f"### {finding.name}"
    yield ""
    yield (
        f"{', '.join(f'`{each}`' for each in finding.subjects)}; {', '.join(clauses)}; "
        f"{finding.rows} result{'s' if finding.rows != 1 else ''} of the run."
    )
    yield ""
    if finding.entry is None:
        yield str(finding.divergences[0]["message"])
    else:
        yield " ".join(str(finding.entry["reason"]).split())
        yield ""
        yield "Evidence: " + " ".join(str(finding.entry["evidence"]).split())
        yield ""
        yield f"Upstream: {finding.entry['upstream']}"
    yield ""
    if finding.script is None:
        yield f"No script: {finding.why}."
    else:
        yield f"[{finding.script}]({finding.script}) prints:"
        yield from ("", "```text", *finding.output.splitlines(), "```")
    yield ""
