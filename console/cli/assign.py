"""Commands by which a person says what the file cannot know: what a series is, how far the scanner's clock is off."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from config.settings import Settings
from console.cli.app import app, progress_bar
from console.engine import Engine
from console.operation_words import OperationError, Word, words_of
from console.operations import ROLES, AssignSeries, ConfirmClock, Operation
from console.session import replayed
from console.shell import EXIT_DONE, EXIT_USAGE, CommandError, now, open_record, say
from console.snapshot import Binding, Snapshot
from dicom_listener.decoding import DecodingProcess
from dicom_listener.images import SeriesState
from dicom_listener.record import Record

_STILL_TELLING_S = 3600.0
"""Images that came later than this after their acquisition were sent afterwards: they tell nothing of a clock."""


@app.command()
def assign(
    file: Annotated[Path, typer.Argument(help="The treatment file, also while it is being filled.")],
    series: Annotated[str | None, typer.Argument(help="Number of the series in the list, or end of its UID.")] = None,
    role: Annotated[
        str | None, typer.Option("--as", metavar="ROLE", help=f"What it is: {', '.join(ROLES)} (an earlier word back).")
    ] = None,
    of: Annotated[
        str | None, typer.Option("--of", metavar="POSITION:FRACTION", help="Which injection a fraction shows, RHA:2.")
    ] = None,
    clock_offset: Annotated[
        float | None, typer.Option("--clock-offset", help="Confirm: scanner's clock minus true time, s.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who says so (default: the user of this machine).")] = None,
) -> int:
    """List what every series is taken for and what is asked; or answer: say what a series is, confirm the clock."""
    writes = role is not None or clock_offset is not None
    name = by or getpass.getuser()
    if (series is None) != (role is None):
        raise CommandError("Name a series and its role together: holmia assign FILE 5 --as ignore.", status=EXIT_USAGE)
    with open_record(file, read_only=not writes) as record:
        snapshot = _bound(record)
        said: list[tuple[tuple[Word, ...], str]] = []
        if clock_offset is not None:
            told = f"the scanner's clock is {clock_offset:+g} s off; series are matched with that"
            said.append((_words(ConfirmClock(seconds=clock_offset), snapshot, name), told))
        if series is not None and role is not None:
            state = _named(series, snapshot.series)
            told = f"{_title(state)} is to be taken for: {role}{f' of {of}' if of else ''}"
            said.append((_words(_assignment(state, role, of, snapshot), snapshot, name), told))
        for words, told in said:  # only once nothing of it is refused
            for word in words:
                record.append(word.kind, dict(word.payload), actor=name, utc=now(), data=word.data)
            say(f"Recorded by {name}: {told}.")
        if said:
            snapshot = _bound(record)
    _show(snapshot)
    return EXIT_DONE


def _bound(record: Record) -> Snapshot:
    """What every series is, without computing a dose."""
    with progress_bar() as progress, DecodingProcess() as decoding:
        engine = Engine(reader=decoding)
        task = progress.add_task("reading", total=record.head().seq)
        for event in replayed(record, engine):
            progress.update(task, completed=event.seq)
        return engine.snapshot()


def _named(words: str, states: Sequence[SeriesState]) -> SeriesState:
    if words.isdecimal() and 1 <= int(words) <= len(states):
        return states[int(words) - 1]
    found = [s for s in states if any(uid.endswith(words) for uid in s.series_instance_uids)]
    if len(found) == 1:
        return found[0]
    what = "is the end of several series' UIDs" if found else f"is none of the {len(states)} series"
    raise CommandError(f"{words!r} {what}; call holmia assign FILE for the list.", status=EXIT_USAGE)


def _words(operation: Operation, snapshot: Snapshot, name: str) -> tuple[Word, ...]:
    try:
        return words_of(operation, snapshot, name=name, at=now(), site=Settings())
    except OperationError as error:
        raise CommandError(str(error), status=EXIT_USAGE) from error


def _assignment(state: SeriesState, role: str, of: str | None, snapshot: Snapshot) -> AssignSeries:
    """What was said of a series, with ``--of`` read as a position and the number of a fraction."""
    if role not in ("fraction", "baseline"):
        if of is not None:
            raise CommandError(f"--of belongs to a fraction or a baseline, not to {role!r}.", status=EXIT_USAGE)
        return AssignSeries(series_key=state.key, role=role)
    position, _, number = (of or "").partition(":")
    known = [i.key for i in snapshot.injections]
    if role == "baseline" and not number and position in {p for p, _ in known}:
        return AssignSeries(series_key=state.key, role=role, position=position)
    if not number.isdecimal() or (position, int(number)) not in known:
        of_which = ", ".join(f"{p}:{n}" for p, n in known) or "none"
        raise CommandError(
            f"{of or 'Nothing'} is no injection of this treatment; say --of with one of: {of_which}.", status=EXIT_USAGE
        )
    return AssignSeries(series_key=state.key, role=role, position=position, fraction=int(number))


def _show(snapshot: Snapshot) -> None:
    zone = ZoneInfo(snapshot.plan.time_zone) if snapshot.plan is not None else None
    bindings = {binding.series_key: binding for binding in snapshot.bindings}
    table = Table(box=box.SIMPLE, header_style="bold")
    for heading in ("", "acquired", "series", "images", "taken for", "because"):
        table.add_column(heading, overflow="fold")
    for number, state in enumerate(snapshot.series, 1):
        binding = bindings[state.key]
        table.add_row(
            str(number),
            _clock(state.acquired_at, zone),
            _title(state),
            f"{state.received}/{state.expected}",
            _taken_for(binding),
            binding.why,
        )
    Console(width=None).print(table)
    for question in _questions(snapshot):
        say(question)
    ahead_s, confirmed_s = snapshot.clock_ahead_at_least_s, snapshot.clock_offset_s
    confirmed = "not confirmed, taken as 0 s" if confirmed_s is None else f"confirmed as {confirmed_s:+g} s"
    if ahead_s is not None and ahead_s > 0:
        say(f"Scanner clock: at least {ahead_s:.0f} s ahead, as an image arrived before it was begun; {confirmed}.")
    elif ahead_s is not None and ahead_s > -_STILL_TELLING_S:
        say(f"Scanner clock: images arrive {-ahead_s:.0f} s after they are begun at the soonest; {confirmed}.")


def _questions(snapshot: Snapshot) -> list[str]:
    numbers = {state.key: number for number, state in enumerate(snapshot.series, 1)}
    asked = []
    for binding in snapshot.bindings:
        if binding.role == "superseded":
            used = next(
                b
                for b in snapshot.bindings
                if b.role == "fraction" and (b.position, b.fraction) == (binding.position, binding.fraction)
            )
            asked.append(
                f"Series {numbers[binding.series_key]} and {numbers[used.series_key]} were both acquired after "
                f"{binding.position} F{binding.fraction}; {numbers[used.series_key]} is used. Say which it is with "
                "--as fraction, the other with --as ignore (a repeat) or baseline (of the next position)."
            )
    return asked


def _taken_for(binding: Binding) -> str:
    of = f" {binding.position}" if binding.position else ""
    of += f" F{binding.fraction}" if binding.fraction is not None else ""
    return f"{binding.role}{of}{', confirmed' if binding.confirmed else ''}"


def _title(state: SeriesState) -> str:
    return state.description or state.protocol or state.series_instance_uids[0]


def _clock(moment: datetime | None, zone: ZoneInfo | None) -> str:
    return "unknown" if moment is None else moment.astimezone(zone).strftime("%H:%M:%S")
