"""`holmia export`: a treatment in other forms. Today: the treatment file itself, whole and compact, also while live."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from console.cli.app import app
from console.shell import EXIT_DONE, EXIT_USAGE, CommandError, open_record, say


class Target(StrEnum):
    """What can be written."""

    TREATMENT = "treatment"


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The treatment file, also while it is being filled.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.", file_okay=False)],
    to: Annotated[Target, typer.Option("--to", help="treatment: one file, without its log and index.")] = (
        Target.TREATMENT
    ),
) -> int:
    """Write a treatment in another form; with --to treatment a copy that is one sound file, for keeping or sending."""
    target = out / file.name
    if target.exists():
        raise CommandError(
            f"{target} exists already and is never overwritten; choose another --out.", status=EXIT_USAGE
        )
    with open_record(file) as record:
        out.mkdir(parents=True, exist_ok=True)
        record.copy_to(target)
        damaged, head = record.damage is not None, record.head()
    part = "its sound part, " if damaged else ""
    say(f"{target}: {part}{head.seq} events, head {head.hash}. It holds the patient's identity ({to}).")
    return EXIT_USAGE if damaged else EXIT_DONE
