"""Every way of conversion and export on the real frameworks.

Frameworks read their environment when they are imported and Keras has one backend per process: this
file, run as a script, goes every way of one subject.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnconform.adapters import REGISTRY
from bnconform.adapters.exports.scenes import travel
from bnconform.conformance.contract import Observed, UnsupportedError
from bnconform.conformance.experiments.exports import EXPORTS
from bnconform.conformance.experiments.registry import EXPERIMENTS
from bnconform.conformance.judging.judge_experiment import judge_experiment
from bnconform.conformance.verdict import Conforms

PREFIX = "export."


def adapter_of(name: str) -> Any:
    """The adapter's class; nothing is imported that it is about."""
    module, _, kind = REGISTRY[name].partition(":")
    return getattr(importlib.import_module(module), kind)


def ways_of(name: str) -> list[str]:
    """The experiments of a subject that are about conversion and export."""
    every = adapter_of(name).capabilities.experiments
    return sorted(each for each in every if each.startswith(PREFIX))


SUBJECTS = [name for name in REGISTRY if ways_of(name)]

WRONG: dict[tuple[str, str], set[str]] = {
    ("torch.module", "export.torch.trace"): {
        f"{what}{scene}"
        for what in ("next_mean", "next_var")
        for scene in ("", "_float64", "_float16", "_bfloat16", "_no_affine", "_no_center",
                      "_gamma", "_large_epsilon")
    },
    **{
        ("torch.module", f"export.torch.{way}"): {"y_folded_half_no_variance"}
        for way in ("fuse_conv", "fuse_depthwise", "fuse_transposed", "fuse_linear", "fuse_fx",
                    "fuse_modules", "frozen")
    },
    **{
        ("torch.module", f"export.torch.{way}"): {"y_folded"}
        for way in ("fuse_linear_rank_3", "frozen_linear_rank_3", "fuse_fx_shared",
                    "quantize_fx_shared")
    },
    **{
        (f"keras.{backend}", f"export.keras.{way}"): {"y_float64"}
        for backend in ("torch", "jax")
        for way in ("file", "h5", "weights", "configuration", "saved_model")
        if (backend, way) != ("torch", "saved_model")
    },
    ("tf.fused", "export.tf.layouts"): {"y_folded", "y_folded_gamma"},
    ("tf.layers.fused", "export.tf.layers.fused.layouts"): {"y_folded", "y_folded_gamma"},
    ("tf.layers.fused", "export.tf.layers.fused.optimized_shared"): {"y_folded"},
    ("onnx.runtime", "export.onnx.equal_constants"): {"y_train_equal"},
    ("onnx.runtime", "export.onnx.matmul_transposed"): {"y_folded", "y_folded_gamma"},
    ("onnx.runtime", "export.onnx.matmul_reshaped"): {"y_folded", "y_folded_gamma"},
    ("onnx.reference", "export.onnx.written"): {"y_float16"},
    ("onnx.reference", "export.onnx.converted"): {"y_float16"},
}  # fmt: skip
"""(subject, experiment) -> what is known to come out wrong; conformance/known says why."""

RAISES = {
    ("torch.module", "export.torch.fuse_transposed_groups"): "expected bias to be 1-dimensional",
    ("torch.module", "export.torch.fuse_linear_no_affine"): "unsupported operand type",
    ("keras.tensorflow", "export.keras.h5_bfloat16"): "No cast function available",
    ("keras.torch", "export.keras.h5_bfloat16"): "Invalid dtype: void16",
    ("keras.jax", "export.keras.h5_bfloat16"): "Error interpreting argument",
    ("tf.layers.unfused", "export.tf.layers.unfused.frozen"): "ReadVariableOp:value:0 is not found",
}
"""(subject, experiment) -> part of the error that it is known to end in."""

Answers = dict[str, Any]


@pytest.fixture(scope="session")
def answers_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Answers]:
    """What a subject observes on each of its ways, or how it ended; gone once."""
    gone: dict[str, Answers] = {}

    def ask(subject: str) -> Answers:
        if subject not in gone:
            file = tmp_path_factory.mktemp("exports") / "answers.pickle"
            command = [sys.executable, __file__, subject, str(file)]
            environment = os.environ | adapter_of(subject).environment
            run = subprocess.run(command, env=environment, capture_output=True, check=False)
            assert run.returncode == 0, run.stderr.decode()[-2000:]
            gone[subject] = pickle.loads(file.read_bytes())  # noqa: S301 -- written by this file
        return gone[subject]

    return ask


@pytest.mark.parametrize(
    ("subject", "name"), [(subject, name) for subject in SUBJECTS for name in ways_of(subject)]
)
def test_a_layer_arrives_as_it_left(
    subject: str, name: str, answers_of: Callable[[str], Answers]
) -> None:
    """Everything that is observed is within its bound, but for what is known not to be."""
    answer = answers_of(subject)[name]
    if answer[0] == "unsupported":
        pytest.skip(answer[1])
    if (subject, name) in RAISES:
        assert answer[0] == "raised"
        assert RAISES[subject, name] in answer[1]
        return
    assert answer[0] == "observed", answer[1]
    experiment = EXPERIMENTS[name]
    judged = judge_experiment(experiment, Observed(arrays=answer[1], seconds=0.0, output=""))
    wrong = {each.quantity for each in judged if not isinstance(each.verdict, Conforms)}
    assert wrong == WRONG.get((subject, name), set())
    assert set(answer[1]) == set(experiment.clauses)


def test_every_way_is_gone_by_a_subject_and_no_other_is() -> None:
    """An adapter spells them out, because it may not look into the standard."""
    gone = {name for subject in SUBJECTS for name in ways_of(subject)}
    assert gone == {experiment.name for experiment in EXPORTS}


def test_what_is_known_is_about_ways_that_there_are() -> None:
    """A row for another name would never fail."""
    known = WRONG.keys() | RAISES.keys()
    assert known <= {(subject, name) for subject in SUBJECTS for name in ways_of(subject)}


def test_a_scene_is_put_together_by_its_suffix() -> None:
    """What an array is missing for, the layer is without; answers get the suffix back."""
    seen = {}

    def way(scene: Any) -> Any:
        seen[scene.x.dtype.name, scene.x.shape] = scene
        return {"y": scene.x}

    experiment = EXPERIMENTS["export.torch.state_dict"]
    found = travel(experiment.arrays, way)
    assert {"y", "y_float64", "y_no_affine", "y_cumulative"} <= set(found)
    assert found["y_float64"].dtype == "float64"
    scenes = list(seen.values())
    assert all(scene.axis == 1 and scene.channels == 3 for scene in scenes)
    without = {"gamma_no_affine", "beta_no_affine", "decay_cumulative"}
    assert not without & set(experiment.arrays)


def _main(subject: str, file: Path) -> None:
    try:
        adapter = adapter_of(subject)()
    except ImportError as error:
        answers = {name: ("unsupported", str(error)) for name in ways_of(subject)}
    else:
        answers = {name: _observed(adapter, name) for name in ways_of(subject)}
    file.write_bytes(pickle.dumps(answers))


def _observed(adapter: Any, name: str) -> tuple[str, Any]:
    try:
        return "observed", dict(adapter.observe(name, EXPERIMENTS[name].arrays))
    except UnsupportedError as error:
        return "unsupported", str(error)
    except Exception as error:  # noqa: BLE001 -- which one it is, is the question
        return "raised", f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
