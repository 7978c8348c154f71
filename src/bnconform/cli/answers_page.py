"""The page that answers what every parameter of ``tf.layers.batch_normalization`` means."""

from __future__ import annotations

from collections.abc import Iterable

from bnconform.conformance.answers import Parameter, Question, parameters, questions
from bnconform.reports.pages import Cell, Facts, Link, Mono, Page, Paragraph, Section
from bnconform.reports.views.report import clause_link


def answers_page() -> Page:
    """Every parameter, then the questions that began it."""
    return Page(
        title="Every parameter",
        slug="parameters",
        lead=(
            "What each parameter of tf.layers.batch_normalization means and where it bites. The"
            " clauses lead to the evidence: how every framework does."
        ),
        sections=(
            *(_of_parameter(parameter) for parameter in parameters()),
            Section(title="The six questions", anchor="questions", blocks=tuple(_answers())),
        ),
    )


def _of_parameter(parameter: Parameter) -> Section:
    rows: list[tuple[str, Cell]] = [
        ("Default", Mono(parameter.default)),
        ("Clauses", _links(parameter.clauses)),
    ]
    if parameter.equation:
        rows.append(("Equation", Mono(f"conformance/spec.py {parameter.equation}")))
    rows.append(("Elsewhere", parameter.elsewhere))
    text = Paragraph(f"{parameter.meaning} {parameter.trap}")
    return Section(title=parameter.name, anchor=parameter.name, blocks=(text, Facts(tuple(rows))))


def _answers() -> Iterable[Paragraph | Facts]:
    for question in questions():
        yield Paragraph(f"{question.label}. {question.asked}", aside=True)
        yield _answer(question)


def _answer(question: Question) -> Facts:
    return Facts((("Answer", question.answer), ("Clauses", _links(question.clauses))))


def _links(clauses: tuple[str, ...]) -> Cell:
    """Links to the clauses' pages, separated by spaces."""
    cells: list[Link | str] = []
    for clause in clauses:
        cells += [clause_link(clause), " "]
    return tuple(cells[:-1])
