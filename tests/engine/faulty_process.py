"""Adapters that do something to their process in one case of five, and else answer soundly."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import stat
import struct
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bnconform.adapters.numpy_reference import NumpyReference
from bnconform.conformance.case import Case
from bnconform.conformance.contract import Parameters
from bnconform.conformance.engine.leaving import watch
from bnconform.conformance.variant import VariantKind


def _say(last: str) -> None:
    sys.stdout.write(last)
    sys.stdout.flush()


class _Troubled(NumpyReference):
    """Answers like the reference, after what ``trouble`` does in a marked case."""

    framework = "faulty"
    capabilities = replace(
        NumpyReference.capabilities, variants=frozenset({VariantKind.PLAIN}), half_parameters=False
    )

    every: ClassVar[int] = 5
    """One case in so many is a marked one."""

    def build(self, case: Case, parameters: Parameters) -> Any:
        # The same ones on every run.
        if int(case.id, 16) % self.every == 0:
            self.trouble()
        return super().build(case, parameters)

    def trouble(self) -> None:
        """What goes wrong."""


class Untroubled(_Troubled):
    """No fault: the control."""

    name = "faulty.untroubled"


class SometimesSegfaults(_Troubled):
    """Dies of a real segmentation fault."""

    name = "faulty.segfault"

    def trouble(self) -> None:
        _say("about to die")
        ctypes.string_at(0)


class SeldomSegfaults(SometimesSegfaults):
    """The same, in fewer cases."""

    name = "faulty.seldom"
    every = 25


class Aborts(_Troubled):
    """Calls abort, as a failed assertion in C does."""

    name = "faulty.aborts"

    def trouble(self) -> None:
        os.abort()


class Leaves(_Troubled):
    """Ends its process without a word, which no handler sees."""

    name = "faulty.leaves"

    def trouble(self) -> None:
        os._exit(7)


class LeavesContent(_Troubled):
    """Ends its process as if all were well."""

    name = "faulty.leaves_content"

    def trouble(self) -> None:
        os._exit(0)


class SometimesHangs(_Troubled):
    """Never answers, and ignores SIGTERM."""

    name = "faulty.hang"

    def trouble(self) -> None:
        _say("about to hang")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)


class HangsInC(_Troubled):
    """Sits in C code that holds the interpreter's lock, so that no Python runs beside it."""

    name = "faulty.hang_in_c"

    def trouble(self) -> None:
        _say("about to hang")
        ctypes.PyDLL(None).sleep(3600)


class HangsWatched(_Troubled):
    """Hangs with only a thread of Python to watch the harness, as where the kernel does not."""

    name = "faulty.hangs_watched"

    def trouble(self) -> None:
        ctypes.CDLL(None).prctl(1, 0)
        parent = multiprocessing.parent_process()
        assert parent is not None
        watch(parent)
        _say("about to hang")
        time.sleep(3600)


class Swells(_Troubled):
    """Takes memory without end."""

    name = "faulty.swells"

    def trouble(self) -> None:
        taken = []
        while True:
            taken.append(np.ones(2**22))
            time.sleep(0.005)


class Leaks(_Troubled):
    """Keeps 64 MiB of every case, as a cache without a limit does."""

    name = "faulty.leaks"
    kept: ClassVar[list[Any]] = []

    def build(self, case: Case, parameters: Parameters) -> Any:
        self.kept.append(np.ones(2**23))
        return super().build(case, parameters)


class StartsThreads(_Troubled):
    """Starts 500 threads that never end."""

    name = "faulty.threads"

    def trouble(self) -> None:
        for _ in range(500):
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


class FloodsStdout(_Troubled):
    """Prints 50 MB."""

    name = "faulty.floods"

    def trouble(self) -> None:
        for _ in range(50):
            sys.stdout.write("x" * 10**6)
        sys.stdout.write("the end")


class FloodsForEver(_Troubled):
    """Prints until somebody stops it, which a disk does not survive."""

    name = "faulty.floods_for_ever"

    def trouble(self) -> None:
        while True:
            sys.stdout.write("x" * 10**6)


class ClosesStdout(_Troubled):
    """Closes both output streams for good."""

    name = "faulty.closes_stdout"

    def trouble(self) -> None:
        sys.stdout.close()
        sys.stderr.close()


def _channels() -> list[int]:
    """Descriptors of the pipes and sockets that this process has beside the standard three."""
    found = []
    for name in (entry.name for entry in Path("/dev/fd").iterdir()):
        with contextlib.suppress(OSError):
            mode = os.fstat(int(name)).st_mode
            if int(name) > 2 and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
                found.append(int(name))
    return found


def _write_to_the_channel(noise: bytes) -> None:
    for channel in _channels():
        os.set_blocking(channel, False)
        with contextlib.suppress(OSError):
            os.write(channel, noise)
        os.set_blocking(channel, True)


class WritesToTheChannel(_Troubled):
    """Writes into whatever its answers travel through what reads as a length beyond all memory."""

    name = "faulty.noise"

    def trouble(self) -> None:
        _write_to_the_channel(b"noise" * 100)


class WritesAMessage(_Troubled):
    """Writes a whole message that means nothing to whatever its answers travel through."""

    name = "faulty.message"

    def trouble(self) -> None:
        _write_to_the_channel(struct.pack("!i", 5) + b"noise")


class ClosesTheChannel(_Troubled):
    """Closes whatever its answers travel through."""

    name = "faulty.closes"

    def trouble(self) -> None:
        for channel in _channels():
            with contextlib.suppress(OSError):
                os.close(channel)


class SleepsOnceInAHundred(_Troubled):
    """Sleeps past the limit in the hundredth call of its process, whatever the case."""

    name = "faulty.sleeps"
    calls: ClassVar[list[int]] = [0]

    def build(self, case: Case, parameters: Parameters) -> Any:
        self.calls[0] += 1
        if self.calls[0] == 100:
            time.sleep(3600)
        return super().build(case, parameters)


class RaisesNoException(_Troubled):
    """Raises what only BaseException catches, and what cannot be printed."""

    name = "faulty.raises_no_exception"

    def trouble(self) -> None:
        raise _Unprintable


class _Unprintable(BaseException):
    def __str__(self) -> str:
        msg = "there is nothing to say"
        raise RuntimeError(msg)


class Interrupts(_Troubled):
    """Raises what looks like a user's Ctrl-C."""

    name = "faulty.interrupts"

    def trouble(self) -> None:
        raise KeyboardInterrupt
