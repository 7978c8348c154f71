"""``bnconform explain``."""

from __future__ import annotations

import inspect
import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from bnconform.cli.case_words import facts_in_words, told_in_words
from bnconform.cli.errors import UsageError, user_errors
from bnconform.conformance.clauses import clause
from bnconform.conformance.document import equation
from bnconform.conformance.scripts import NoScriptError, script_of, text_by_hand
from bnconform.conformance.verdict import CALL

WIDTH = 80
_LABEL = 14
_UNEXPLAINED = "unexplained"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Divergences of one subject with one cause; ``rows`` and ``cases`` say how many there are.

    A bundle stands for rows that look alike, and can belong to several causes.
    """

    subject: str
    kind: str
    name: str
    sentence: str
    where: Mapping[str, Any]
    bundles: tuple[Mapping[str, Any], ...]
    rows: int
    cases: int

    @property
    def known(self) -> tuple[str, ...]:
        """Ids of the known divergences that cover some of it; '' stands for none."""
        return tuple(sorted({str(bundle["known"]) for bundle in self.bundles}))


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run's divergences: ``explained`` whether the run says why, else groups are by cause."""

    path: Path
    groups: tuple[Group, ...]
    explained: bool
    known: Mapping[str, Mapping[str, Any]]


def explain(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    divergence: Annotated[
        str, typer.Argument(metavar="[DIVERGENCE]", help="Its id, or the beginning of it.")
    ] = "",
    script: Annotated[
        bool, typer.Option("--script", help="Print the script that shows it by itself.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say why subjects diverge: every cause in a run, or one divergence in full."""
    with user_errors():
        found = read_divergences(run)
        if script and not divergence:
            msg = "--script needs a divergence; `bnconform explain RUN` lists them"
            raise UsageError(msg)
        if not divergence:
            typer.echo(json.dumps(_all_as_data(found), indent=1) if as_json else _table(found))
            return
        group, bundle = _one(found, divergence)
        if script:
            typer.echo(_script(found.path, bundle), nl=False)
        elif as_json:
            typer.echo(json.dumps(_as_data(found, group, bundle), indent=1))
        else:
            typer.echo("\n".join(_detail(found, group, bundle)))


def read_divergences(run: Path) -> Found:
    """The divergences of the run at ``run``, grouped; :class:`UsageError` where there is no run."""
    try:
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        bundles = {
            path.parent.name: json.loads(path.read_text(encoding="utf-8"))
            for path in sorted((run / "divergences").glob("*/divergence.json"))
        }
        stored = run / "explanations.json"
        explained = stored.exists()
        explanations = json.loads(stored.read_text(encoding="utf-8")) if explained else []
    except (OSError, ValueError) as error:
        msg = f"{run} holds no run that can be read: {error}; give the --out of a `bnconform run`"
        raise UsageError(msg) from error
    groups = [*_explained(explanations, bundles), *_rest(explanations, bundles, explained)]
    ordered = sorted(groups, key=lambda group: (group.subject, -group.rows, group.name))
    known = manifest.get("known", {})
    return Found(path=run, groups=tuple(ordered), explained=explained, known=known)


def _explained(
    explanations: Iterable[Mapping[str, Any]], bundles: Mapping[str, Mapping[str, Any]]
) -> Iterator[Group]:
    for each in explanations:
        mine = tuple(bundles[name] for name in each["divergences"] if name in bundles)
        if mine:
            yield Group(
                subject=each["subject"],
                kind=each["kind"],
                name=each["name"],
                sentence=each["sentence"],
                where=each["where"],
                bundles=mine,
                rows=int(each["rows"]),
                cases=int(each["cases"]),
            )


def _rest(
    explanations: Iterable[Mapping[str, Any]],
    bundles: Mapping[str, Mapping[str, Any]],
    explained: bool,
) -> Iterator[Group]:
    """Bundles that no explanation names, by subject, cause and known divergence."""
    named = {name for each in explanations for name in each["divergences"]}
    left: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for name, bundle in bundles.items():
        if name not in named:
            key = bundle["subject"], bundle["cause"] or bundle["verdict"], bundle["known"]
            left.setdefault(key, []).append(bundle)
    for (subject, cause, _), mine in left.items():
        yield Group(
            subject=subject,
            kind=_UNEXPLAINED,
            name=_UNEXPLAINED if explained else cause,
            sentence=f"Nothing explains it: {cause}." if explained else "",
            where={},
            bundles=tuple(mine),
            rows=sum(int(bundle["count"]) for bundle in mine),
            # Bundles name their first fifty cases; more need not be told apart here.
            cases=len({name for each in mine for name in each.get("cases", [each["case_id"]])}),
        )


def _one(found: Found, beginning: str) -> tuple[Group, Mapping[str, Any]]:
    """The divergence whose id begins so, and the first group that holds it."""
    matching = {
        str(bundle["id"]): (group, bundle)
        for group in reversed(found.groups)
        for bundle in group.bundles
        if str(bundle["id"]).startswith(beginning)
    }
    if len(matching) == 1:
        return next(iter(matching.values()))
    if matching:
        msg = f"{beginning!r} begins {len(matching)} ids: {', '.join(sorted(matching)[:6])}"
    else:
        msg = f"{found.path} has no divergence {beginning!r}; `bnconform explain RUN` lists them"
    raise UsageError(msg)


def _table(found: Found) -> str:
    if not found.groups:
        return f"{found.path} has no divergences."
    lines = [] if found.explained else [_wrapped(_WITHOUT, "")]
    subject = ""
    for group in found.groups:
        if group.subject != subject:
            subject = group.subject
            lines.append(f"\n{subject}\n{'=' * len(subject)}")
        lines.append("\n".join(_entry(found, group)))
    bundles = {str(bundle["id"]) for group in found.groups for bundle in group.bundles}
    total = f"{_plural(len(found.groups), 'cause')} of {_plural(len(bundles), 'divergence')}"
    lines.append("\n" + _wrapped(f"{total}; {_scripts_in_short(found)}.", ""))
    return "\n".join(lines).lstrip("\n")


def _scripts_in_short(found: Found) -> str:
    """How many divergences have a script, and how many of those show them."""
    bundles = {each["id"]: each for group in found.groups for each in group.bundles}
    kept = [each["script"]["status"] for each in bundles.values() if "script" in each]
    if not kept:
        return "no scripts were published"
    shown, failing = (kept.count(each) for each in ("reproduces", "does not reproduce"))
    return f"{shown} have a script that shows them, {failing} one that does not"


_WITHOUT = (
    "This run does not say why its subjects diverge (it has no explanations.json): its divergences"
    " are grouped by what is wrong and by known divergence."
)


def _entry(found: Found, group: Group) -> Iterator[str]:
    """A cause: name and counts, the sentence, where, known or not, and the ids."""
    counts = f"{_plural(group.rows, 'row')}, {_plural(group.cases, 'case')}"
    yield f"  {group.name:<{max(WIDTH - 4 - len(counts), 1)}}  {counts}"
    if group.sentence not in ("", group.name):
        yield _wrapped(group.sentence, "      ")
    if group.where:
        yield _wrapped(f"where {facts_in_words(group.where)}", "      ")
    yield _wrapped(_known_in_short(found, group), "      ")
    ids = " ".join(str(bundle["id"]) for bundle in _by_size(group.bundles)[:5])
    more = len(group.bundles) - 5
    yield _wrapped(ids + (f" (+{more})" if more > 0 else ""), "      ")


def _by_size(bundles: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The simplest example first."""
    return sorted(bundles, key=lambda bundle: (bundle.get("simplicity", []), bundle["id"]))


def _known_in_short(found: Found, group: Group) -> str:
    names = [name for name in group.known if name]
    if not names:
        return "NOT KNOWN"
    by_date: dict[str, list[str]] = {}
    for name in names:
        by_date.setdefault(_since(found, name), []).append(name)
    known = "; ".join(f"{', '.join(same)} ({since})" for since, same in by_date.items())
    return f"known: {known}" + ("; some of it NOT KNOWN" if "" in group.known else "")


def _since(found: Found, name: str) -> str:
    entry = found.known.get(name)
    return f"since {entry['date']}" if entry else "not in this run's manifest"


def _detail(found: Found, group: Group, bundle: Mapping[str, Any]) -> Iterator[str]:
    """One divergence in full, at most 80 columns wide but for JSON that is to be copied."""
    about = clause(bundle["clause"])
    quantity = "the call" if bundle["quantity"] == CALL else bundle["quantity"]
    yield f"{bundle['subject']}: {about.id} does not hold for {quantity}"
    yield _wrapped(f"divergence {bundle['id']}, {_plural(bundle['count'], 'row')}", "")
    yield from _section("What happened", _happened(bundle))
    yield from _section("Why", _why(found, group))
    yield from _section("The clause", _clause_lines(bundle["clause"]))
    yield from _section("Known", _known_lines(found, str(bundle["known"])))
    yield from _section("The simplest case", told_in_words(bundle["case"]))
    yield from _section("By itself", _script_lines(found.path, bundle))
    versions = ", ".join(f"{name} {each}" for name, each in bundle["versions"].items())
    yield from _section("Versions", [versions])
    yield "\nThe case as JSON\n"
    yield json.dumps(bundle["case"], sort_keys=True, separators=(",", ":"))


def _happened(bundle: Mapping[str, Any]) -> Iterator[str]:
    expected, got = float(bundle["expected"]), float(bundle["got"])
    verdict, cause = str(bundle["verdict"]).replace("_", " "), str(bundle["cause"])
    told = verdict if cause in ("", verdict) else f"{verdict}: {cause}"
    # Where there is no element, there are no numbers to show.
    if bundle["worst_index"] or not math.isnan(expected):
        at = bundle["worst_index"] or "the only element"
        step = f", training step {int(bundle['step']) + 1}" if int(bundle["step"]) >= 0 else ""
        yield _row("at", f"[{at}]{step}")
        yield _row("expected", repr(expected))
        yield _row("got", repr(got))
        yield _row("bound", f"{float(bundle['bound']):.3g}")
        yield _row("error / bound", f"{float(bundle['error_ratio']):.3g}")
        yield _row("verdict", told)
    else:
        yield _row("verdict", told)
        yield str(bundle["message"])


def _why(found: Found, group: Group) -> Iterator[str]:
    if not found.explained:
        yield "This run does not say: it has no explanations.json."
        return
    yield f"{group.name} ({group.kind})"
    if group.sentence != group.name:
        yield group.sentence
    if group.where:
        yield f"where {facts_in_words(group.where)}"


def _clause_lines(name: str) -> Iterator[str]:
    about = clause(name)
    yield f"{about.id} ({about.level}): {about.statement}"
    if about.equation:
        function = equation(about.equation)
        documented = inspect.getdoc(function) or ""
        yield _row("equation", documented.split("\n\n")[0].replace("\n", " "))
        module = function.__module__.rpartition(".")[2]
        yield _row("", f"conformance/{module}.py, {about.equation}")
    yield _row("source", about.source)


def _known_lines(found: Found, name: str) -> Iterator[str]:
    if not name:
        yield "No: no entry of known/*.toml covers it."
        return
    entry = found.known.get(name)
    yield f"{name}, {_since(found, name)}"
    if entry:
        yield " ".join(entry["reason"].split())
        yield f"upstream: {entry['upstream']}; to be looked at again by {entry['review_by']}"


def _script_lines(run: Path, bundle: Mapping[str, Any]) -> Iterator[str]:
    kept = bundle.get("script")
    if kept is None:
        yield "No script was published; --script writes one."
    elif kept["file"] is None:
        yield kept["why"]
    else:
        yield str(run / "divergences" / bundle["id"] / kept["file"])
        yield f"{kept['status']}: {kept['why']}"


def _script(run: Path, bundle: Mapping[str, Any]) -> str:
    """The script as it was published, else written now, else by hand for the known divergence."""
    kept = bundle.get("script")
    if kept is not None and kept["file"] is not None:
        path = run.joinpath("divergences", str(bundle["id"]), str(kept["file"]))
        return path.read_text(encoding="utf-8")
    try:
        text = script_of(run, bundle)
    except NoScriptError as error:
        by_hand = text_by_hand(str(bundle["known"]))
        if by_hand is None:
            raise UsageError(str(error)) from error
        typer.echo(f"this script was written by hand for {bundle['known']}", err=True)
        return by_hand
    typer.echo("this script was written now, and has not been run", err=True)
    return text


def _all_as_data(found: Found) -> list[dict[str, Any]]:
    return [
        {
            "subject": group.subject,
            "kind": group.kind,
            "name": group.name,
            "sentence": group.sentence,
            "where": dict(group.where),
            "rows": group.rows,
            "cases": group.cases,
            "known": [name for name in group.known if name],
            "all_known": "" not in group.known,
            "divergences": [bundle["id"] for bundle in _by_size(group.bundles)],
        }
        for group in found.groups
    ]


def _as_data(found: Found, group: Group, bundle: Mapping[str, Any]) -> dict[str, Any]:
    about = clause(bundle["clause"])
    why = {"kind": group.kind, "name": group.name, "sentence": group.sentence}
    return {
        **bundle,
        "words": list(told_in_words(bundle["case"])),
        "explanation": why | {"where": dict(group.where)} if found.explained else None,
        "statement": about.statement,
        "equation": about.equation,
        "known_entry": found.known.get(str(bundle["known"])),
    }


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"\n{title}"
    for line in lines:
        yield _wrapped(line, "  ") if line.strip() else ""


def _row(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _wrapped(text: str, indent: str) -> str:
    """``text`` at most 80 columns wide; what follows a label stays under it."""
    label = text[:_LABEL]
    labelled = len(text) > _LABEL and label.endswith(" ") and ("  " in label or label.isspace())
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + (" " * _LABEL if labelled else ""),
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
