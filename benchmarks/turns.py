"""How long a worker waits for its answers to be read while the harness judges, by Python's turns.

    python benchmarks/turns.py [--megabytes N]

A child sends arrays through a pipe to a thread of this process, whose main thread computes all the
time, as one that judges does. A turn is how long a thread may compute while another one waits;
*alone* is without the computing. Printed are the child's seconds, its megabytes a second, and how
many small operations a second the main thread did meanwhile.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import threading
import time
from multiprocessing.connection import Connection

import numpy as np
from tables import markdown

from bnconform.conformance.engine.campaign import TURN

TURNS = (0.005, TURN, 0.0001)
ARRAYS = 50
"""Arrays of one answer, of a megabyte together."""


def main() -> None:
    """Print a row for each length of a turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=200)
    megabytes = parser.parse_args().megabytes
    rows = [_row("alone", megabytes, computes=False)]
    before = sys.getswitchinterval()
    for turn in TURNS:
        sys.setswitchinterval(turn)
        rows.append(_row(f"{1e3 * turn:g} ms", megabytes, computes=True))
    sys.setswitchinterval(before)
    print("\n".join(markdown(("turn", "child s", "MB/s", "operations/s"), rows)))


def _row(name: str, megabytes: int, *, computes: bool) -> list[str]:
    reads, writes = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(target=_send, args=(writes, megabytes))
    child.start()
    reads.recv()
    took: list[float] = []
    reader = threading.Thread(target=_read, args=(reads, megabytes, took))
    began, operations = time.perf_counter(), 0
    reader.start()
    values = np.arange(100.0)
    while computes and reader.is_alive():
        for _ in range(100):
            np.multiply(values, 2.0)
        operations += 100
    reader.join()
    rate = operations / (time.perf_counter() - began)
    child.join()
    return [name, f"{took[0]:.2f}", f"{megabytes / took[0]:.0f}", f"{rate:.0f}"]


def _send(pipe: Connection, megabytes: int) -> None:
    answer = [np.ones(2**20 // ARRAYS // 8) for _ in range(ARRAYS)]
    pipe.send(None)
    began = time.perf_counter()
    for _ in range(megabytes):
        pipe.send(answer)
    pipe.send(time.perf_counter() - began)


def _read(pipe: Connection, megabytes: int, took: list[float]) -> None:
    for _ in range(megabytes):
        pipe.recv()
    took.append(pipe.recv())


if __name__ == "__main__":
    main()
