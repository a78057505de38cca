"""The words around the program hold: commands exist, links resolve, no trace of a build machine is left."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from config.plan import plan_from_mapping
from config.settings import load_settings
from console.commands import app
from console.outputs.wording import RESEARCH_USE

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PHYSICS = ROOT / "docs" / "physics.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# Built from parts, so that this file does not hold what it looks for.
BUILD_PATHS = re.compile("|".join(["/" + r"work/(?:main|shared)", "/" + r"(?:home|Users)/\w{2}", "/" + "root/"]))
REGISTRIES = re.compile(
    r"https?://(?:[\w.-]*\.)?(?:" + "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "artifact" + "ory"]) + ")"
)
# Notes that were never part of the repository; a section of one, or a numbered hazard, leads a reader nowhere.
PAPERS_OF_NOBODY = re.compile(r"\b(?:design|screen|measured|dicom|style|spec) " + r"§\d+|\bhazards? " + r"\d+")
INDEX_OPTION = re.compile(r"^\s*--(?:extra-)?" + r"index-url\s", re.MULTILINE)


def examples_of(page: Path) -> list[str]:
    """Every `holmia …` of a page, in code spans and in code blocks."""
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"`(holmia [^`\n]+)`", text)
    lines = re.findall(r"^(?:    |\$ )(?:\.venv/bin/)?(holmia [^#\n]+)", text, re.MULTILINE)
    return [example.strip() for example in (*spans, *lines)]


EXAMPLES = sorted({(page.name, example) for page in PAGES for example in examples_of(page)})


def test_readme_shows_every_command() -> None:
    shown = {example.split()[1] for example in examples_of(README)}
    assert set(COMMANDS) <= shown


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=[f"{page}: {example}" for page, example in EXAMPLES])
def test_every_example_names_an_existing_command_and_its_options(page: str, example: str) -> None:
    name, *arguments = shlex.split(example)[1:]
    if name == "COMMAND":
        return
    assert name in COMMANDS, f"{page} names the command {name}, which does not exist"
    known = {option for parameter in COMMANDS[name].params for option in (*parameter.opts, "--help")}
    asked = {argument.split("=")[0] for argument in arguments if re.match(r"-{1,2}[a-z]", argument)}
    assert asked <= known, f"{page}: {example} has options that {name} does not know"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_relative_link_resolves(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {target}, which does not exist"
        if anchor:
            assert anchor in anchors_of(file), f"{page.name} links to {target}: no such heading"


def test_whatever_the_physics_page_names_exists() -> None:
    """Its tests, its modules and its settings: a reader follows them."""
    text = PHYSICS.read_text(encoding="utf-8")
    tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(tests) >= 15
    for file, name in tests:
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{name}"
    for file in re.findall(r"`((?:quantify|config|tests)/[\w/]+\.py)`", text):
        assert (ROOT / file).is_file(), file
    known = set(keys_of(tomllib.loads((ROOT / "config" / "defaults.toml").read_text(encoding="utf-8"))))
    named = re.findall(r"`((?:quantification|alarms)(?:\.\w+)+)`", text)
    budget = text.split("## 4.")[1].split("## 5.")[0]
    named += [f"quantification.uncertainty.{key}" for key in re.findall(r"`([a-z]\w+)`", budget)]
    assert len(named) >= 30
    assert set(named) <= known


def keys_of(table: dict[str, Any], above: str = "") -> Iterator[str]:
    """Dotted keys of a table and of those in it."""
    for key, value in table.items():
        yield from keys_of(value, f"{above}{key}.") if isinstance(value, dict) else [above + key]


def test_every_citation_in_the_code_resolves() -> None:
    """A page, a decision, a heading or a section that a docstring or comment cites is in this repository."""
    sections = set(re.findall(r"^## (\d+)\.", PHYSICS.read_text(encoding="utf-8"), re.MULTILINE))
    decisions = {path.name[:4] for path in (ROOT / "docs" / "decisions").glob("*.md")}
    folders = ("quantify", "config", "console", "dicom_listener", "tests", "benchmarks", "scripts")
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    cited, lost = 0, []
    for file in files:
        text = " ".join(re.sub(r"^\s*#", "", line).strip() for line in file.read_text(encoding="utf-8").splitlines())
        pages = re.findall(r"(?<![\w./*\"])((?:[\w-]+/)*[\w-]+\.md)\b", text)
        lost += [f"{file.name}: {page}" for page in pages if not (ROOT / page).exists()]
        headings = re.findall(r"([\w/]+\.md), \"([^\"]+)\"", text)
        lost += [f"{file.name}: {page}, {head}" for page, head in headings if head not in headings_of(ROOT / page)]
        numbers = re.findall(r"docs/decisions/(\d{4})", text)
        lost += [f"{file.name}: decision {number}" for number in numbers if number not in decisions]
        runs = re.findall(r"physics(?:\.md)? ((?:§\d+(?:, numbers of | and |, )?)+)", text)
        own = [section for run in runs for section in re.findall(r"\d+", run)]
        lost += [f"{file.name}: physics §{section}" for section in own if section not in sections]
        lost += [f"{file.name}: {found}" for found in re.findall(PAPERS_OF_NOBODY, text)]
        cited += len(pages) + len(own)
    assert cited > 50
    assert lost == []


def headings_of(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def anchors_of(page: Path) -> set[str]:
    """Headings as the anchors that they become."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings_of(page)}


def test_the_first_screen_of_the_readme_shows_the_console_and_both_commands() -> None:
    first_screen = "\n".join(README.read_text(encoding="utf-8").splitlines()[:40])
    for expected in ("docs/images/console.png", "make demo", "make test", "HOLMIA", "11112", "holmia console"):
        assert expected in first_screen


def test_the_readme_carries_the_research_use_wording() -> None:
    words = re.sub(r"[*_]{2}", "", " ".join(README.read_text(encoding="utf-8").split()))
    assert RESEARCH_USE in words


@pytest.mark.parametrize("target", ["demo", "test", "bench", "screens", "setup", "lint"])
def test_every_make_target_that_is_spoken_of_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_annotated_plan_is_a_valid_plan() -> None:
    text = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    block = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    zone = load_settings(None).site.time_zone
    plan = plan_from_mapping(tomllib.loads(block.group(1)), site_time_zone=zone)
    assert plan.warnings() == ()


def test_pictures_stay_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    assert {p.name: p.stat().st_size for p in pictures if p.stat().st_size > 600_000} == {}


def test_no_file_names_a_build_machine_or_a_package_registry() -> None:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git working copy")
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if not path.is_file() or path.suffix in (".png", ".dcm"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [name for law in (BUILD_PATHS, REGISTRIES, INDEX_OPTION) if law.search(text)]
    assert found == []
