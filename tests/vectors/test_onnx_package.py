"""The vectors that ONNX ships, read from the installed package."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from bnconform.conformance.case import Mode
from bnconform.conformance.contract import Quantity
from bnconform.conformance.dialect import RunningVariance
from bnconform.conformance.vectors.check import Result, check_file
from bnconform.conformance.vectors.format import VectorFile
from bnconform.conformance.vectors.onnx_package import OnnxError, onnx_vectors


@pytest.fixture(scope="module")
def shipped() -> VectorFile:
    """All single-node tests of the package."""
    pytest.importorskip("onnx", reason="onnx ships the vectors, and is not installed")
    return onnx_vectors()


def test_the_package_ships_tests_of_both_modes(shipped: VectorFile) -> None:
    """Generated ones, two of them in training mode, and models that lie there as files."""
    modes = {vector.id: vector.mode for vector in shipped.vectors}
    assert modes["test_batchnorm_example"] is Mode.INFERENCE
    assert modes["test_batchnorm_epsilon_training_mode"] is Mode.TRAIN
    assert modes["test_BatchNorm2d_eval"] is Mode.INFERENCE
    assert len(modes) == len(shipped.vectors) >= 9


def test_every_shipped_value_agrees_with_the_spec(shipped: VectorFile) -> None:
    """Within ONNX's tolerance, and within the bound of a correct float32 implementation too."""
    rows = list(check_file(shipped.vectors))
    assert {row.result for row in rows} == {Result.AGREES}
    assert max(row.bound_ratio for row in rows if row.bound_ratio is not None) < 1
    trained = {row.quantity for row in rows if row.vector.endswith("training_mode")}
    assert trained == {"y", "running_mean", "running_var"}


def test_the_shipped_running_variance_is_the_biased_one(shipped: VectorFile) -> None:
    """Under Bessel's correction it and nothing else disagrees."""
    training = [vector for vector in shipped.vectors if vector.mode is Mode.TRAIN]
    other = [replace(vector, running_variance=RunningVariance.UNBIASED) for vector in training]
    rows = list(check_file(other))
    wrong = [row.quantity for row in rows if row.result is Result.DISAGREES]
    assert wrong == [Quantity.RUNNING_VAR] * len(training)


def test_attributes_come_from_the_node_else_from_the_operator(shipped: VectorFile) -> None:
    """Epsilon 1e-2 is given, 1e-5 and momentum 0.9 are defaults; all are float32 numbers."""
    by_id = {vector.id: vector for vector in shipped.vectors}
    assert by_id["test_batchnorm_epsilon"].epsilon == np.float32(1e-2)
    assert by_id["test_batchnorm_example"].epsilon == np.float32(1e-5)
    assert by_id["test_batchnorm_example_training_mode"].decay == np.float32(0.9)
    assert by_id["test_BatchNorm2d_momentum_eval"].decay == np.float32(0.2)


def test_reading_them_leaves_numpys_global_generator_as_it_was() -> None:
    """The package seeds it for its own tests."""
    pytest.importorskip("onnx", reason="onnx ships the vectors, and is not installed")
    for name in [name for name in sys.modules if name.startswith("onnx.backend.test.case.node")]:
        del sys.modules[name]
    np.random.seed(7)  # noqa: NPY002 -- a state that importing its tests cannot lead to
    before = repr(np.random.get_state())  # noqa: NPY002 -- the generator that onnx seeds
    onnx_vectors()
    assert repr(np.random.get_state()) == before  # noqa: NPY002 -- as above


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None in ``sys.modules`` is how Python marks a module that cannot be imported."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(OnnxError, match=r"pip install onnx$"):
        onnx_vectors()
