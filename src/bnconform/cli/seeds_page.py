"""The page about the two texts that the project grew from: what they say, and what is so.

Joins the spec's predictions (``conformance.seeds``) with a replay through real TensorFlow
(``adapters.seed_replay``), which runs in a process of its own. Without TensorFlow the page says so
and shows what needs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bnconform.adapters import seed_replay
from bnconform.adapters.seed_replay import Attempt, BlogReplay, BlogStep, Replay
from bnconform.cli.replaying import NotReplayed, replayed
from bnconform.conformance.seeds import blog, checks, question
from bnconform.conformance.seeds.blog import NAMES, PRINTED, Batch, Printed, Variables
from bnconform.conformance.seeds.checks import Average, Known
from bnconform.conformance.seeds.question import CASES, ContractCase, Fate, Finding
from bnconform.conformance.seeds.rounding import Predicted, predict
from bnconform.reports.pages import (
    Block,
    Cell,
    Link,
    Mark,
    Mono,
    Number,
    Page,
    Paragraph,
    Section,
    Table,
)
from bnconform.reports.summaries import Status


def seeds_page() -> Page:
    """The page, with the replay if TensorFlow can be had."""
    return page_of(replayed())


def page_of(found: Replay | NotReplayed) -> Page:
    """The page for what the replay gave."""
    replay = found if isinstance(found, Replay) else None
    told = (
        f"Replayed through tf.layers.batch_normalization of TensorFlow {found.version}."
        if isinstance(found, Replay)
        else found.reason
    )
    return Page(
        title="The seeds",
        slug="seeds",
        lead=f"Two texts about one layer, made executable: a blog post and a question. {told}",
        sections=tuple(_sections(replay)),
        wide=True,
    )


def _sections(replay: Replay | None) -> Iterator[Section]:
    predicted = predict(blog.START, blog.batches())
    yield Section(
        title="The blog's numbers", anchor="printed", blocks=tuple(_printed(predicted, replay))
    )
    yield Section(title="Which epsilon", anchor="epsilon", blocks=tuple(_hand_check(replay)))
    if replay is not None:
        yield Section(
            title="Ten steps", anchor="steps", blocks=tuple(_ten_steps(predicted, replay.blog))
        )
        yield Section(title="The homework", anchor="homework", blocks=tuple(_homework(replay.blog)))
    yield Section(title="The question's calls", anchor="calls", blocks=tuple(_question(replay)))
    yield Section(title="Which axis is axis 0", anchor="axis", blocks=tuple(_axis(replay)))


def _printed(predicted: Sequence[Predicted], replay: Replay | None) -> Iterator[Block]:
    """What the blog prints before its tenth step, beside the exact value and the replays."""
    yield Paragraph(
        "The post (ie_test, 2018-08-01) trains x → w, b → batch norm → sigmoid → w2, b2 → sigmoid"
        " and prints this before the tenth step. The exact values come from the spec with its own"
        " gradients; the bound is what nine steps of float32 may be off by, derived stage by stage."
        " A last column of at most 1 means that the printed number is explained. b stays where it"
        " is: batch norm subtracts it, and its gradient is exactly 0."
    )
    columns = _replay_columns(replay)
    before = predicted[blog.STEPS - 1]
    rows = []
    for name in NAMES:
        printed: Printed = getattr(PRINTED, name)
        exact, bound = getattr(before.value, name), getattr(before.bound, name)
        shown = tuple(Mono(as_printed(step.before[name])) for _, step in columns)
        ratio = abs(printed.value - exact) / (bound + printed.error)
        rows.append((name, Mono(printed.text), *shown, _digits(exact), bound, ratio))
    names = tuple(name for name, _ in columns)
    yield Table(
        ("variable", "blog", *names, "exact", "bound", "blog's error / bound"),
        tuple(rows),
        caption="Before the tenth step",
    )
    if replay is not None:
        yield from _agreement(replay)


def _replay_columns(replay: Replay | None) -> tuple[tuple[str, BlogStep], ...]:
    """The tenth step of either replay, by the heading of its column."""
    if replay is None:
        return ()
    last = blog.STEPS - 1
    return (
        ("TensorFlow", replay.blog.steps[last]),
        ("TensorFlow, no graph fusing", replay.unfused.steps[last]),
    )


def _agreement(replay: Replay) -> Iterator[Block]:
    for heading, step in _replay_columns(replay):
        different = differing_digits(step)
        total = len(NAMES) + len(step.hidden) + len(step.output)
        said = f"differ in the last digits: {', '.join(different)}" if different else "none differs"
        yield Paragraph(
            f"{heading}: {total - len(different)} of the {total} numbers that the blog prints come"
            f" out digit for digit on this machine; {said}."
        )
    kernels = ", ".join(replay.blog.kernels) or "none"
    yield Paragraph(
        f"Fused kernels in the graph as it was run: {kernels}; without graph fusing:"
        f" {', '.join(replay.unfused.kernels) or 'none'}. Where the two replays differ in a last"
        " digit, it is the kernel of a product or a sigmoid that decided it, not batch norm.",
        aside=True,
    )


def as_printed(value: float) -> str:
    """A float32 as the blog prints it: NumPy's text of an array of one element."""
    return str(np.array([value], np.float32))[1:-1].strip()


