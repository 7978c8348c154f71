"""Standalone scripts: a divergence in a file that needs NumPy and the one framework alone."""

from __future__ import annotations

from .checking import Checked, check_script
from .handwritten import text_by_hand
from .publishing import Published, ScriptStatus, publish_scripts, script_of
from .rendering import NoScriptError, render_script, render_scripts

__all__ = [
    "Checked",
    "NoScriptError",
    "Published",
    "ScriptStatus",
    "check_script",
    "publish_scripts",
    "render_script",
    "render_scripts",
    "script_of",
    "text_by_hand",
]
