"""`holmia export`: a treatment in other forms, de-identified unless it is asked otherwise; all of it or nothing."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from config.overrides import parse_set
from console.cli.app import Sets, app, progress_bar
from console.computed import computed
from console.outputs.error import OutputError
from console.outputs.export_targets import TARGETS, Target, chosen_targets
from console.outputs.wording import RESEARCH_USE
from console.shell import EXIT_DONE, EXIT_PARTLY, EXIT_USAGE, CommandError, open_record, refuse_another_patient, say
from console.snapshot import Snapshot
from console.treatment import Treatment, fold, injections
from dicom_listener.decoding import DecodingProcess
from dicom_listener.record import Record

if TYPE_CHECKING:
    from console.outputs.export import Written
    from console.outputs.export_job import LeftOut

_FRACTION = re.compile(r"([A-Za-z0-9_-]{1,16}):([0-9]{1,4})")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The treatment file, also while it is being filled.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    to: Annotated[
        str, typer.Option("--to", metavar="LIST", help=f"Any of {', '.join(TARGETS)}, separated by commas; or all.")
    ] = "treatment",
    identified: Annotated[
        bool, typer.Option("--identified", help="With the patient's identity; without it everything is de-identified.")
    ] = False,
    fractions: Annotated[
        list[str] | None,
        typer.Option(
            "--fraction",
            metavar="POSITION:NUMBER",
            help="Only maps and doses of this fraction, such as RHA:4; may be repeated.",
        ),
    ] = None,
    sets: Sets = None,
) -> int:
    """Write a treatment in forms that other systems read. It is de-identified unless --identified says otherwise."""
    try:
        targets = chosen_targets(to)
    except ValueError as error:
        raise CommandError(str(error), status=EXIT_USAGE) from None
    overrides = parse_set(sets or [])
    refuse_another_patient(overrides)
    wanted = _asked_fractions(fractions or [], targets)
    if overrides and not any(target.computed for target in targets):
        raise CommandError(
            f"--set changes what is computed, and nothing of --to {to} is; leave it out.", status=EXIT_USAGE
        )
    _refuse_no_folder(out)
    # Here, not above: what writes DICOM and PDF takes a second to load, and no other command needs it.
    from console.outputs.export import identity_of, refuse_existing_targets, write_export

    with open_record(file) as record:
        _refuse_unknown_fractions(wanted, record)
        identity = identity_of(record, identified=identified)
        try:
            refuse_existing_targets(out, targets, identity)
        except OutputError as error:
            raise CommandError(str(error), status=EXIT_USAGE) from None
        damage = record.damage
        with _interruptible(out), progress_bar() as progress:
            task = progress.add_task("", total=record.head().seq)
            written = write_export(
                record,
                lambda: _computed(record, overrides, progress),
                targets,
                out,
                identity=identity,
                fractions=wanted,
                progress=lambda name: progress.update(task, description=f"writing {name}", total=None),
            )
    _tell(written, out, identified=identified, damaged=damage is not None)
    if damage is not None:
        return EXIT_USAGE
    return EXIT_PARTLY if written.left_out else EXIT_DONE


def _computed(record: Record, overrides: dict[str, object], progress: Progress) -> Snapshot:
    task = progress.task_ids[0]
    with DecodingProcess() as decoding:
        return computed(
            record,
            overrides=overrides,
            reader=decoding,
            progress=lambda done, total: progress.update(task, description="reading", completed=done, total=total),
            announce=lambda words: progress.update(task, description=words or "computing"),
        )


def _asked_fractions(texts: Sequence[str], targets: Sequence[Target]) -> set[tuple[str, int]] | None:
    """What --fraction asks for; None for all."""
    if not texts:
        return None
    if not any(target.by_fraction for target in targets):
        of_fractions = ", ".join(target.name for target in TARGETS.values() if target.by_fraction)
        raise CommandError(
            f"--fraction chooses among {of_fractions}; what --to asks for is of the whole treatment.", status=EXIT_USAGE
        )
    found = set()
    for text in texts:
        match = _FRACTION.fullmatch(text)
        if match is None:
            raise CommandError(f'"{text}" is no fraction; expected POSITION:NUMBER, such as RHA:4.', status=EXIT_USAGE)
        found.add((match[1], int(match[2])))
    return found


def _refuse_unknown_fractions(wanted: set[tuple[str, int]] | None, record: Record) -> None:
    """By the events alone, before anything is computed."""
    if wanted is None:
        return
    treatment, after = Treatment(), 0
    while batch := record.events(after):
        for event in batch:
            treatment = fold(treatment, event)
        after = batch[-1].seq
    known = [f"{injection.position}:{injection.fraction}" for injection in injections(treatment)]
    for position, fraction in sorted(wanted):
        name = f"{position}:{fraction}"
        if name not in known:
            there_are = f"there are {', '.join(known)}" if known else "its plan has no injections"
            raise CommandError(f"There is no fraction {name} in {record.path.name}; {there_are}.", status=EXIT_USAGE)


def _refuse_no_folder(out: Path) -> None:
    """A path through a file is a slip of the pen; a folder that cannot be written is the machine's."""
    for path in (out, *out.parents):
        if path.exists():
            if not path.is_dir():
                raise CommandError(f"{path} is a file, not a folder; choose another --out.", status=EXIT_USAGE)
            return


@contextlib.contextmanager
def _interruptible(out: Path) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C unwind: what was begun is removed, and that nothing was written is said."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the removing
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError(f"Stopped; nothing was written to {out}.") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(written: Written, out: Path, *, identified: bool, damaged: bool) -> None:
    """The closing lines: what lies where, whom it names, what is missing and why."""
    causes: dict[str, list[LeftOut]] = {}
    for own in written.left_out:
        causes.setdefault(own.why, []).append(own)
    for why, parts in causes.items():
        targets = ", ".join(dict.fromkeys(own.target for own in parts))
        named = [own.what for own in parts if own.what]
        which = f" ({named[0]}{f' and {len(named) - 1} more' if len(named) > 1 else ''})" if named else ""
        say(f"Left out of {targets}{which}: {why}")
    counts = {name: "1 file" if count == 1 else f"{count} files" for name, count in written.files.items()}
    what = ", ".join(f"{name} ({count})" for name, count in counts.items())
    part = " of the sound part of the file" if damaged else ""
    names = "IDENTIFIED: it names the patient" if identified else "De-identified (PS3.15 basic profile, dates shifted)"
    say(f"{out}: {what}{part}. {names}. Head {written.head_hash}.")
    say(RESEARCH_USE)