def differing_digits(step: BlogStep) -> list[str]:
    """The numbers of the tenth step whose text is not the blog's."""
    pairs = [(name, getattr(PRINTED, name), step.before[name]) for name in NAMES]
    for label, texts, values in (
        ("hidden", blog.PRINTED_HIDDEN, step.hidden),
        ("bn1", blog.PRINTED_OUTPUT, step.output),
    ):
        named = zip(texts, values, strict=True)
        pairs += [(f"{label}[{at}]", text, value) for at, (text, value) in enumerate(named)]
    return [name for name, printed, value in pairs if as_printed(value) != printed.text]


def _hand_check(replay: Replay | None) -> Iterator[Block]:
    """The blog's formula under several epsilons, and the epsilons that its numbers allow."""
    known = checks.printed()
    low, high = checks.epsilon_interval(known)
    formula = "bn1 = gamma*( (hidden_tmp - m_m) /math.sqrt( m_v+0.00001) ) + beta"
    verdict = (
        " and finds it confirmed. To within the rounding of float32 and of the printed digits, its"
        f" numbers allow epsilon between {low:.7f} and {high:.7f} and nothing else. That is the"
        " layer's default, 0.001; the 0.00001 of the formula is a slip."
    )
    yield Paragraph(("The post checks ", Mono(formula), verdict))
    found = [checks.hand_check(epsilon, known) for epsilon in checks.CANDIDATES]
    yield Table(
        ("epsilon", *(f"bn1[{at}]" for at in range(blog.BATCH_SIZE)), "largest error / bound", ""),
        tuple(
            (
                Mono(f"{check.epsilon:g}"), *map(_digits, check.expected), check.ratio,
                _mark(meets=check.ratio <= 1),
            )
            for check in found
        ),
        caption="The printed numbers, " + ", ".join(p.text for p in blog.PRINTED_OUTPUT)
        + ", by epsilon",
    )  # fmt: skip
    solved = ", ".join(f"{epsilon:.8f}" for epsilon in checks.solved_epsilons(known))
    yield Paragraph(f"Solved for epsilon, each of the three samples alone gives {solved}.")
    if replay is not None:
        low, high = checks.epsilon_interval(held(replay.blog.steps[-1]))
        yield Paragraph(
            "TensorFlow's own numbers at that point, with nothing lost to printing, allow"
            f" {low:.7f} to {high:.7f}."
        )


def held(step: BlogStep) -> Known:
    """What the layer held and answered before a step, to the last bit."""
    return checks.exactly(Variables(**step.before), step.hidden, step.output)


def _ten_steps(predicted: Sequence[Predicted], replay: BlogReplay) -> Iterator[Block]:
    yield Paragraph(
        "The spec starts once, from the initial values, and never sees what TensorFlow computed."
        " The last column starts it again from TensorFlow's variables at every step, so that"
        " errors of earlier steps are not allowed for."
    )
    rows = []
    for number, (step, batch) in enumerate(zip(replay.steps, blog.batches(), strict=True), start=1):
        single = from_its_own(step, batch)
        whole = predicted[number]
        for name in NAMES:
            got, expected = step.after[name], getattr(whole.value, name)
            ratio = _ratio(whole, name, got)
            rows.append((number, name, _digits(got), _digits(expected), got - expected, ratio,
                         _ratio(single, name, got)))  # fmt: skip
    yield Table(
        ("step", "variable", "TensorFlow", "spec", "difference", "error / bound",
         "error / bound, this step alone"),
        tuple(rows),
        caption="The variables after every step",
    )  # fmt: skip


def from_its_own(step: BlogStep, batch: Batch) -> Predicted:
    """What one step must give, from the variables that the subject had before it."""
    return predict(Variables(**step.before), [batch])[1]


def _ratio(predicted: Predicted, name: str, got: float) -> float:
    return float(abs(got - getattr(predicted.value, name)) / getattr(predicted.bound, name))


def _homework(replay: BlogReplay) -> Iterator[Block]:
    yield Paragraph(
        "The post leaves open whether moving_mean is the moving average of the hidden layer's"
        " batch means. From TensorFlow's own hidden values, with errors in units of the bound:"
    )
    found = [averages(step) for step in replay.steps]
    conventions = [average.convention for average in found[0]]
    rows: list[tuple[Cell, ...]] = [
        (number, _digits(step.after["running_mean"]), _digits(step.after["running_var"]),
         *(average.ratio for average in row))
        for number, (step, row) in enumerate(zip(replay.steps, found, strict=True), start=1)
    ]  # fmt: skip
    yield Table(
        ("step", "moving_mean", "moving_variance", *conventions),
        tuple(rows),
        caption="Running statistics after every step",
    )
    columns = zip(conventions, zip(*found, strict=True), strict=True)
    explains = [name for name, column in columns if all(one.ratio <= 1 for one in column)]
    yield Paragraph(f"Explain every step: {'; '.join(explains) or 'none of them'}.")


