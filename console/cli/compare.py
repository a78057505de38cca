"""`holmia compare`: two settings, two versions of volumes, or two treatments, side by side. Nothing is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.overrides import parse_set
from console.cli.app import app
from console.cli.compute import quantified
from console.comparison import Comparison, Row, Side, Verdict
from console.comparison import compare as held_against
from console.comparison_quantities import MEAN, RECOVERY
from console.comparison_words import LEGEND, UNCERTAINTY, line, pair_words, short_words, summary
from console.outputs.comparison_document import side_that_may_leave
from console.outputs.comparison_folder import NAMES, refuse_existing_comparison, write_comparison_files
from console.outputs.error import OutputError
from console.outputs.identity import Identified, Identity
from console.outputs.results import results_document
from console.outputs.wording import RESEARCH_USE
from console.shell import EXIT_DONE, EXIT_PARTLY, EXIT_USAGE, CommandError, open_record, refuse_another_patient, say
from console.snapshot import Snapshot
from dicom_listener.record import Record

_WIDTH = 100
_STYLES = {Verdict.BEYOND: "bold yellow", Verdict.EITHER: "yellow", Verdict.CHANGED: "cyan", Verdict.UNTOLD: "dim"}

SetsA = Annotated[
    list[str] | None, typer.Option("--set-a", metavar="KEY=VALUE", help="Lay a value over A's plan; may be repeated.")
]
SetsB = Annotated[
    list[str] | None, typer.Option("--set-b", metavar="KEY=VALUE", help="Lay a value over B's plan; may be repeated.")
]
VolumesA = Annotated[
    list[str] | None,
    typer.Option("--volume-a", metavar="NAME=VERSION", help="Version of a volume in A, from 1; may be repeated."),
]
VolumesB = Annotated[
    list[str] | None,
    typer.Option("--volume-b", metavar="NAME=VERSION", help="Version of a volume in B, from 1; may be repeated."),
]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One side as it was asked for."""

    file: Path
    head: str
    damaged: bool
    overrides: Mapping[str, object]
    volumes: Mapping[str, int]
    details: str

    @property
    def content(self) -> tuple[object, ...]:
        """What its results depend on."""
        return self.head, dict(self.overrides), dict(self.volumes)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A treatment file.", dir_okay=False)],
    second: Annotated[
        Path | None, typer.Argument(metavar="[B]", help="Another one; without it B is A's file too.", dir_okay=False)
    ] = None,
    set_a: SetsA = None,
    set_b: SetsB = None,
    volume_a: VolumesA = None,
    volume_b: VolumesB = None,
    out: Annotated[Path | None, typer.Option("--out", help=f"Folder for {', '.join(NAMES)}.", file_okay=False)] = None,
    identified: Annotated[bool, typer.Option("--identified", help="Name the patients in what is written.")] = False,
) -> int:
    """Compare two settings, two versions of volumes, or two treatments: what differs, and by how much."""
    texts = (set_a or [], volume_a or []), (set_b or [], volume_b or [])
    files = first, first if second is None else second
    if out is not None:
        try:
            refuse_existing_comparison(out)
        except OutputError as error:
            raise CommandError(str(error), status=EXIT_USAGE) from None
    asked = tuple(_asked(file, *own) for file, own in zip(files, texts, strict=True))
    if asked[0].content == asked[1].content:
        raise CommandError(
            f"Nothing differs between A and B: both are {_called(*asked)} with the same settings and volumes. "
            "Give another file, --set-b KEY=VALUE or --volume-b NAME=VERSION.",
            status=EXIT_USAGE,
        )
    snapshots = _computed(asked)
    comparison = held_against(*_sides(asked, snapshots, identified=identified))
    if out is not None:
        write_comparison_files(comparison, out)
    _show(comparison)
    if out is not None:
        named = "with the patients' identity" if identified else "de-identified"
        say(f"Written to {out}, {named}: {', '.join(NAMES)}.")
    say(RESEARCH_USE)
    if any(own.damaged for own in asked):
        return EXIT_USAGE
    for letter, snapshot in zip("AB", snapshots, strict=True):
        if not snapshot.results:
            say(f"{letter} has no result: there is nothing to compare; holmia quantify says why.")
    return EXIT_DONE if all(snapshot.results for snapshot in snapshots) else EXIT_PARTLY


