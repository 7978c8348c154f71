"""The findings of runs as a page: what each framework does, and a script that shows it.

A finding is a known divergence that a run came across, by the entries that there are today, or a
cause that nobody has accepted yet.
Its script is the one that was written for it by hand, if any, else that of the simplest case whose
script shows the divergence, and which is not too long to read where another is shorter; either is
run by itself first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..case import Case
from ..engine.units import other_topics
from ..expecting.expectation import Conventions
from ..known.divergences import KnownDivergence
from ..known.scope import labels
from ..topic import topic_of_case
from .handwritten import text_by_hand
from .publishing import conventions_by_subject, first_shown, script_texts
from .rendering import NoScriptError

TRIES = 8
"""Divergences of a finding whose scripts are tried, the simplest first."""

LONGEST = 150
"""Lines up to which a script is taken for its case's sake; longer ones come last."""

PAGE = "README.md"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Divergences of one known entry, or unexpected ones of one subject, clause and cause.

    ``script`` is the file's name beside the page, None where no script shows it: ``why`` says why.
    """

    name: str
    entry: KnownDivergence | None
    divergences: tuple[Mapping[str, Any], ...]
    script: str | None
    why: str
    output: str

    @property
    def subjects(self) -> list[str]:
        """Who diverges."""
        return sorted({str(each["subject"]) for each in self.divergences})

    @property
    def clauses(self) -> list[str]:
        """What does not hold."""
        return sorted({str(each["clause"]) for each in self.divergences})

    @property
    def rows(self) -> int:
        """How many results it accounts for."""
        return sum(int(each["count"]) for each in self.divergences)


def write_findings(
    run_dirs: Sequence[Path],
    out: Path,
    entries: Sequence[KnownDivergence],
    *,
    workers: int = 1,
) -> tuple[Finding, ...]:
    """Write ``README.md`` and the scripts of the findings of the runs ``run_dirs`` into ``out``.

    ``entries`` say what is known, whatever was known when the runs were made.
    :class:`~bnconform.conformance.engine.run_directory.RunDirectoryError` where there is no run.
    """
    conventions = {each: conventions_by_subject(each) for each in run_dirs}
    manifests = [json.loads((each / "manifest.json").read_text("utf-8")) for each in run_dirs]
    known = {entry.id: entry for entry in entries}
    groups = _groups(_bundles(run_dirs, manifests), entries)
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=workers) as executor:
        jobs = [
            executor.submit(_finding, out, name, members, known.get(name), conventions)
            for name, members in sorted(groups.items())
        ]
        found = tuple(job.result() for job in jobs)
    (out / PAGE).write_text("\n".join(_page(found, manifests)) + "\n", encoding="utf-8")
    return found


def _bundles(
    run_dirs: Sequence[Path], manifests: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The divergences of runs, each with the ``run`` it is of and its subject's version."""
    found = []
    for run, manifest in zip(run_dirs, manifests, strict=True):
        subjects = {each["name"]: each for each in manifest["subjects"]}
        for path in run.glob("divergences/*/divergence.json"):
            each = json.loads(path.read_text(encoding="utf-8"))
            subject = subjects[each["subject"]]
            facts = {"framework_version": subject["version"], "device": subject["device"]}
            found.append(each | facts | {"run": run})
    return found


def _groups(
    bundles: Sequence[dict[str, Any]], entries: Sequence[KnownDivergence]
) -> dict[str, list[dict[str, Any]]]:
    """Divergences by finding, the simplest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    others = {topic.id: topic.facts for topic in other_topics()}
    facts = {each["case_id"]: others.get(each["case_id"]) or _facts(each) for each in bundles}
    known = labels(entries, pd.DataFrame(bundles), facts) if bundles else ()
    for each, name in zip(bundles, known, strict=True):
        parts = (each["subject"], each["clause"].lower(), each["cause"].replace(" ", "-"))
        found.setdefault(name or "-".join(parts), []).append(each)
    for members in found.values():
        members.sort(key=lambda each: (each["simplicity"], each["id"]))
    return found


def _facts(bundle: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an entry may ask of a case, or of an experiment that there is no more."""
    told = bundle["case"]
    if "experiment" in told:
        return {"experiment": told["experiment"]}
    return topic_of_case(Case.from_dict(told)).facts


def _finding(
    out: Path,
    name: str,
    members: Sequence[Mapping[str, Any]],
    entry: KnownDivergence | None,
    conventions: Mapping[Path, Mapping[str, Conventions]],
) -> Finding:
    script = out / f"{name.replace('.', '-')}.py"
    by_hand = text_by_hand(name)
    output, why = _tried(script, [by_hand]) if by_hand is not None else ("", "")
    if not output:
        texts, reason = _texts(members[:TRIES], conventions)
        output, other = _tried(script, texts) if texts else ("", reason)
        why = why or other
    if not output:
        script.unlink(missing_ok=True)
    return Finding(
        name=name,
        entry=entry,
        divergences=tuple(members),
        script=script.name if output else None,
        why="" if output else why,
        output=output,
    )


def _texts(
    members: Sequence[Mapping[str, Any]], conventions: Mapping[Path, Mapping[str, Conventions]]
) -> tuple[list[str], str]:
    """The scripts of ``members`` in the order to be tried, and why there is none of the first."""
    texts: dict[str, None] = {}
    why = ""
    for each in members:
        folder = each["run"] / "divergences" / each["id"]
        try:
            texts |= dict.fromkeys(script_texts(folder, each, conventions[each["run"]]))
        except NoScriptError as error:
            why = why or str(error)
    return sorted(texts, key=_excess), why


def _excess(text: str) -> int:
    """Lines by which a script is too long."""
    return max(text.count("\n") - LONGEST, 0)


def _tried(script: Path, texts: Iterable[str]) -> tuple[str, str]:
    """What the first of ``texts`` prints that shows the divergence, or '' and why none does."""
    checked = first_shown(script, texts)
    return (checked.output.strip(), "") if checked.reproduces else ("", checked.sentence)


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
    yield from ("", "| finding | who | clauses | results |", "|---|---|---|---|")
    for each in findings:
        who, clauses = ", ".join(each.subjects), ", ".join(each.clauses)
        yield f"| [{each.name}](#{each.name.replace('.', '')}) | {who} | {clauses} | {each.rows} |"
    if others:
        yield from ("", "## Not accepted yet", "")
        for each in others:
            yield from _told(each)
    yield from ("", "## Known", "")
    for each in known:
        yield from _told(each)


def _told(finding: Finding) -> Iterator[str]:
    yield f"### {finding.name}"
    yield ""
    yield (
        f"{', '.join(f'`{each}`' for each in finding.subjects)}; {', '.join(finding.clauses)}; "
        f"{finding.rows} result{'s' if finding.rows != 1 else ''}."
    )
    yield ""
    if finding.entry is None:
        yield str(finding.divergences[0]["message"])
    else:
        yield " ".join(finding.entry.reason.split())
        yield ""
        yield "Evidence: " + " ".join(finding.entry.evidence.split())
        yield ""
        yield "Upstream: " + " ".join(finding.entry.upstream.split())
    yield ""
    if finding.script is None:
        yield f"No script: {finding.why}."
    else:
        yield f"[{finding.script}]({finding.script}) prints:"
        yield from ("", "```text", *finding.output.splitlines(), "```")
    yield ""