def averages(step: BlogStep) -> tuple[Average, ...]:
    """The running mean by either sense of momentum, then the variance by either divisor."""
    before, after = Variables(**step.before), Variables(**step.after)
    return (
        *checks.running_mean_checks(before, step.hidden, after),
        *checks.running_var_checks(before, step.hidden, after),
    )


def _question(replay: Replay | None) -> Iterator[Block]:
    yield Paragraph(
        (
            Link("The question", question.QUESTION),
            " leaves axis at -1, which is the batch axis of a (features, batch) matrix.",
        )
    )
    yield Table(
        ("clause", "level", "requirement", "source"),
        tuple(
            (clause.id, clause.level.value, clause.statement, clause.source)
            for clause in question.AXIS_CLAUSES
        ),
    )
    headings = ("call", "clause", "should be")
    plain = [(case.name, case.clause, case.should.value) for case in CASES]
    if replay is None:
        yield Table(headings, tuple(plain))
        return
    does = [_does(*pair) for pair in zip(CASES, replay.attempts, strict=True)]
    yield Table(
        (*headings, "is", "", "message", "error / bound"),
        tuple((*row, *more) for row, more in zip(plain, does, strict=True)),
    )
    yield from _remarks(replay)


def finding(case: ContractCase, attempt: Attempt) -> Finding:
    """The judgement of one attempt."""
    fate = Fate(attempt.fate.value)
    return question.judge(case, fate, attempt.outputs, attempt.running_mean)


def _does(case: ContractCase, attempt: Attempt) -> tuple[Cell, ...]:
    found = finding(case, attempt)
    is_ = attempt.fate.value
    if not found.meets and found.ratio is None:
        is_ += f", with outputs of shape {_shapes(y.shape for y in attempt.outputs)}"
    ratio = float("nan") if found.ratio is None else found.ratio
    return (is_, _mark(meets=found.meets), attempt.error, ratio)


def _shapes(shapes: Iterable[tuple[int, ...]]) -> str:
    return " and ".join(str(shape) for shape in shapes)


def _remarks(replay: Replay) -> Iterator[Block]:
    """What the calls tell together, as far as this replay bears it out."""
    by_program = {
        (case.declared, len(case.x), case.optimized): attempt
        for case, attempt in zip(CASES, replay.attempts, strict=True)
        if case.axis == -1
    }
    optimized = by_program["tf.reshape", 9, True].error
    plain = by_program["tf.reshape", 9, False].error
    if "[7] vs. [2]" in optimized and "reshape" in plain:
        yield Paragraph(
            "tf.reshape to seven rows has to refuse two samples, and does while the graph optimizer"
            " is off. With it on, as by default, the reshape is taken for redundant and dropped:"
            " what the asker saw is what comes next."
        )
    if by_program["set_shape", 8, True].fate is seed_replay.Fate.ANSWERED:
        yield Paragraph(
            "[7] vs. [2] is no check of the input: the update of the moving mean, seven long,"
            " cannot subtract two means. So a last batch of one sample passes: its one mean is"
            " broadcast over all seven, moves every running statistic, and one sample comes back as"
            " seven."
        )


def _axis(replay: Replay | None) -> Iterator[Block]:
    yield Paragraph(
        "The asker's other puzzle: tf.reduce_mean(axis=0) averages down the columns. A reduction"
        " names the axis that disappears; batch norm names the axis that is kept, so that"
        " batch_normalization(axis=0) averages along the rows, like reduce_mean(axis=1). For a"
        " (features, batch) matrix the right axis is 0."
    )
    rows = []
    for axis in (0, 1):
        reduced = question.CONSTANT.mean(axis=axis)
        kept = question.CONSTANT.mean(axis=1 - axis)
        rows.append((axis, _list(reduced), _list(kept), *_learned(replay, axis)))
    replay_column = () if replay is None else ("TensorFlow: moving_mean / 0.01 after one step",)
    yield Table(
        ("axis", "reduce_mean", "batch norm's means, by the spec", *replay_column),
        tuple(rows),
        caption="The matrix [[1 2 3] [4 5 6]]",
    )


def _learned(replay: Replay | None, axis: int) -> tuple[str, ...]:
    """The batch means that the layer used, read off its moving mean after a step from zero."""
    if replay is None:
        return ()
    attempts = zip(CASES, replay.attempts, strict=True)
    found = next(a for c, a in attempts if c.axis == axis and c.weights.shape == (2, 2))
    return (_list(np.array(found.running_mean) / (1 - question.DECAY)),)


def _list(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _digits(value: float) -> Number:
    """All digits that a float32 has, and one more."""
    return Number(f"{value:.9f}", repr(value))


def _mark(*, meets: bool) -> Mark:
    return Mark(Status.CONFORMS if meets else Status.DIVERGES)
