"""What an experiment is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..contract import Array
from ..reference import Expectation


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """One thing to try, and what must be observed.

    ``parameter`` is that of ``tf.layers.batch_normalization`` which it is about; ``clauses`` says
    which clause each observed array is evidence for; ``arrays`` are handed to the subject;
    ``expected`` gives, by the same names as ``clauses``, exact values and bounds.
    """

    name: str
    parameter: str
    purpose: str
    clauses: Mapping[str, str]
    arrays: Mapping[str, Array]
    expected: Callable[[], Mapping[str, Expectation]]

    @property
    def id(self) -> str:
        """Sixteen hex digits of the hash of the name and the arrays: the record's case id."""
        digest = hashlib.sha256(f"experiment/{self.name}".encode())
        for name, array in sorted(self.arrays.items()):
            digest.update(f"/{name}/{array.dtype}/{array.shape}/".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]
