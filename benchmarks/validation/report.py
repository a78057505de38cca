"""The document: a table of targets, the sections with their pictures, how to run it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.validation.section import Picture, Section, met_word, table

_HEAD = """# Validation

What Holmia's figures are worth where the truth is known: on phantoms and drawn treatments, not on patients.
`make validate` writes this page and its pictures; nothing in it is written by hand. A target that is not met stands
here as it is.
"""
_HOW = """## Running it again

`make validate` runs every section with the numbers above, two processes at a time, and writes this page.
`python -m benchmarks.validation --quick` runs a small number of everything to see that it works; `--only NAME` one
section (and this page from what is stored of the others); `--fresh` forgets stored results; `--render` only writes the
page. The result of each section is stored as it ends (`build/validation/NAME.json`), so an interrupted run goes on
where it stopped; a change of the code makes the stored results void. All draws come from the seeds above: the same
code and versions give the same figures. tedana is installed into `build/validation/tedana-env`, from the package index
that pip is set to; without it that section says so.
"""


def document(
    sections: Sequence[Section], results: dict[str, dict[str, Any]], drawn: dict[str, Sequence[Picture]]
) -> str:
    """The whole page, from the sections that have a result."""
    done = [s for s in sections if s.name in results]
    parts = [
        _HEAD,
        _small_run(done, results),
        "## Targets\n",
        _targets(done, results),
        _missed(done, results),
        _runs(done, results),
    ]
    for number, section in enumerate(done, start=1):
        parts += [f"## {number}. {section.title}\n", section.markdown(results[section.name]["figures"])]
        for picture in drawn.get(section.name, ()):
            parts += [f"![{picture.caption}](images/validation-{picture.name}.png)\n", f"*{picture.caption}*\n"]
    parts.append(_HOW)
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _small_run(done: Sequence[Section], results: dict[str, dict[str, Any]]) -> str:
    small = [s.title for s in done if results[s.name]["n"] < s.full]
    warning = f"**A small run** with fewer than the full number: {'; '.join(small)}. Read no target from it.\n"
    return warning if small else ""


def _targets(done: Sequence[Section], results: dict[str, dict[str, Any]]) -> str:
    rows = [
        [f"[{number}](#{_anchor(number, section)})", row["what"], row["bound"], row["measured"], met_word(row)]
        for number, section in enumerate(done, start=1)
        for row in results[section.name]["figures"]["targets"]
    ]
    return table(["section", "what", "target", "measured", ""], rows) + "\n"


def _missed(done: Sequence[Section], results: dict[str, dict[str, Any]]) -> str:
    rows = [row for s in done for row in results[s.name]["figures"]["targets"]]
    asked = [row for row in rows if row["met"] is not None]
    met = sum(row["met"] for row in asked)
    return f"{met} of {len(asked)} targets with a bound are met. ± is one standard error; intervals are 95 %.\n"


def _runs(done: Sequence[Section], results: dict[str, dict[str, Any]]) -> str:
    rows = [
        [str(number), section.title, f"{results[section.name]['n']} {section.unit}", str(results[section.name]["seed"]),
         results[section.name]["code_sha256"][:12]]
        for number, section in enumerate(done, start=1)
    ]  # fmt: skip
    versions = {text for s in done for text in [", ".join(f"{k} {v}" for k, v in results[s.name]["versions"].items())]}
    head = ["", "section", "number", "seed", "code (SHA-256)"]
    return f"{table(head, rows)}\n\nVersions: {'; '.join(sorted(versions))}.\n"


def _anchor(number: int, section: Section) -> str:
    """As the forges make them of a heading."""
    kept = "".join(c for c in f"{number}. {section.title}".lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")
