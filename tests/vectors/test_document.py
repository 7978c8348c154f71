"""Where the parts of a JSON document stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnconform.conformance.vectors.document import Document, NotJSONError, Path, name_of

TEXT = """
{
  "a": [1, "x, ] }",
    {"b": null, "c \\"quoted\\"": [ ]}],

  "d":
    -1e3
}
"""

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def paths(value: object, path: Path = ()) -> list[Path]:
    """The path of ``value`` and of everything in it, in the order of the text."""
    children: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return [path, *(each for key, child in children for each in paths(child, (*path, key)))]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param((), 2, id="the top begins after blank lines"),
        pytest.param(("a", 1), 3, id="a string that looks like the end of its list"),
        pytest.param(("a", 2, "b"), 4, id="a member of an object in a list"),
        pytest.param(("a", 2, 'c "quoted"'), 4, id="a key with escapes"),
        pytest.param(("d",), 7, id="a value on another line than its key"),
    ],
)
def test_a_part_begins_on_the_line_where_its_value_does(path: Path, line: int) -> None:
    """The value, not the key: that is what a problem is about."""
    assert Document.parse(TEXT).line(path) == line


@given(TREES)
def test_every_part_of_a_document_with_one_part_to_a_line_is_found(tree: object) -> None:
    """``indent`` begins each part on a line of its own; only closing brackets take lines too."""
    text = json.dumps(tree, indent=0)
    document = Document.parse(text)
    lines = text.split("\n")
    found = [document.line(path) for path in paths(tree)]
    opening = [number for number, line in enumerate(lines, 1) if line.strip(",") not in ("]", "}")]
    assert found == opening


def test_a_path_is_written_the_way_a_programmer_would() -> None:
    """Dots before keys, brackets around indices."""
    assert name_of(("vectors", 2, "inputs", "x", "data", 17)) == "vectors[2].inputs.x.data[17]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{\n"a": 1,\n}', "3: not JSON: ", id="a comma too many"),
        pytest.param("", "1: not JSON: Expecting value at column 1", id="nothing at all"),
        pytest.param("[" * 100_000, "1: cannot be read: ", id="too deep to be read"),
        pytest.param("9" * 5000, "1: cannot be read: ", id="too many digits for Python"),
    ],
)
def test_text_that_is_no_json_is_refused_with_its_line(text: str, message: str) -> None:
    """The first line that cannot be right."""
    with pytest.raises(NotJSONError) as caught:
        Document.parse(text)
    assert str(caught.value).startswith(message)
