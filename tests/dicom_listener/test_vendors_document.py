"""docs/vendors.md quotes what the code says."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DOCUMENT = REPOSITORY / "docs" / "vendors.md"
QUOTED_OTHERWISE = {"unfiltered images", "interoperability"}
"""A scanner's own words."""


def sentences_of(node):
    """The text of a string in the code, … for each value that is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
    )  # fmt: skip


def test_every_sentence_quoted_for_the_physicist_is_in_the_code():
    said = [
        sentences_of(node)
        for path in sorted((REPOSITORY / "dicom_listener").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    ]
    quoted = {re.sub(r"\s+", " ", text) for text in re.findall(r"“([^”]+)”", DOCUMENT.read_text())} - QUOTED_OTHERWISE
    assert len(quoted) >= 18
    unsaid = [text for text in quoted if not any(text in sentence for sentence in said)]
    assert unsaid == []
