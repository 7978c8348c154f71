"""What a subject's processes print: a file for each, in a folder that the harness can read.

Each file has another beside it that says where the question in hand began, so that what is told of
a crash or a hang is that question's own.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

OUTPUT_LIMIT = 4000
"""Characters of captured output that an outcome carries."""

_KEPT = 16 * 2**20
"""Bytes of output from which on a question begins with an empty file."""

_WIDTH = 20
"""Characters of a number where a process notes how far it is."""

_CHARACTER = 4
"""Bytes that a character of UTF-8 takes at most."""


class Captured:
    """What this process prints; made once, it takes both output streams over."""

    def __init__(self, folder: Path) -> None:
        """Print to a file of this process in ``folder``, and list it there."""
        own = os.getpid()
        self._log = _log(folder, own)
        output = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        self._began = os.open(_began(folder, own), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with _list(folder).open("a") as stream:
            stream.write(f"{own}\n")

    def begin(self) -> int:
        """Note that a question begins; where its output will be."""
        _flush()
        size = self._log.stat().st_size
        if size > _KEPT:
            # The streams append, so that what comes next begins at 0.
            os.truncate(self._log, 0)
            size = 0
        with contextlib.suppress(OSError):  # a subject may have closed it
            os.pwrite(self._began, b"%20d" % size, 0)
        return size

    def reached(self, portion: int, place: int) -> None:
        """Note that the task at ``place`` of a portion is next."""
        with contextlib.suppress(OSError):
            os.pwrite(self._began, b"%20d%20d" % (portion, place), _WIDTH)

    def since(self, position: int) -> str:
        """The end of what was printed after ``position``."""
        _flush()
        return _read(self._log, position)


def listed(folder: Path) -> list[int]:
    """The processes that have printed to ``folder``, in their order, since it was forgotten."""
    try:
        return [int(line) for line in _list(folder).read_text().split()]
    except FileNotFoundError:
        return []


def forget(folder: Path) -> None:
    """List none any more; what they printed stays unless it is much."""
    _list(folder).unlink(missing_ok=True)
    for log in folder.glob("*.log"):
        if log.stat().st_size > _KEPT:
            log.unlink()


def printed(folder: Path, process: int) -> int:
    """Bytes in the file of a process."""
    try:
        return _log(folder, process).stat().st_size
    except FileNotFoundError:
        return 0


def last_words(folder: Path, process: int) -> str:
    """The end of what a process has printed over the question in hand."""
    try:
        began = int(_began(folder, process).read_text()[:_WIDTH] or 0)
        return _read(_log(folder, process), began)
    except FileNotFoundError:
        return ""


def reached(folder: Path, process: int) -> tuple[int, int]:
    """The portion that a process is at and its place there; zeros where it was given none."""
    try:
        noted = _began(folder, process).read_text()[_WIDTH:]
    except FileNotFoundError:
        noted = ""
    return (int(noted[:_WIDTH]), int(noted[_WIDTH:])) if noted else (0, 0)


def _list(folder: Path) -> Path:
    return folder / "processes"


def _log(folder: Path, process: int) -> Path:
    return folder / f"{process}.log"


def _began(folder: Path, process: int) -> Path:
    return folder / f"{process}.began"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A subject may have closed or replaced them; what it then prints is its own affair.
        with contextlib.suppress(Exception):
            stream.flush()


def _read(log: Path, position: int) -> str:
    with log.open("rb") as stream:
        # Not all of it: it may be longer than what memory there is.
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(position, end - _CHARACTER * OUTPUT_LIMIT))
        return stream.read().decode(errors="replace")[-OUTPUT_LIMIT:]
