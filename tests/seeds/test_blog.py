"""The blog's network: predicted by the spec, replayed through real TensorFlow, and checked by hand.

Without TensorFlow the tests of the replay are skipped; with it, a replay that fails is a failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bnconform.adapters.seed_replay import Replay
from bnconform.cli import replaying
from bnconform.cli.replaying import NotReplayed, replayed
from bnconform.cli.seeds_page import (
    as_printed,
    averages,
    differing_digits,
    from_its_own,
    held,
    page_of,
)
from bnconform.conformance import spec
from bnconform.conformance.seeds import blog, checks, rounding
from bnconform.conformance.seeds.blog import NAMES, PRINTED, START, Batch, Variables
from bnconform.conformance.seeds.rounding import Predicted, predict
from bnconform.reports.pages import Page, Table

PREDICTED = predict(START, blog.batches())


@pytest.fixture(scope="module")
def replay() -> Replay:
    """Both seeds through real TensorFlow."""
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    found = replayed()
    assert isinstance(found, Replay), found
    return found


def ratios(predicted: Predicted, got: Variables) -> dict[str, float]:
    """Errors in units of the bound."""
    return {
        name: abs(value - getattr(predicted.value, name)) / getattr(predicted.bound, name)
        for name, value in got.items()
    }


def float32_step(start: Variables, batch: Batch) -> Variables:
    """A step in which every operation of NumPy rounds to float32."""
    narrow = Variables(**{name: np.float32(value) for name, value in start.items()})
    to32 = {"a", "y", "h", "z", "f", "d_f", "d_z", "d_h", "d_y", "d_a"}

    def nudge(name: str, value: blog.Numbers) -> blog.Numbers:
        rounds = name in to32 or name.startswith(("d_", "new "))
        return np.asarray(value, np.float32) if rounds else value

    _, after = blog.step(narrow, batch, nudge)
    return blog.narrow(after)


def trained(step: Callable[[Variables, Batch], Variables]) -> list[Variables]:
    """The variables after every one of the ten steps."""
    found = [START]
    for batch in blog.batches():
        found.append(step(found[-1], batch))
    return found[1:]


def displaced(
    disturb: Mapping[tuple[int, str, int], float], number: int, name: str, value: blog.Numbers
) -> blog.Numbers:
    """A stage of step ``number``, each element moved by what ``disturb`` says."""
    moved = np.array(value)
    for at in range(moved.size):
        moved.flat[at] += disturb.get((number, name, at), 0.0)
    return moved


def loss(start: Variables, batch: Batch) -> float:
    """The loss of the network in training mode."""
    stages, _ = blog.step(start, batch)
    return float(np.mean(np.abs(blog.fed(batch.target) - stages.f)))


def test_the_tenth_batch_is_the_one_that_the_blog_prints() -> None:
    """Python's generator still gives the blog's numbers, in full."""
    assert blog.batches()[9].x == blog.PRINTED_X


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("running")])
def test_the_gradients_are_those_of_the_loss(name: str) -> None:
    """Our derivation, stage by stage, agrees with how the loss itself changes."""
    batch = blog.batches()[0]
    stages, _ = blog.step(blog.wide(START), batch)
    # Central differences: the step's square and float64's rounding over the step are both 1e-10.
    h = 1e-5
    up, down = (replace(START, **{name: getattr(START, name) + sign * h}) for sign in (1, -1))
    slope = (loss(up, batch) - loss(down, batch)) / (2 * h)
    assert getattr(stages, f"d_{name}").item() == pytest.approx(slope, abs=1e-9)


def test_the_bound_is_reached_by_the_worst_roundings() -> None:
    """Every stage displaced by its bound in the worst direction moves a variable by the bound.

    Which direction is the worst follows from what each displacement does alone. The second order
    is what differs, a millionth.
    """
    batches = blog.batches()[:3]

    def last_gamma(disturb: Mapping[tuple[int, str, int], float]) -> float:
        now = blog.wide(START)
        for number, batch in enumerate(batches):
            _, now = blog.step(now, batch, partial(displaced, disturb, number))
        return float(now.gamma.item())

    sizes: dict[tuple[int, str, int], float] = {}
    now = blog.wide(START)
    for number, batch in enumerate(batches):
        stages, after = blog.step(now, batch)
        for name, error in rounding.stage_errors(now, stages, after).items():
            sizes |= {(number, name, at): float(e) for at, e in enumerate(error.ravel())}
        now = after
    undisturbed = last_gamma({})
    worst = {
        at: size * float(np.sign(last_gamma({at: size}) - undisturbed))
        for at, size in sizes.items()
    }
    moved = last_gamma(worst) - undisturbed
    assert moved == pytest.approx(PREDICTED[3].bound.gamma, rel=1e-4)


def test_training_in_float32_stays_within_the_bounds() -> None:
    """NumPy's float32, another order of the same operations, is explained by rounding alone."""
    steps = trained(float32_step)
    found = [ratios(*pair) for pair in zip(PREDICTED[1:], steps, strict=True)]
    assert max(max(step.values()) for step in found) <= 1
    assert max(max(step.values()) for step in found) > 0


