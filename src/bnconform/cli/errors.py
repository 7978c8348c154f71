"""Errors that a user can mend: one sentence on stderr and exit status 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from bnconform.conformance.case import InvalidCaseError
from bnconform.conformance.clauses import UnknownClauseError
from bnconform.conformance.engine.loading import AdapterError
from bnconform.conformance.engine.run_directory import RunDirectoryError
from bnconform.conformance.known.divergences import KnownDivergenceError

USAGE = 2
"""Exit status when the call or the harness is at fault."""


class UsageError(Exception):
    """The call cannot be carried out; the text says what arrived and what to do."""


USER_ERRORS: tuple[type[Exception], ...] = (
    UsageError,
    AdapterError,
    InvalidCaseError,
    KnownDivergenceError,
    RunDirectoryError,
    UnknownClauseError,
)


@contextmanager
def user_errors(*more: type[Exception]) -> Iterator[None]:
    """Turn the errors that users can mend into a sentence and exit status 2."""
    try:
        yield
    except (*USER_ERRORS, *more) as error:
        typer.echo(f"bnconform: {error}", err=True)
        raise typer.Exit(USAGE) from None
    except OSError as error:
        typer.echo(f"bnconform: {error.strerror or error}: {error.filename}", err=True)
        raise typer.Exit(USAGE) from None
