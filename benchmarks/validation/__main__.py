"""Runs the sections and writes docs/validation.md with its pictures."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.validation import accuracy, coverage, cramer_rao, flags, kernel, store, tedana
from benchmarks.validation.report import document
from benchmarks.validation.section import Section

SECTIONS: tuple[Section, ...] = (
    accuracy.SECTION,
    coverage.SECTION,
    cramer_rao.SECTION,
    kernel.SECTION,
    flags.SECTION,
    tedana.SECTION,
)
PAGE = store.ROOT / "docs" / "validation.md"
IMAGES = store.ROOT / "docs" / "images"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, store, draw, write. Exit status 0 whether or not targets are met: the page says which are."""
    asked = _parsed(arguments)
    console = Console(stderr=True)
    code = store.code_sha256()
    for section in SECTIONS:
        if asked.render or (asked.only and section.name not in asked.only):
            continue
        n = section.quick if asked.quick else section.full
        if not asked.fresh and store.kept(section, n, section.seed, code) is not None:
            console.print(f"{section.name}: kept from an earlier run of the same code")
            continue
        _run(section, n, code, console)
    results = {s.name: stored for s in SECTIONS if (stored := store.any_kept(s)) is not None}
    _write(results, code, console)
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small number of everything, to see that it works")
    parser.add_argument("--only", nargs="+", choices=[s.name for s in SECTIONS], help="run these sections only")
    parser.add_argument("--fresh", action="store_true", help="run again what is stored already")
    parser.add_argument("--render", action="store_true", help="only write the page from what is stored")
    return parser.parse_args(arguments)


def _run(section: Section, n: int, code: str, console: Console) -> None:
    start = time.monotonic()
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(section.name, total=1.0)
        figures = section.run(n, section.seed, lambda share: bar.update(task, completed=share))
    seconds = time.monotonic() - start
    store.keep(section, figures, n=n, seed=section.seed, code=code, seconds=seconds)
    for row in figures["targets"]:
        sign = "–" if row["met"] is None else "met" if row["met"] else "NOT MET"
        console.print(f"  {sign:<8} {row['what']}: {row['measured']} ({row['bound']})", highlight=False)


def _write(results: dict[str, dict[str, Any]], code: str, console: Console) -> None:
    from benchmarks.validation.plots import draw

    other = store.stale(list(results.values()), code)
    if other:
        console.print(f"Made by other code than the present, shown with its own hash: {', '.join(other)}")
    drawn = {s.name: s.pictures(results[s.name]["figures"]) for s in SECTIONS if s.name in results}
    for pictures in drawn.values():
        for picture in pictures:
            draw(picture, IMAGES / f"validation-{picture.name}.png")
    PAGE.write_text(document(SECTIONS, results, drawn), encoding="utf-8")
    console.print(f"written: {PAGE.relative_to(store.ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
