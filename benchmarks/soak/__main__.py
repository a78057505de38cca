"""Runs the soak and writes docs/soak.md and docs/soak.json; exit status 1 if a law is broken."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.soak import endurance, kills, replays
from benchmarks.soak.laws import Law, laws_of_endurance, laws_of_kills, laws_of_replays
from benchmarks.soak.listener_process import REPOSITORY
from benchmarks.soak.page import page

Result = TypeVar("Result")
_PARTS = ("kills", "endurance", "replays")
_REPLAYS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, tell, write."""
    asked = _parsed(arguments)
    console = Console(stderr=True)
    tally = course = shown = None
    laws: list[Law] = []
    if "kills" in asked.only:
        number = max(round(1_000 * asked.scale), 1)
        tally = _shown("kills", lambda progress: kills.run(number, asked.seed, progress), console)
        laws += laws_of_kills(tally)
    if "endurance" in asked.only:
        scale = scaled(asked.scale)
        course = _shown("endurance", lambda progress: endurance.run(scale, asked.seed, progress), console)
        laws += laws_of_endurance(course)
    if "replays" in asked.only:
        shown = _shown("replays", lambda progress: replays.run(round(_REPLAYS * asked.scale), progress), console)
        laws += laws_of_replays(shown)
    for law in laws:
        sign = "holds " if law.holds else "BROKEN"
        console.print(f"  {sign} {law.what}: {law.measured} ({law.bound})", highlight=False, markup=False)
    failures = course.wrong_answers + course.failures if course else []
    failures += [*(tally.messages if tally else []), *(shown.failures if shown else [])]
    for failure in failures:
        console.print(f"  ! {failure}", highlight=False, markup=False)
    folder: Path = asked.out or REPOSITORY / ("docs" if asked.scale >= 1 else "build/soak")
    folder.mkdir(parents=True, exist_ok=True)
    text = page(laws, tally, course, shown, scale=asked.scale, seed=asked.seed, note=asked.note)
    written = folder / "soak.md"
    written.write_text(text, encoding="utf-8")
    document = {
        "scale": asked.scale,
        "seed": asked.seed,
        "note": asked.note,
        "laws": [asdict(law) for law in laws],
        "kills": None if tally is None else asdict(tally),
        "endurance": None if course is None else asdict(course),
        "replays": None if shown is None else asdict(shown),
    }
    (folder / "soak.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {written}", highlight=False)
    return 0 if all(law.holds for law in laws) else 1


def scaled(scale: float) -> endurance.Scale:
    """How much of everything at a scale: 1 takes the most part of an hour, 0.01 under a minute."""
    return endurance.Scale(
        associations=max(round(10_000 * scale), 20),
        seconds_per_attack=min(10.0 * scale, 60.0),
        drip_s=endurance.DRIP_S if scale >= 0.5 else 1.0,
        data_set_bytes=max(round(endurance.GIGABYTE * min(scale, 1.0)), 300_000_000),
    )


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of 1,000 kills, 10,000 associations and 200 replays"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills and of what is sent")
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS, help="run these parts only")
    parser.add_argument("--out", type=Path, help="folder for the page and its figures; default: docs, or build")
    parser.add_argument("--note", default="", help="what the page is to say of this run: a date, a machine")
    return parser.parse_args(arguments)


def _shown(name: str, run: Callable[[Callable[[float], None]], Result], console: Console) -> Result:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(name, total=1.0)
        return run(lambda share: bar.update(task, completed=share))


if __name__ == "__main__":
    sys.exit(main())