@pytest.mark.parametrize(
    ("module", "attribute", "wrong", "variable"),
    [
        pytest.param(blog, "EPSILON", 1e-5, "gamma", id="the epsilon that the blog writes"),
        pytest.param(blog, "EPSILON", 1.1e-3, "gamma", id="an epsilon a tenth off"),
        pytest.param(blog, "DECAY", 0.1, "running_mean", id="momentum in the other sense"),
        pytest.param(blog, "DECAY", 0.99, "running_mean", id="the layer's default momentum"),
        pytest.param(blog, "LEARNING_RATE", 0.4999, "w2", id="a slightly lower rate"),
        pytest.param(
            spec, "training_dx", lambda g, _x, r, gamma, _a: spec.inference_dx(g, r, gamma), "b",
            id="statistics held constant in the gradient",
        ),
        pytest.param(
            spec, "update_running_var", lambda old, v, decay: decay * old + (1 - decay) * v * 1.5,
            "running_var", id="Bessel's correction of the running variance",
        ),
        pytest.param(
            spec, "biased_variance", lambda x, mu, axes: ((x - mu) ** 2).sum(axes, keepdims=True)
            / 2, "gamma", id="Bessel's correction in the output",
        ),
    ],
)  # fmt: skip
def test_a_wrong_convention_leaves_the_bounds(
    monkeypatch: pytest.MonkeyPatch, module: object, attribute: str, wrong: object, variable: str
) -> None:
    """The bounds are wide enough for rounding and too narrow for any of these."""
    monkeypatch.setattr(module, attribute, wrong)
    last = trained(float32_step)[-1]
    assert ratios(PREDICTED[-1], last)[variable] > 1


@pytest.mark.parametrize("name", NAMES)
def test_the_prediction_explains_what_the_blog_prints(name: str) -> None:
    """What the post shows before its tenth step is the exact value, rounded by float32."""
    printed = getattr(PRINTED, name)
    exact, bound = getattr(PREDICTED[9].value, name), getattr(PREDICTED[9].bound, name)
    assert abs(printed.value - exact) <= bound + printed.error


def test_tensorflow_runs_the_layer_unfused(replay: Replay) -> None:
    """For inputs of rank 2 there is no fused batch norm in the graph that was run."""
    kernels = [*replay.blog.kernels, *replay.unfused.kernels]
    assert not [kernel for kernel in kernels if "BatchNorm" in kernel]


@pytest.mark.parametrize("number", range(1, blog.STEPS + 1))
def test_the_spec_predicts_every_step_of_tensorflow(replay: Replay, number: int) -> None:
    """From the initial values alone, all eight variables come out within their bounds."""
    for run in (replay.blog, replay.unfused):
        found = ratios(PREDICTED[number], Variables(**run.steps[number - 1].after))
        assert max(found.values()) <= 1, found


def test_the_spec_predicts_each_step_from_where_tensorflow_stands(replay: Replay) -> None:
    """One step's rounding alone explains one step: nothing hides behind earlier errors."""
    for step, batch in zip(replay.blog.steps, blog.batches(), strict=True):
        found = ratios(from_its_own(step, batch), Variables(**step.after))
        assert max(found.values()) <= 1, found


def test_the_replay_starts_where_the_blog_does(replay: Replay) -> None:
    """Ones, but for beta and the running mean, and the state is handed from step to step."""
    assert replay.blog.steps[0].before == dict(START.items())
    for earlier, later in zip(replay.blog.steps, replay.blog.steps[1:], strict=False):
        assert earlier.after == later.before


def test_the_replay_and_the_blog_tell_the_same_numbers(replay: Replay) -> None:
    """Two float32 runs of one training are both within the bound of the exact values.

    Digit for digit they agree where the same kernels run; which these are depends on the machine,
    so it is told on the page and not asserted.
    """
    step = replay.blog.steps[9]
    for name in NAMES:
        printed, bound = getattr(PRINTED, name), getattr(PREDICTED[9].bound, name)
        assert abs(step.before[name] - printed.value) <= 2 * bound + printed.error


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(1.0, "1.", id="a whole number"),
        pytest.param(0.9991983, "0.9991983", id="seven digits tell it apart"),
        pytest.param(0.1206780448, "0.12067804", id="cut at eight decimals"),
    ],
)
def test_numbers_are_compared_as_the_blog_prints_them(value: float, text: str) -> None:
    """The text is that of an array, not of a single float."""
    assert as_printed(value) == text


