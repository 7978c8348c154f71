"""Scripts of experiments: each does what its subject's adapter does, and judges as the judge does.

All scripts of a subject are run in one process of its own, one after the other, because most of
their time is their framework's start.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bnconform.adapters import REGISTRY
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.experiments.registry import EXPERIMENTS
from bnconform.conformance.scripts import NoScriptError, check_script, render_script
from bnconform.conformance.verdict import CALL

from .by_hand import Bundle, experiment

STANDING = {"training.virtual_batches"}
"""Experiments that diverge today: known/tensorflow.toml."""

_ALL = """
import contextlib, io, json, runpy, sys

done = {}
for path in sys.argv[1:]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            done[path] = end.code, output.getvalue()
    if "tensorflow" in sys.modules and "v1" in path:
        sys.modules["tensorflow"].compat.v1.reset_default_graph()
print(json.dumps(done))
"""


def text_of(made: Bundle) -> str:
    """The script of a bundle."""
    return render_script(made.divergence, made.arrays, made.conventions)


def places(subject: str) -> list[tuple[str, str]]:
    """Every experiment that the subject runs and that has a template, with what is observed."""
    found = []
    for name in sorted(load_class(Target.parse(REGISTRY[subject])).capabilities.experiments):
        if name not in EXPERIMENTS:
            continue
        for quantity in EXPERIMENTS[name].clauses:
            try:
                text_of(experiment(subject, name, quantity))
            except NoScriptError:
                continue
            found.append((name, quantity))
    return found


@pytest.mark.parametrize(
    ("subject", "needs"),
    [
        pytest.param("tf.layers.unfused", "tf_keras", id="the most experiments, in graph mode"),
        pytest.param("tf.layers.fused", "tf_keras", id="the same by the fused operation"),
        pytest.param("keras.tensorflow", "tensorflow", id="Keras differentiated by a tape"),
        pytest.param("keras.torch", "torch", id="Keras differentiated by autograd"),
        pytest.param("keras.jax", "jax", id="Keras differentiated by a transformation"),
    ],
)
def test_a_script_exits_1_where_the_subject_diverges_and_0_elsewhere(
    subject: str, needs: str, tmp_path: Path
) -> None:
    """A script that tries something else than the experiment gives another verdict."""
    for name in ("keras" if subject.startswith("keras") else needs, needs):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    scripts = {}
    for name, quantity in places(subject):
        path = tmp_path / f"v1_{name}_{quantity}.py"
        path.write_text(text_of(experiment(subject, name, quantity)), encoding="utf-8")
        scripts[str(path)] = int(name in STANDING)
    assert len(scripts) > 20
    done = subprocess.run(
        [sys.executable, "-I", "-c", _ALL, *scripts],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert {path: found[path][0] for path in scripts} == scripts, found
    assert all("expected" in output for _, output in found.values())


def test_the_script_of_a_known_divergence_reproduces_by_itself(tmp_path: Path) -> None:
    """In a process of its own, as it is published."""
    pytest.importorskip("tf_keras")
    path = tmp_path / "script.py"
    made = experiment("tf.layers.unfused", "training.virtual_batches", "difference")
    path.write_text(text_of(made), encoding="utf-8")
    checked = check_script(path)
    assert checked.reproduces, checked.output


def test_an_experiment_that_raises_has_a_script_that_asks_for_an_answer() -> None:
    """Then no values are wanted."""
    fields = {"verdict": "wrong_contract", "cause": "wrong contract", "message": "raised X: no"}
    text = text_of(experiment("keras.torch", "trainable", CALL, **fields))
    assert "expected: an answer" in text
    assert "bound" not in text


def test_what_the_run_tried_otherwise_is_no_script() -> None:
    """Another version of bnconform may have other arrays under the same name."""
    made = experiment("keras.torch", "name", "found")
    other = replace(made, arrays={"x": made.arrays["x"] + 1})
    with pytest.raises(NoScriptError, match="with other arrays"):
        text_of(other)
