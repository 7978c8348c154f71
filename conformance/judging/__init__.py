"""From an outcome to verdicts: where it is decided whether a subject conforms."""
