"""Scripts stand alone, and say what the spec says."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from bnconform.adapters import REGISTRY
from bnconform.conformance.case import Layout, Mode
from bnconform.conformance.cases.fills import make_inputs
from bnconform.conformance.contract import Quantity
from bnconform.conformance.engine.loading import Target, load_class
from bnconform.conformance.formats import DType
from bnconform.conformance.scripts import (
    NoScriptError,
    check_script,
    render_script,
    render_scripts,
)
from bnconform.conformance.variant import Adjusted, Hidden, Masked, Renorm, Weighted

from .by_hand import Bundle, bundle, experiment, malformed, plain_case

FRAMEWORKS = {
    "torch.functional": {"torch"},
    "torch.module": {"torch"},
    "keras.torch": {"keras", "torch"},
    "keras.tensorflow": {"keras", "tensorflow"},
    "keras.jax": {"keras", "jax"},
    "tf.nn": {"tensorflow"},
    "tf.fused": {"tensorflow"},
    "tf.layers.fused": {"tensorflow", "tf_keras"},
    "tf.layers.unfused": {"tensorflow", "tf_keras"},
    "flax.linen": {"flax", "jax"},
    "haiku.batchnorm": {"haiku", "jax"},
    "equinox.batch": {"equinox", "jax"},
    "equinox.ema": {"equinox", "jax"},
    "onnx.runtime": {"onnx", "onnxruntime"},
    "onnx.runtime.opset9": {"onnx", "onnxruntime"},
    "onnx.reference": {"onnx"},
}
"""Subject -> what its scripts need besides NumPy."""

STATELESS = "tf.nn"


def rendered(made: Bundle) -> str:
    """The script of a bundle."""
    return render_script(made.divergence, made.arrays, made.conventions)


def run(text: str, folder: Path) -> tuple[int | None, str]:
    """Exit status and output of a script."""
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    done = check_script(path)
    return done.status, done.output


def values_of(output: str) -> dict[str, float]:
    """The numbers that a script prints of the worst element, by their labels."""
    lines = [line for line in output.splitlines() if line.startswith("  ")]
    return {line[:15].strip(): float(line[15:]) for line in lines}


def modules(text: str) -> set[str]:
    """Top-level names of all modules that a script imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("subject", FRAMEWORKS)
def test_a_script_imports_numpy_and_the_framework_alone(subject: str) -> None:
    """Who gets it need not know of bnconform, whatever quantity it is about."""
    allowed = {"sys", "os", "base64", "numpy"} | FRAMEWORKS[subject]
    exposed = load_class(Target.parse(REGISTRY[subject])).capabilities.quantities
    imported = {
        quantity: modules(rendered(bundle(subject, quantity=quantity))) for quantity in exposed
    }
    assert imported
    assert all("numpy" in found and found <= allowed for found in imported.values())


@pytest.mark.parametrize("subject", FRAMEWORKS)
@pytest.mark.parametrize(
    "quantity",
    [
        pytest.param(Quantity.Y_INFER, id="y_infer needs every step and the state"),
        pytest.param(Quantity.DX, id="dx needs the upstream gradient"),
    ],
)
def test_where_the_framework_gives_what_the_spec_says_the_script_exits_0(
    subject: str, quantity: Quantity, tmp_path: Path
) -> None:
    """A script that calls its framework in another way than the case asks would exit 1."""
    for name in FRAMEWORKS[subject]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    if subject == STATELESS and quantity is Quantity.Y_INFER:
        quantity = Quantity.BATCH_VAR
    if subject == "equinox.batch" and quantity is Quantity.Y_INFER:
        pytest.skip("its inference does not give what the spec says: a known divergence")
    if quantity is Quantity.DX and "onnx" in FRAMEWORKS[subject]:
        quantity = Quantity.RUNNING_VAR
    status, output = run(rendered(bundle(subject, quantity=quantity)), tmp_path)
    assert status == 0, output
    assert "expected" in output


@pytest.mark.parametrize(
    "quantity",
    [
        Quantity.Y, Quantity.RUNNING_MEAN, Quantity.RUNNING_VAR, Quantity.DGAMMA, Quantity.DBETA,
    ],
    ids=str,
)  # fmt: skip
def test_each_quantity_is_its_own(quantity: Quantity, tmp_path: Path) -> None:
    """Gamma's gradient is not beta's, and the plain NumPy value says so, too."""
    pytest.importorskip("torch")
    status, output = run(rendered(bundle("torch.functional", quantity=quantity)), tmp_path)
    assert status == 0, output
    values = values_of(output)
    assert values["NumPy float64"] == pytest.approx(values["expected"], rel=1e-12)


