"""docs/hazards.md holds: twenty hazards, each with a requirement, with files that exist and tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from console.outputs.wording import RESEARCH_USE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| \d+ \|", line)
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
FILES = sorted(set(re.findall(r"`(\w+/[\w/]+\.\w+)`", PAGE)))


@cache
def names_in(file: str) -> frozenset[str]:
    """Names of the tests of a file, without importing it."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_all_twenty_hazards_have_their_row() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 21))


@pytest.mark.parametrize("row", ROWS, ids=[row[1] for row in ROWS])
def test_every_hazard_has_a_requirement_a_place_and_a_test(row: list[str]) -> None:
    _, hazard, requirement, where, tests = row
    assert hazard
    assert requirement.endswith(".")
    assert re.search(r"`[\w/]+\.py`", where)
    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[f"{file}::{name}" for file, name in NAMED])
def test_every_named_test_exists(file: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in names_in(file), f"docs/hazards.md names {file}::{name}, which does not exist"


@pytest.mark.parametrize("file", FILES)
def test_every_named_file_exists(file: str) -> None:
    assert (ROOT / file).is_file(), f"docs/hazards.md names {file}, which does not exist"


def test_every_hazard_is_shown_on_the_screen_too() -> None:
    """A mitigation that nobody sees is none: each row names a test of the screen model, or of the window itself."""
    seen = ("tests/console/dashboard/", "tests/end_to_end/test_live_screen.py")
    assert [row[1] for row in ROWS if not any(place in row[4] for place in seen)] == []


def test_priorities_and_wording_stand_on_the_page() -> None:
    words = " ".join(PAGE.replace("\n> ", "\n").split())
    assert RESEARCH_USE in words
    for priority in ("high", "medium", "low"):
        assert re.search(rf"^\| {priority} \|", PAGE, re.MULTILINE)
