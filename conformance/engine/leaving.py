"""A worker ends when its harness does, however that ended and whatever the worker is doing.

A worker that waits for a question sees its channel close. One that hangs would stay for ever, and
hold its memory and its device, so the kernel is asked to kill it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1
"""From Linux's <sys/prctl.h>: the signal that a process gets when its parent dies."""


def leave_with_parent() -> None:
    """Have this process, which multiprocessing started, killed when its parent ends.

    On Linux the kernel does it, even to a process that sits in C code. Elsewhere a thread does,
    which can only run while the subject lets go of the interpreter's lock.

    To Linux the parent is the thread that started the process: it must live as long as its pool.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:
            # It ended before the kernel was asked.
            leave()
    else:
        watch(parent)


def watch(parent: multiprocessing.process.BaseProcess) -> None:
    """End this process from a thread of its own, as soon as ``parent`` has ended."""

    def wait() -> None:
        parent.join()
        leave()

    threading.Thread(target=wait, daemon=True).start()


def leave() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