@pytest.mark.parametrize(
    ("clause", "channel", "status"),
    [
        pytest.param("BN-EDGE-4", 0, 0, id="what the NaN does to its own channel"),
        pytest.param("BN-EDGE-4", 1, 1, id="what reaches another channel"),
        pytest.param("BN-EDGE-5", 0, 1, id="its own channel is that of another clause"),
        pytest.param("BN-EDGE-5", 1, 0, id="which does not look at the others"),
    ],
)
def test_a_clause_about_some_channels_looks_at_those_alone(
    clause: str, channel: int, status: int, tmp_path: Path
) -> None:
    """A case with a NaN is judged twice, by two clauses."""
    pytest.importorskip("torch")
    made = bundle("torch.functional", clause=clause)
    made.arrays["expected"][:, channel] += 0.5
    found, output = run(rendered(made), tmp_path)
    assert found == status, output


def test_where_the_framework_gives_something_else_the_script_exits_1(tmp_path: Path) -> None:
    """The worst element is shown with its bound, and with what NumPy gives."""
    status, output = run(rendered(bundle("torch.functional", shift=0.5)), tmp_path)
    assert status == 1
    values = values_of(output)
    assert values["expected"] == pytest.approx(values["got"] + 0.5, abs=1e-6)
    assert values["NumPy float64"] == pytest.approx(values["got"], abs=1e-6)
    assert values["error / bound"] > 1


def test_one_element_out_of_its_bound_is_enough(tmp_path: Path) -> None:
    """The worst element decides, wherever it is."""
    made = bundle("torch.functional")
    made.arrays["expected"][1, 2, 1, 0] += 0.5
    status, output = run(rendered(made), tmp_path)
    assert status == 1
    assert "y at [1, 2, 1, 0], the worst of 1 beyond" in output


@pytest.mark.parametrize(
    ("expected", "status"),
    [
        pytest.param(float("nan"), 1, id="a finite answer hides a NaN"),
        pytest.param(float("inf"), 1, id="or an infinity"),
    ],
)
def test_an_answer_that_is_not_finite_is_right_only_where_that_is_expected(
    expected: float, status: int, tmp_path: Path
) -> None:
    """Bounds say nothing there."""
    made = bundle("torch.functional")
    made.arrays["expected"][0, 0, 0, 0] = expected
    assert run(rendered(made), tmp_path)[0] == status


def test_without_its_framework_a_script_exits_2(tmp_path: Path) -> None:
    """That it cannot run is neither that the divergence stands nor that it is gone."""
    text = rendered(bundle("torch.functional")).replace("import torch\n", "import no_such_torch\n")
    status, output = run(text, tmp_path)
    assert status == 2
    assert "no_such_torch" in output


@pytest.mark.parametrize(
    ("malformation", "cause", "status"),
    [
        pytest.param("negative decay", "accepted", 1, id="torch takes a negative decay"),
        pytest.param("other number of channels", "accepted", 0, id="and rejects other channels"),
        pytest.param("rank too low", "unclear message", 1, id="an error about something else"),
        pytest.param("gamma of another size", "unclear message", 0, id="an error that says what"),
    ],
)
def test_a_malformed_call_stands_while_it_is_taken_or_unclear(
    malformation: str, cause: str, status: int, tmp_path: Path
) -> None:
    """Both ways: what torch does today, and what it would do if it were mended."""
    made = malformed("torch.functional", malformation, cause=cause)
    found, output = run(rendered(made), tmp_path)
    assert found == status, output


def test_a_malformed_array_reaches_the_framework_as_it_is(tmp_path: Path) -> None:
    """An error of the script's own, in bringing it into shape, would look like a rejection."""
    pytest.importorskip("haiku")
    made = malformed("haiku.batchnorm", "statistics of one value", clause="BN-REJECT-5")
    status, output = run(rendered(made), tmp_path)
    assert status == 1, output


def test_settings_are_literal() -> None:
    """A reader sees the call itself: shapes, axis, epsilon and momentum as they are."""
    case_of = bundle("keras.torch", quantity=Quantity.Y_INFER)
    text = rendered(case_of)
    for line in ("axis=1,", "momentum=0.75,", "epsilon=0.001,", "layer.build((None, 3, 2, 2))"):
        assert line in text


def test_steps_that_do_not_matter_are_left_out() -> None:
    """The output of a training step depends on no earlier one."""
    made = bundle("torch.functional")
    full = rendered(made)
    short, whole = render_scripts(made.divergence, made.arrays, made.conventions)
    assert "for x in xs:" in full
    assert full == whole
    assert "for x in xs:" not in short


