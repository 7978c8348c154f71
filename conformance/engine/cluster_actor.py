"""An outpost as an actor of Ray: what must be undone before a subject starts from there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .outpost import Brief, Introduction, Outpost

THREADS = "OMP_NUM_THREADS"
_GPUS = "CUDA_VISIBLE_DEVICES"


class ActorOutpost(Outpost):
    """An outpost in a process that Ray started."""

    def __init__(self, brief: Brief, threads: str | None, *, gpu: bool) -> None:
        """``threads`` is the caller's OMP_NUM_THREADS; without ``gpu`` the subject sees none."""
        super().__init__(brief)
        self._threads, self._gpu = threads, gpu

    def introduce(self) -> Introduction:
        """The same, from a process that hands down nothing of Ray's."""
        _forget_main()
        _leave_out_packages_of_ray()
        _set_threads(self._threads)
        if not self._gpu:
            os.environ[_GPUS] = ""
        return super().introduce()


def _forget_main() -> None:
    """Keep the subject's process from importing Ray: what is spawned imports the main module."""
    vars(sys.modules["__main__"]).pop("__file__", None)


def _leave_out_packages_of_ray() -> None:
    """Ray puts folders of its own first in ``sys.path``, which what is spawned takes over."""
    own = Path(str(sys.modules["ray"].__file__)).resolve().parent
    sys.path[:] = [path for path in sys.path if not Path(path).resolve().is_relative_to(own)]


def _set_threads(threads: str | None) -> None:
    """Ray allows one thread where nobody says how many, and their number can change last bits."""
    if threads is None:
        os.environ.pop(THREADS, None)
    else:
        os.environ[THREADS] = threads
