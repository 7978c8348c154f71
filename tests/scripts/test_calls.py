"""Scripts about a call as a whole: it raises, it dies, it hangs, it answers otherwise each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bnconform.conformance.case import Mode
from bnconform.conformance.scripts import check_script, render_scripts
from bnconform.conformance.verdict import CALL

from .by_hand import Bundle, bundle, malformed, plain_case

_DIED = {
    "verdict": "crashed", "cause": "crash",
    "message": "the subject's process died with exit code -11",
}  # fmt: skip
_HUNG = {"verdict": "hung", "cause": "hang", "message": "no answer within 4 s"}
_RAISED = {"verdict": "wrong_contract", "cause": "wrong contract", "message": "raised X: wrong"}
_CHANGED = {
    "verdict": "unrepeatable", "cause": "not repeatable", "clause": "BN-CALL-4",
    "message": "dx, dgamma differed bitwise when the case was run again",
}  # fmt: skip


def texts_of(made: Bundle) -> tuple[str, ...]:
    """All scripts of a bundle, in the order in which they are tried."""
    return render_scripts(made.divergence, made.arrays, made.conventions)


def about_the_call(subject: str, fields: dict[str, Any], **changes: Any) -> Bundle:
    """A bundle of a case whose call as a whole is in question."""
    made = bundle(subject, plain_case(**changes))
    told = {"clause": "BN-CALL-1", "step": -1, "quantity": CALL} | fields
    return replace(made, divergence={**made.divergence, **told}, arrays={})


def run(text: str, folder: Path) -> tuple[int | None, str]:
    """Exit status and output of a script."""
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    done = check_script(path)
    return done.status, done.output


@pytest.mark.parametrize(
    ("fields", "instead", "status", "got"),
    [
        pytest.param(_DIED, "pass", 0, "an answer or an error", id="it lives today"),
        pytest.param(_DIED, "raise ValueError", 0, "an answer or an error", id="an error is life"),
        pytest.param(_DIED, "os.abort()", 1, "exit code -6", id="it is killed by a signal"),
        pytest.param(_DIED, "os._exit(3)", 1, "exit code 3", id="it ends the process"),
        pytest.param(_HUNG, "while True: pass", 1, "nothing within 4.0 s", id="it never returns"),
    ],
)
def test_whether_a_call_survives_is_told_by_another_process(
    fields: dict[str, Any], instead: str, status: int, got: str, tmp_path: Path
) -> None:
    """The script itself must not die of what it shows."""
    pytest.importorskip("torch")
    for made in (
        about_the_call("torch.functional", fields),
        malformed("torch.functional", "negative decay", **({"clause": "BN-REJECT-11"} | fields)),
    ):
        text = texts_of(made)[-1].replace("def call():\n", f"def call():\n    {instead}\n")
        found, output = run(text, tmp_path)
        assert found == status, output
        assert f"got:      {got}" in output


@pytest.mark.parametrize(
    ("noise", "status"),
    [
        pytest.param("", 0, id="the same bits every time"),
        pytest.param("* (1 + 1e-6 * np.random.rand())", 1, id="other bits"),
        pytest.param("* (1 if np.random.rand() < 0.8 else 2)", 1, id="other bits once in a while"),
    ],
)
def test_whether_a_call_repeats_is_seen_by_repeating_it(
    noise: str, status: int, tmp_path: Path
) -> None:
    """Of the quantities that the run saw changing, the first is looked at."""
    pytest.importorskip("torch")
    (*_, text) = texts_of(about_the_call("torch.functional", _CHANGED))
    assert "the same dx of the same call" in text
    before, _, after = text.rpartition("    return answer\n")
    found, output = run(f"{before}    return answer {noise}\n{after}", tmp_path)
    assert found == status, output


def test_repeated_graphs_do_not_pile_up(tmp_path: Path) -> None:
    """TensorFlow 1 keeps what was built: the second call would run the updates of the first."""
    pytest.importorskip("tf_keras")
    (*_, text) = texts_of(about_the_call("tf.layers.unfused", _CHANGED))
    status, output = run(text, tmp_path)
    assert status == 0, output


def test_a_call_that_raises_in_inference_after_training_is_shown_there(tmp_path: Path) -> None:
    """TensorFlow's gradient in inference of an empty rank-5 input, channels first: known."""
    pytest.importorskip("tensorflow")
    changes = {"shape": (2, 1, 0, 2, 2), "last_batch": 2, "steps": 1}
    made = about_the_call("tf.fused", _RAISED, **changes)
    status, output = run(texts_of(made)[0], tmp_path)
    assert status == 1, output
    assert "transpose expects" in output


@pytest.mark.parametrize(
    ("fields", "changes", "count"),
    [
        pytest.param(_RAISED, {}, 2, id="it may be either"),
        pytest.param(_RAISED | {"output": "in _train\n layer.train(x, dy)"}, {}, 1, id="training"),
        pytest.param(_RAISED, {"mode": Mode.FROZEN, "steps": 1, "last_batch": 4}, 1, id="no other"),
        pytest.param(_DIED, {}, 2, id="nothing is known of where it died"),
    ],
)
def test_inference_is_tried_where_training_was_not_seen_to_fail(
    fields: dict[str, Any], changes: dict[str, Any], count: int
) -> None:
    """First, because it is the shorter script."""
    texts = texts_of(about_the_call("torch.module", fields, **changes))
    assert len(texts) == count
    assert ("layer.eval()" in texts[0]) == (count == 2 or "mode" in changes)
    assert "layer.train()" in texts[-1] or "mode" in changes