def test_steps_are_kept_where_the_state_is_in_question() -> None:
    """Running statistics come of every step."""
    made = bundle("torch.functional", quantity=Quantity.RUNNING_VAR)
    (only,) = render_scripts(made.divergence, made.arrays, made.conventions)
    assert "for x in xs:" in only


@pytest.mark.parametrize("layout", [Layout.CHANNELS_LAST, Layout.STRIDED], ids=str)
@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.BFLOAT16], ids=str)
def test_the_framework_sees_the_memory_layout_of_the_case(
    layout: Layout, dtype: DType, tmp_path: Path
) -> None:
    """Strides decide which kernel PyTorch takes."""
    pytest.importorskip("torch")
    case = plain_case(dtype=dtype, layout=layout, steps=1, last_batch=4)
    made = bundle("torch.functional", case)
    text = rendered(made).replace("sys.exit(1 if", "print(data.stride())\nsys.exit(1 if")
    x = make_inputs(case).steps[0].x
    strides = tuple(stride // x.itemsize for stride in x.strides)
    assert run(text, tmp_path)[1].splitlines()[-1] == str(strides)


@pytest.mark.parametrize("subject", ["keras.tensorflow", "keras.torch", "tf.layers.unfused"])
def test_renorm_is_asked_for_as_the_case_says(subject: str) -> None:
    """Limits that are left open are left out."""
    variant = Renorm(r_min=0.5, r_max=None, d_max=1.5, decay=0.75)
    text = rendered(bundle(subject, plain_case(variant=variant)))
    assert "renorm_clipping={'rmin': 0.5, 'dmax': 1.5}" in text
    assert "renorm_momentum=0.75" in text


def test_a_mask_is_handed_over(tmp_path: Path) -> None:
    """What it hides is not looked at."""
    pytest.importorskip("tensorflow")
    variant = Masked(hidden=Hidden.ORDINARY)
    made = bundle("tf.nn", plain_case(variant=variant), quantity=Quantity.BATCH_MEAN)
    status, output = run(rendered(made), tmp_path)
    assert status == 0, output


@pytest.mark.parametrize(
    ("quantity", "per_sample"),
    [
        pytest.param(Quantity.Y, True, id="factors of each sample"),
        pytest.param(Quantity.DGAMMA, False, id="one factor for all, which the gradient knows"),
        pytest.param(Quantity.Y_INFER, True, id="none in inference, though it is fed"),
    ],
)
def test_an_adjustment_is_fed(quantity: Quantity, per_sample: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """TensorFlow 1 does what the spec says, and half a unit more is noticed."""
    pytest.importorskip("tf_keras")
    case = plain_case(variant=Adjusted(per_sample=per_sample))
    for shift in (0.0, 0.5):
        made = bundle("tf.layers.unfused", case, quantity=quantity, shift=shift)
        status, output = run(rendered(made), tmp_path)
        assert status == int(shift > 0), output


def test_a_frozen_layer_is_made_so() -> None:
    """Not only called in another mode."""
    case = plain_case(mode=Mode.FROZEN, steps=1, last_batch=4)
    assert "trainable=False," in rendered(bundle("keras.tensorflow", case))
    assert "layer.eval()" in rendered(bundle("torch.module", case))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        pytest.param(
            bundle("numpy.reference"), "part of bnconform", id="our own code has no framework"
        ),
        pytest.param(
            bundle("torch.module", plain_case(variant=Weighted())),
            "variant 'weighted'",
            id="a variant without a template",
        ),
        pytest.param(
            bundle("torch.module", quantity=Quantity.RUNNING_VAR, cause="state changed"),
            "kind of divergence yet: diverges, state changed",
            id="state that inference changed",
        ),
        pytest.param(
            experiment("tf.layers.fused", "export.saved_model", "y"),
            "no script for the experiment 'export.saved_model' of tf.layers.fused yet",
            id="an experiment without a template",
        ),
        pytest.param(
            experiment("torch.module", "name", "found"),
            "no script for the experiment 'name' of torch.module yet",
            id="a subject without experiments",
        ),
    ],
)
def test_where_there_is_no_script_the_reason_is_said(made: Bundle, why: str) -> None:
    """Nothing is approximated."""
    with pytest.raises(NoScriptError, match=why):
        rendered(made)


def test_arrays_that_this_version_makes_otherwise_are_no_script() -> None:
    """The bundle of another version of bnconform may hold other values for the same case."""
    made = bundle("torch.functional")
    made.arrays["x"][0, 0, 0, 0] += 1
    with pytest.raises(NoScriptError, match="does not make the arrays"):
        rendered(made)
