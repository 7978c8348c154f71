"""A known divergence as TOML text, appended to a file that keeps what it holds."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .divergences import KnownDivergence, KnownDivergenceError, load_known, parse_known

_WIDTH = 100


def entry_text(entry: KnownDivergence) -> str:
    """The table ``[[divergence]]`` that reads back as ``entry``, but for spaces in long texts."""
    return "".join(f"{line}\n" for line in _lines(entry))


def append_entry(entry: KnownDivergence, path: Path) -> KnownDivergence:
    """Add ``entry`` to the file at ``path``, made if it is not there, and give what reads back.

    The file keeps its text, comments included. Raises :class:`KnownDivergenceError`, and leaves
    everything as it was, if its folder does not load with the new entry.
    """
    before = path.read_bytes() if path.exists() else None
    kept = (before or b"").decode("utf-8")
    newline = "\r\n" if "\r\n" in kept else "\n"
    parse_known(kept, path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kept and not kept.endswith(("\n", "\r")):
        kept += newline
    added = ("\n" if kept else "") + entry_text(entry)
    path.write_bytes((kept + added.replace("\n", newline)).encode("utf-8"))
    try:
        return _read_back(entry, path)
    except KnownDivergenceError:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
        raise


def _read_back(entry: KnownDivergence, path: Path) -> KnownDivergence:
    """The entry as the folder gives it; only long texts may be broken otherwise."""
    found = next((each for each in load_known(path.parent) if each.id == entry.id), None)
    if found is None or _compared(found) != _compared(entry):
        msg = f"{path.name}: {entry.id} does not read back as it was meant: {found}"
        raise KnownDivergenceError(msg)
    return found


def _compared(entry: KnownDivergence) -> tuple[object, ...]:
    texts = (" ".join(text.split()) for text in (entry.reason, entry.evidence, entry.upstream))
    named = {name: value for name, value in vars(entry).items() if name not in _NOT_EXACT}
    return (*texts, *(named[name] for name in sorted(named)))


_NOT_EXACT = {"reason", "evidence", "upstream", "file"}


def _lines(entry: KnownDivergence) -> Iterator[str]:
    yield "[[divergence]]"
    yield f"id = {_value(entry.id)}"
    yield f"subject = {_value(list(entry.subjects))}"
    yield f"versions = {_value(specifiers(entry))}"
    lists = {
        "device": entry.devices,
        "clause": entry.clauses,
        "quantity": entry.quantities,
        "verdict": entry.verdicts,
        "cause": entry.causes,
        "explanation": entry.explanations,
    }
    for name, values in lists.items():
        if values:
            yield _listed(name, list(values))
    if entry.where:
        yield f"where = {_value(dict(entry.where))}"
    yield f"looked_at_least = {entry.looked_at_least}"
    yield f"reason = {_text(entry.reason)}"
    yield f"evidence = {_text(entry.evidence)}"
    yield f"upstream = {_text(entry.upstream)}"
    yield f"date = {entry.date.isoformat()}"
    yield f"review_by = {entry.review_by.isoformat()}"


def specifiers(entry: KnownDivergence) -> str:
    """The range of versions, the lower end first, as people write it."""
    return ",".join(sorted(map(str, entry.versions), reverse=True))


def _listed(name: str, values: list[str]) -> str:
    """A value alone, or a list, a wide one over several lines."""
    line = f"{name} = {_value(values)}"
    if len(line) <= _WIDTH:
        return line
    inner = textwrap.fill(
        ", ".join(map(_value, values)), _WIDTH - 4, break_long_words=False, break_on_hyphens=False
    )
    return f"{name} = [\n{textwrap.indent(inner, '    ')},\n]"


def _value(value: Any) -> str:
    """A TOML value on one line; a list of one text is written as that text."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_member(value[name])}' for name in value)} }}"
    if isinstance(value, list) and len(value) == 1:
        return _member(value[0])
    return _member(value)


def _member(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_member, value))}]"
    if isinstance(value, Mapping):
        return _value(value)
    # TOML's basic strings, whole numbers and booleans are written as JSON writes them, and floats
    # as Python does, but for DEL, which JSON leaves alone.
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _text(text: str) -> str:
    """A text on one line, or wrapped between three quotes."""
    line = _member(" ".join(text.split()))
    if len(line) <= _WIDTH - len("evidence = "):
        return line
    # Between three quotes a single one needs no backslash.
    inner = line[1:-1] if '""' in text else line[1:-1].replace('\\"', '"')
    inner = textwrap.fill(inner, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return f'"""\n{inner}\n"""'