def test_a_single_wrong_digit_is_told(replay: Replay) -> None:
    """The page's count of equal digits sees one spacing of float32."""
    step = replay.blog.steps[9]
    exact = {name: getattr(PRINTED, name).value for name in NAMES}
    told = replace(
        step,
        before=exact | {"w2": float(np.nextafter(np.float32(exact["w2"]), np.float32(2)))},
        hidden=tuple(printed.value for printed in blog.PRINTED_HIDDEN),
        output=tuple(printed.value for printed in blog.PRINTED_OUTPUT),
    )
    assert differing_digits(told) == ["w2"]


@pytest.mark.parametrize(
    ("epsilon", "explains"),
    [
        pytest.param(1e-3, True, id="the layer's default"),
        pytest.param(1e-4, False, id="a tenth of it"),
        pytest.param(1e-5, False, id="what the blog writes"),
        pytest.param(1.001e-5, False, id="cuDNN's old floor"),
        pytest.param(0.0, False, id="none"),
    ],
)
def test_the_printed_numbers_tell_epsilon(epsilon: float, explains: bool) -> None:  # noqa: FBT001
    """The hand check holds for the default epsilon and for no other candidate."""
    assert (checks.hand_check(epsilon, checks.printed()).ratio <= 1) is explains


def test_the_epsilons_that_explain_the_blog_are_a_narrow_interval() -> None:
    """Its ends are the last numbers within the bounds, and a hundredth around the default."""
    known = checks.printed()
    low, high = checks.epsilon_interval(known)
    assert 0.99e-3 < low < 1e-3 < high < 1.01e-3
    assert (
        checks.hand_check(low, known).ratio <= 1 < checks.hand_check(low * (1 - 1e-9), known).ratio
    )
    assert (
        checks.hand_check(high, known).ratio
        <= 1
        < checks.hand_check(high * (1 + 1e-9), known).ratio
    )


def test_numbers_that_no_epsilon_explains_are_refused() -> None:
    """An answer that is off by a thousandth in one sample fits no epsilon at all."""
    known = checks.printed()
    wrong = replace(known, output=(known.output[0] + 1e-3, *known.output[1:]))
    with pytest.raises(ValueError, match="no epsilon explains"):
        checks.epsilon_interval(wrong)


def test_numbers_that_set_no_limit_allow_every_epsilon() -> None:
    """Answers that are known to within thousands: the search ends."""
    known = checks.printed()
    vague = replace(known, output_error=(1e3,) * 3)
    assert checks.epsilon_interval(vague) == (0.0, math.inf)


def test_the_layer_answers_by_the_default_epsilon_at_every_step(replay: Replay) -> None:
    """TensorFlow's own numbers, with nothing lost to printing, allow 1e-3 and not 1e-5."""
    for step in replay.blog.steps:
        assert checks.hand_check(1e-3, held(step)).ratio <= 1
        assert checks.hand_check(1e-5, held(step)).ratio > 1


def test_moving_mean_is_the_moving_average_of_the_batch_means(replay: Replay) -> None:
    """The blog's homework: 0.9 old + 0.1 new at every step, and not the other way round."""
    for step in replay.blog.steps:
        decay, rate, *_ = averages(step)
        assert decay.ratio <= 1 < rate.ratio


def test_moving_variance_averages_the_biased_variance(replay: Replay) -> None:
    """Not fused, the layer leaves Bessel's correction out, at every step."""
    for step in replay.blog.steps:
        *_, biased, unbiased = averages(step)
        assert biased.ratio <= 1 < unbiased.ratio


def test_the_page_shows_every_variable_of_every_step(replay: Replay) -> None:
    """Eighty rows, none of them beyond its bound."""
    table = tables(page_of(replay))["The variables after every step"]
    assert [row[:2] for row in table.rows] == [(n, name) for n in range(1, 11) for name in NAMES]
    assert all(isinstance(row[-2], float) and row[-2] <= 1 for row in table.rows)


def test_without_a_replay_the_page_says_why() -> None:
    """The reason is in the lead, and what needs no TensorFlow is still shown."""
    page = page_of(NotReplayed(reason="TensorFlow is not installed: not replayed."))
    assert "not installed: not replayed" in str(page.lead)
    assert not any("TensorFlow" in heading for t in tables(page).values() for heading in t.headings)
    assert len(tables(page)["Before the tenth step"].rows) == len(NAMES)


def test_a_missing_tensorflow_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The worker's ImportError comes back as a sentence."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no such thing here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = replaying.replayed.__wrapped__()
    assert isinstance(found, NotReplayed)
    assert found.reason == "TensorFlow is not installed: not replayed (no such thing here)."


def tables(page: Page) -> dict[str, Table]:
    """The page's tables by caption."""
    blocks = (block for section in page.sections for block in section.blocks)
    return {block.caption: block for block in blocks if isinstance(block, Table)}
