"""Test vectors, format ``bn-vectors/1``: read, checked, and exported for other languages."""
