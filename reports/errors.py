"""Why a report could not be made: one class per failure, each message with what to do."""

from __future__ import annotations


class ReportError(Exception):
    """Any of the failures below; nothing was written when it is raised."""


class RunNotFoundError(ReportError):
    """There is no run directory at a path that was given, or no path was given."""


class RunIncompleteError(ReportError):
    """A run has no footer: it is still going, or it stopped, and must not be read as complete."""


class RunFormatError(ReportError):
    """A file of a run directory is missing, unreadable, or not of the format it must have."""


class RunCountsError(ReportError):
    """A run's footer counts something else than its parts hold: rows were lost or added."""


class MixedVersionsError(ReportError):
    """A subject's rows come from another framework version than the manifest says."""


class DuplicateRecordsError(ReportError):
    """The same result twice: it would be counted twice."""


class NotAReportError(ReportError):
    """The place for the report holds something that is not an earlier report."""


class InvalidPageError(ReportError):
    """An extra page that cannot be part of the site: its slug, a link or a table does not fit."""