def version_of(text: str) -> tuple[str, int]:
    """Read ``NAME=VERSION``; a name may hold a ``=`` itself.

    Raises
    ------
    CommandError
        If there is no name, or no whole number from 1.
    """
    name, sign, number = (part.strip() for part in text.rpartition("="))
    if not sign or not name or not number.isdecimal() or int(number) < 1:
        raise CommandError(
            f'"{text}" is no version of a volume; expected NAME=VERSION, such as "Tumour 1=2", with versions from 1.',
            status=EXIT_USAGE,
        )
    return name, int(number)


def _asked(file: Path, sets: list[str], versions: list[str]) -> _Asked:
    overrides = parse_set(sets)
    refuse_another_patient(overrides)
    volumes: dict[str, int] = {}
    for name, number in map(version_of, versions):
        if volumes.setdefault(name, number) != number:
            raise CommandError(f"The volume {name} is given two versions of one side; give one.", status=EXIT_USAGE)
    with open_record(file) as record:
        return _Asked(
            file=file,
            head=record.head().hash,
            damaged=record.damage is not None,
            overrides=overrides,
            volumes=volumes,
            details=" · ".join([*sets, *(f"{name} version {number}" for name, number in volumes.items())]),
        )


def _computed(asked: Sequence[_Asked]) -> list[Snapshot]:
    """Both sides. What something is laid over comes first: it can be refused before the other is waited for."""
    found = {}
    for number in sorted(range(len(asked)), key=lambda n: not (asked[n].overrides or asked[n].volumes)):
        found[number] = quantified(asked[number].file, asked[number].overrides, asked[number].volumes)
    return [found[number] for number in range(len(asked))]


def _sides(asked: Sequence[_Asked], snapshots: Sequence[Snapshot], *, identified: bool) -> Iterator[Side]:
    """Both sides as they may leave; one treatment has one identity."""
    identities: dict[str, Identity] = {}
    for letter, own, snapshot in zip("AB", asked, snapshots, strict=True):
        if own.head not in identities:
            identities[own.head] = Identified(own.file.stem) if identified else _deidentifier(own.file)
        yield side_that_may_leave(letter, results_document(snapshot), identities[own.head], own.details)


def _deidentifier(file: Path) -> Identity:
    from console.outputs.deidentification import deidentifier_of  # the table of the profile takes long to load

    with Record.salvage(file) as record:  # whether it is damaged was said when it was opened first
        return deidentifier_of(record)


def _called(a: _Asked, b: _Asked) -> str:
    return str(a.file) if a.file == b.file else f"the treatment of {a.file} and {b.file}"


def _show(comparison: Comparison) -> None:
    """Print the table: the last fraction in full, of those before it mean doses, recovery and what is a word."""
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False)
    for words in (comparison.a.label, comparison.b.label, ""):
        console.print(Text(words))
    if comparison.inputs:
        console.print(Text("What differs in what A and B were made from (A → B):", style="bold"))
        for words in comparison.inputs:
            console.print(Text(f"  {words}"))
    for words in comparison.notes:
        console.print(Text(words))
    for number in range(len(comparison.pairs)):
        console.print(_table(comparison, number, full=number == len(comparison.pairs) - 1))
    console.print(Text(summary(comparison), style="bold"))
    for words in (UNCERTAINTY, LEGEND):
        console.print(Text(words, style="dim"))


def _table(comparison: Comparison, number: int, *, full: bool) -> Table:
    title = Text(pair_words(comparison.pairs[number]), style="bold")
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", min_width=24, max_width=30)
    for head in ("A", "B"):
        table.add_column(head, justify="right")
    for head in ("B − A", "%", "± of B − A"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", min_width=11)
    volume = ""
    for row in _shown(comparison.rows_of(number), full=full):
        if row.volume != volume:
            volume = row.volume
            table.add_row(Text(volume, style="bold"))
        name, unit, a, b, *change, verdict = line(row).cells
        values = (short_words(value) if row.quantity.worded else value for value in (a, b))
        style = _STYLES.get(row.verdict, "")
        named = f"{'  ' if row.volume else ''}{name}{f' ({unit})' if unit else ''}"
        table.add_row(Text(named), *(Text(cell) for cell in (*values, *change)), Text(verdict, style=style))
    return table


def _shown(rows: tuple[Row, ...], *, full: bool) -> Iterator[Row]:
    for row in rows:
        worded = row.quantity.worded and row.verdict is not Verdict.SAME
        if full or worded or row.quantity in (MEAN, RECOVERY):
            yield row
