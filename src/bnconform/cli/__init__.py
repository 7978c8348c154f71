"""The command line: one module for each command; the only place that joins all three parts."""

from __future__ import annotations

from bnconform.cli.app import main

__all__ = ["main"]
