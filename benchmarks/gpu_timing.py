"""Clocks for ``gpu.py``: what one call takes, on a device that works while Python goes on.

A call is repeated over all buffers before one comes again, so that no call finds its input in the
cache. On a GPU the repetitions are captured as a graph where that works, which leaves out what
Python takes to launch; its outputs stay alive, so that they lie in different places, too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import torch

LEAST_MS = 2.0
"""A measurement lasts at least so long."""


@dataclass(kw_only=True)
class Timed:
    """One subject's operation, ready to be timed, and what was measured (ms a call)."""

    subject: str
    operation: str
    run: Callable[[], Any]
    calls: int
    method: str
    repeats: int = 1
    times: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Median, quartiles and extremes, as they are written to a file."""
        first, _, third = quantiles(self.times, n=4) if len(self.times) > 1 else self.times * 3
        return {
            "subject": self.subject,
            "operation": self.operation,
            "ms": median(self.times),
            "quartiles_ms": [first, third],
            "extremes_ms": [min(self.times), max(self.times)],
            "measurements": len(self.times),
            "calls": self.calls * self.repeats,
            "method": self.method,
        }


class Clock:
    """Times of one device, and of libraries that keep their own stream on it."""

    def __init__(self, device: torch.device) -> None:
        """Take the device's events where it has any, else the host's clock."""
        self.device = device

    def prepare(
        self, subject: str, operation: str, call: Callable[[int], Any], calls: int
    ) -> Timed:
        """Warm up, capture a graph where that works, and see how often to repeat."""
        for i in range(min(calls, 3)):
            self.finish(call(i % calls))

        def loop() -> list[Any]:
            return [call(i) for i in range(calls)]

        run, method = loop, "calls"
        if self.device.type == "cuda" and subject != "jax":
            run, method = self._captured(loop, run)
        timed = Timed(subject=subject, operation=operation, run=run, calls=calls, method=method)
        once = self._measure(timed) * calls
        timed.repeats = max(1, min(1000, math.ceil(LEAST_MS / max(once, 1e-6))))
        return timed

    def round(self, all_timed: Sequence[Timed], turn: int) -> None:
        """Measure each once, beginning with another one every turn."""
        turn %= max(len(all_timed), 1)
        for timed in (*all_timed[turn:], *all_timed[:turn]):
            timed.times.append(self._measure(timed))

    def finish(self, result: Any) -> None:
        """Wait until ``result`` is there."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        leaves = result if isinstance(result, tuple | list) else [result]
        for leaf in leaves:
            if isinstance(leaf, tuple | list):
                self.finish(leaf)
            elif hasattr(leaf, "block_until_ready"):
                leaf.block_until_ready()

    def _captured(self, loop: Callable[[], Any], run: Any) -> tuple[Any, str]:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                kept = loop()
        except RuntimeError:
            torch.cuda.synchronize(self.device)
            return run, "calls"

        def replay() -> Any:
            graph.replay()
            return kept

        return replay, "graph"

    def _measure(self, timed: Timed) -> float:
        """Milliseconds a call."""
        if self.device.type == "cuda" and timed.subject != "jax":
            total = self._events(timed)
        else:
            self.finish(None)
            began = time.perf_counter()
            for _ in range(timed.repeats):
                result = timed.run()
            self.finish(result)
            total = 1000 * (time.perf_counter() - began)
        return total / (timed.calls * timed.repeats)

    def _events(self, timed: Timed) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(self.device)
        begin.record()
        for _ in range(timed.repeats):
            timed.run()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end))
