"""Scripts that were written by hand, for what no template shows: export and second derivatives.

Each is named after the known divergence that it shows, and stands by itself as those do that are
generated.
"""

from __future__ import annotations

from importlib import resources

_FOLDER = "by_hand"


def text_by_hand(known: str) -> str | None:
    """The script for the known divergence with the id ``known``, None where there is none."""
    found = resources.files(__package__).joinpath(_FOLDER, f"{known}.py")
    return found.read_text(encoding="utf-8") if found.is_file() else None
