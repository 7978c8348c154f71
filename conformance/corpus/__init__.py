"""The frozen corpus: shrunk cases on which some subject once diverged, replayed by every run."""

from .reading import (
    CORPUS_FORMAT,
    CorpusEntry,
    CorpusError,
    load_corpus,
    load_entries,
    read_entries,
    write_entries,
)

__all__ = [
    "CORPUS_FORMAT",
    "CorpusEntry",
    "CorpusError",
    "load_corpus",
    "load_entries",
    "read_entries",
    "write_entries",
]
