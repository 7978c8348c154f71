"""Every subject with a state, played on in a process of its own; what one does wrong is marked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from bnconform.adapters import REGISTRY
from bnconform.adapters.stateful import STATEFUL

STATELESS = {
    "tf.nn": "moments and batch_normalization keep nothing",
    "tf.fused": "the op takes statistics and returns them",
    "torch.functional": "the function updates arrays that its caller keeps",
    **dict.fromkeys(
        ("gpu.triton", "gpu.cuda", "gpu.cuda.emulated"),
        "the kernel updates arrays that its caller keeps",
    ),
    **dict.fromkeys(
        ("torch.cuda", "torch.cudnn"), "the function updates arrays that its caller keeps"
    ),
    "cudnn.frontend": "the graph takes statistics and returns them",
    **dict.fromkeys(
        (
            "onnx.runtime",
            "onnx.runtime.opset9",
            "onnx.runtime.opset7",
            "onnx.reference",
            "onnx.reference.opset9",
        ),
        "the node takes statistics and returns them",
    ),
}
"""Subjects of the registry that have no layer object."""

EXAMPLES = {
    "keras.jax": 30,  # not compiled: a call takes tens of milliseconds
    "equinox.batch": 50,  # compiled for every momentum, batch size and mode
    "equinox.ema": 50,
    "haiku.batchnorm": 60,
    "keras.tensorflow": 30,
    "keras.torch": 40,
    "tf_keras.fused": 50,
    "tf_keras.unfused": 50,
    "tf.layers.fused": 12,  # a graph and a session for every layer
    "tf.layers.unfused": 12,
}
"""Sequences for slow subjects; the others play 100."""

LIMIT = 300.0
"""Seconds on a busy machine, the import of the framework included; a run takes 5 to 20."""


@dataclass(frozen=True)
class Result:
    """What became of the sequences: None for a subject that is not installed."""

    failure: dict[str, Any] | None


def play(subject: str, *options: str) -> Result:
    """Play in a fresh interpreter; skip where the framework is not installed."""
    target = STATEFUL[subject]
    command = [sys.executable, "-m", "bnconform.conformance.sequences.machine", target, *options]
    if "--examples" not in options:
        command += ["--examples", str(EXAMPLES.get(subject, 100))]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LIMIT, env=dict(os.environ)
    )
    if "ModuleNotFoundError" in done.stderr or "ImportError" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    if done.returncode == 0:
        return Result(None)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("{"), done.stderr
    return Result(json.loads(done.stdout))


def test_every_subject_of_the_registry_is_played_on_or_has_no_state() -> None:
    """A subject that joins must say which it is."""
    eager = {"tf_keras.fused", "tf_keras.unfused"}
    assert STATEFUL.keys() - eager == REGISTRY.keys() - STATELESS.keys()


@pytest.mark.parametrize(
    ("subject", "options"),
    [
        pytest.param("numpy.reference", (), id="numpy.reference: every operation"),
        pytest.param(
            "torch.module", ("--without", "reject"), id="torch.module: but for rejected calls"
        ),
        pytest.param("keras.tensorflow", (), id="keras.tensorflow: every operation"),
        pytest.param("keras.torch", ("--dtypes", "float32"), id="keras.torch: in float32"),
        pytest.param("keras.jax", ("--dtypes", "float32"), id="keras.jax: in float32"),
        pytest.param("tf_keras.fused", (), id="tf_keras.fused: every operation"),
        pytest.param(
            "tf_keras.unfused", ("--dtypes", "float32"), id="tf_keras.unfused: in float32"
        ),
        pytest.param("tf.layers.fused", (), id="tf.layers.fused: calls and files"),
        pytest.param("tf.layers.unfused", (), id="tf.layers.unfused: calls and files"),
        pytest.param("flax.linen", (), id="flax.linen: every operation"),
        pytest.param(
            "haiku.batchnorm", ("--without", "set_decay"), id="haiku.batchnorm: at one decay"
        ),
        pytest.param("equinox.ema", (), id="equinox.ema: every operation"),
        pytest.param(
            "equinox.batch",
            ("--without", "set_decay", "load", "--unjudged", "running_var", "y", "dx", "dgamma"),
            id="equinox.batch: at one decay, never saved, and but for the variance",
        ),
    ],
)
def test_any_sequence_gives_what_the_spec_gives(subject: str, options: tuple[str, ...]) -> None:
    """Outputs, gradients and state stay within their bounds, and still state keeps its bits."""
    assert play(subject, *options).failure is None


class DivergenceError(Exception):
    """A sequence failed, and in the way that is known."""


@dataclass(frozen=True)
class Known:
    """A divergence: what to play, the check that fails, and the operation it takes, if any."""

    subject: str
    options: tuple[str, ...]
    check: str
    operation: str
    reason: str


VARIANCE = ("--unjudged", "running_var", "y", "dx", "dgamma")
"""What the start of the variance at 1 spoils in Equinox's mode "batch"."""

KNOWN = (
    Known(
        "torch.module", (), "STILL", "reject",
        "torch 2.13: num_batches_tracked counts a batch before it is rejected, so that with"
        " momentum=None every later batch gets too little weight",
    ),
    Known(
        "keras.torch", ("--dtypes", "float64"), "ANSWER", "",
        "keras-float64-computed-in-float32 in conformance/known",
    ),
    Known(
        "keras.jax", ("--dtypes", "float64"), "ANSWER", "",
        "keras-float64-computed-in-float32 in conformance/known",
    ),
    Known(
        "tf_keras.unfused", ("--dtypes", "float64"), "STATE", "train",
        "tf-layers-float64-decay-in-float32 in conformance/known: this layer's base class",
    ),
    Known(
        "haiku.batchnorm", ("--dtypes", "float32"), "STATE", "set_decay",
        "Haiku 0.0.17 divides the hidden average by 1 - decay^t with the decay of the day, not by"
        " the sum of the weights: after a change the average of equal values is another value",
    ),
    Known(
        "equinox.batch", ("--without", "set_decay", "load"), "STATE", "",
        "equinox-batch-variance-starts-at-one in conformance/known",
    ),
    Known(
        "equinox.batch", ("--without", "load", *VARIANCE), "STILL", "set_decay",
        "equinox 0.13.8 divides by 1 - momentum^t in inference, with the momentum of the day: a"
        " change alone, without any training, moves the statistics that inference uses",
    ),
    Known(
        "equinox.batch", ("--without", "set_decay", "--dtypes", "float32", *VARIANCE),
        "CONTINUED", "move",
        "equinox 0.13.8, jitted, jax_enable_x64: the counter of a fresh layer is weakly typed, that"
        " of a deserialised one is not, so that inference answers float32 input in float64",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(
            known,
            id=f"{known.subject} {known.check} {known.operation}".strip(),
            marks=pytest.mark.xfail(strict=True, raises=DivergenceError, reason=known.reason),
        )
        for known in KNOWN
    ],
)
def test_a_known_divergence_is_gone(known: Known) -> None:
    """Strict: the day a framework mends it, this fails, and its row above can go."""
    failure = play(known.subject, *known.options).failure
    if failure is None:
        return
    assert failure["check"] == known.check, failure
    assert any(f"player.{known.operation}" in line for line in failure["script"]), failure
    raise DivergenceError(failure)
