"""What ``test_second_order_subjects.py`` runs in processes of its own, one for each subject.

``second_order_script.py SUBJECT FILE`` writes a pickle of two mappings by experiment: what the
subject observes, or why it does not, and how often its framework vectorized meanwhile.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path
from typing import Any

from bnconform.adapters import REGISTRY
from bnconform.conformance.contract import UnsupportedError
from bnconform.conformance.experiments.registry import EXPERIMENTS

SOME = (
    "second.training.float32.channels_first",
    "second.training.float32.features_last",
    "second.training.float64.without_gamma",
    "second.training.float64.offset",
    "second.inference.float32.features_last",
    "forward_over_reverse.training.float32.channels_first",
    "forward_over_reverse.inference.float64.channels_first",
    "reverse_over_forward.training.float32.features_last",
    "reverse_over_forward.inference.float32.features_last",
    "vectorized_reverse.training.float32.channels_first",
    "vectorized_reverse.training.float64.without_gamma",
    "vectorized_reverse.inference.float32.features_last",
)
"""Enough to see that an adapter asks what it must; a campaign runs all of them."""


def class_of(subject: str) -> Any:
    """The subject's adapter."""
    module, _, name = REGISTRY[subject].partition(":")
    return getattr(importlib.import_module(module), name)


MAPS = {
    "jax": "vmap",
    "tensorflow.python.ops.parallel_for.control_flow_ops": "pfor",
    "torch.func": "vmap",
}
"""Module -> the function by which a framework vectorizes."""


def _watched(calls: list[str]) -> None:
    """From now on, a framework that was imported notes each time that it vectorizes."""
    for module, name in MAPS.items():
        if module.partition(".")[0] in sys.modules:
            holder = importlib.import_module(module)
            setattr(holder, name, _noting(getattr(holder, name), calls))


def _noting(function: Any, calls: list[str]) -> Any:
    def noted(*args: Any, **kwargs: Any) -> Any:
        calls.append(function.__name__)
        return function(*args, **kwargs)

    return noted


def _main(subject: str, file: Path) -> None:
    adapter = class_of(subject)()
    found: dict[str, Any] = {}
    times: dict[str, int] = {}
    calls: list[str] = []
    _watched(calls)
    for name in SOME:
        if name in adapter.capabilities.experiments:
            before = len(calls)
            try:
                found[name] = adapter.observe(name, EXPERIMENTS[name].arrays)
                times[name] = len(calls) - before
            except UnsupportedError as error:
                found[name] = str(error)
    file.write_bytes(pickle.dumps((found, times)))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
