"""All alternatives, in the order in which they are preferred when several fit equally well."""

from __future__ import annotations

from .alternative import Alternative
from .conventions import CONVENTIONS
from .precisions import WIDER
from .slips import SLIPS

ALTERNATIVES: tuple[Alternative, ...] = CONVENTIONS + SLIPS + WIDER
