"""The findings of runs as a page: what each framework does, and a script that shows it.

A finding is a known divergence that a run came across, or a cause that nobody has accepted yet.
Its script is that of the simplest case whose script, run by itself, shows the divergence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.run_directory import write_atomically
from ..expecting.expectation import Conventions
from .checking import check_script
from .publishing import conventions_by_subject, script_texts
from .rendering import NoScriptError

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
        """How many results it accounts for."""
        return sum(int(each["count"]) for each in self.divergences)


def write_findings(run_dirs: Sequence[Path], out: Path, *, workers: int = 1) -> tuple[Finding, ...]:
    """Write ``README.md`` and the scripts of the findings of the runs ``run_dirs`` into ``out``.

    :class:`~bnconform.conformance.engine.run_directory.RunDirectoryError` where there is no run.
    """
    conventions = {each: conventions_by_subject(each) for each in run_dirs}
    manifests = [json.loads((each / "manifest.json").read_text("utf-8")) for each in run_dirs]
    known = {name: entry for each in manifests for name, entry in each["known"].items()}
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=workers) as executor:
        jobs = [
            executor.submit(_finding, out, name, members, known.get(name), conventions)
            for name, members in sorted(_groups(run_dirs).items())
        ]
        found = tuple(job.result() for job in jobs)
    (out / PAGE).write_text("\n".join(_page(found, manifests)) + "\n", encoding="utf-8")
    return found


def _groups(run_dirs: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """The divergences of runs by finding, the simplest first, each with the ``run`` it is of."""
    found: dict[str, list[dict[str, Any]]] = {}
    paths = [(run, path) for run in run_dirs for path in run.glob("divergences/*/divergence.json")]
    for run, path in paths:
        each = json.loads(path.read_text(encoding="utf-8")) | {"run": run}
        parts = (each["subject"], each["clause"].lower(), each["cause"].replace(" ", "-"))
        found.setdefault(each["known"] or "-".join(parts), []).append(each)
    for members in found.values():
        members.sort(key=lambda each: (each["simplicity"], each["id"]))
    return found


def _finding(
    out: Path,
    name: str,
    members: Sequence[Mapping[str, Any]],
    entry: Mapping[str, Any] | None,
    conventions: Mapping[Path, Mapping[str, Conventions]],
) -> Finding:
    script = out / f"{name.replace('.', '-')}.py"
    output, why = "", ""
    for each in members[:TRIES]:
        folder = each["run"] / "divergences" / each["id"]
        output, reason = _shown(script, folder, each, conventions[each["run"]])
        why = why or reason
        if output:
            break
    else:
        script.unlink(missing_ok=True)
    return Finding(
        name=name,
        entry=entry,
        divergences=tuple(members),
        script=script.name if output else None,
        why="" if output else why,
        output=output,
    )


def _shown(
    script: Path,
    folder: Path,
    divergence: Mapping[str, Any],
    conventions: Mapping[str, Conventions],
) -> tuple[str, str]:
    """What ``script`` prints once it shows the divergence, or '' and why it does not."""
    try:
        texts = script_texts(folder, divergence, conventions)
    except NoScriptError as error:
        return "", str(error)
    for text in texts:
        write_atomically(script, text)
        checked = check_script(script)
        if checked.reproduces:
            return checked.output.strip(), ""
    return "", checked.sentence


def _page(findings: Sequence[Finding], manifests: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = [each for each in findings if each.entry is not None]
    others = [each for each in findings if each.entry is None]
    scripts = sum(each.script is not None for each in findings)
    yield "# What the frameworks do differently"
    yield ""
    yield (
        f"{len(findings)} findings, {scripts} of them with a script beside this page that needs "
        "NumPy and the one framework alone. It prints what was expected and what came, and exits "
        "with 1 while the divergence stands. Each was run before it was listed."
    )
    yield ""
    yield "Written by `bnconform findings` from:"
    yield ""
    for asked in (each["arguments"] for each in manifests):
        yield (
            f"- `bnconform run --profile {asked['profile']} --cases {asked['cases']} "
            f"--seed {asked['seed']}`, {len(asked['subjects'])} subjects"
        )
    yield ""
    versions = {name: text for each in manifests for name, text in each["versions"].items()}
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
        f"{finding.rows} result{'s' if finding.rows != 1 else ''}."
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
