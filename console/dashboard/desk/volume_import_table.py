"""What files would bring, a line for each structure: its size, what lies outside, what it shares, what it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.dashboard.desk.form import Form
from console.dashboard.desk.volume_import import LIVER, TUMOUR, Meant, fault_of, meant_of, structure_words
from console.dashboard.desk.volume_list import millilitres, outside_cell, planned_names
from console.dashboard.screen.model import Cell, State, Tone
from console.given_files import FilePreview
from console.snapshot import Snapshot
from console.volume_preview import Place, StructurePreview

_OVERLAP_SAID_ML = 0.5
_OUTSIDE_SAID, _OUTSIDE_WARNED = 0.02, 0.5
"""Share of a tumour outside the liver."""

COLUMNS = ("File", "Structure", "Becomes", "mL", "On reference", "Outside", "Overlap", "Frame of reference")


@dataclass(frozen=True, kw_only=True)
class ImportRow:
    """One structure, or one file that holds none: its last cell then takes the rest of the line.

    ``key`` is (file, structure) by number; structure None: the file.
    """

    key: tuple[int, int | None]
    cells: tuple[Cell, ...]


def import_rows(form: Form, files: Sequence[FilePreview], snapshot: Snapshot) -> tuple[ImportRow, ...]:
    """A line for every structure, and one for every file without; files refused alike share one."""
    meant = {(one.file, one.structure.number): one for one in meant_of(form, files, snapshot)}
    rows, refused = [], dict[str, list[str]]()
    for at, file in enumerate(files):
        if file.object is None:
            refused.setdefault(file.file.refusal, []).append(file.file.path.name)
            continue
        rows += [
            ImportRow(
                key=(at, own.number),
                cells=_cells(file, own, meant.get((at, own.number)), list(meant.values()), snapshot, form),
            )
            for own in file.object.structures
        ]
    for why, names in refused.items():
        name = names[0] if len(names) == 1 else f"{len(names)} files"
        state = State(sign="✕", word=f"refused: {why}", tone=Tone.ALERT)
        told = Cell(text=state.text, tone=state.tone, tooltip=why)
        cells = (Cell(text=name, tooltip=", ".join(names[:20])), Cell(text="—"), told)
        rows.append(ImportRow(key=(-1, None), cells=cells))
    return tuple(rows)


def _cells(
    file: FilePreview,
    own: StructurePreview,
    meant: Meant | None,
    others: Sequence[Meant],
    snapshot: Snapshot,
    form: Form,
) -> tuple[Cell, ...]:
    place = Cell(text="") if file.object is None else _place_cell(file.object.place, file.object.place_words)
    if own.fault:
        becomes = Cell(text=f"✕ refused: {own.fault}", tone=Tone.ALERT, tooltip=own.fault)
    elif meant is None:
        becomes = Cell(text="– left out", tone=Tone.MUTED)
    elif fault := fault_of(form, meant):
        becomes = Cell(text=f"✕ {meant.name}: refused", tone=Tone.ALERT, tooltip=fault)
    elif meant.new:
        becomes = Cell(text=f"＋ {meant.name}, new {meant.role}", tone=Tone.ACTIVE)
    else:
        before = meant.name in snapshot.volume_sources
        becomes = Cell(text=f"✓ {meant.name}{', new version' if before else ''}", tone=Tone.GOOD)
    return (
        Cell(text=file.file.path.name, tooltip=f"{file.file.path}\n{file.file.kind}"),
        Cell(text=structure_words(file, own), bold=True),
        becomes,
        Cell(text=millilitres(own.volume_ml), tooltip="What its contours or its mask enclose, mL."),
        Cell(text=millilitres(own.on_reference_ml), tooltip="What of it lies on the reference series' grid, mL."),
        outside_cell(own.outside),
        _overlap_cell(own, meant, others, snapshot),
        place,
    )


def _place_cell(place: Place, place_words: str) -> Cell:
    words = {
        Place.REFERENCE: ("✓ the reference's", Tone.GOOD),
        Place.REGISTERED: ("▲ will be registered", Tone.CAUTION),
        Place.ASSUMED: ("▲ none stated", Tone.CAUTION),
        Place.UNKNOWN: ("? not known yet", Tone.CAUTION),
        Place.FOREIGN: ("✕ another", Tone.ALERT),
    }
    text, tone = words[place]
    return Cell(text=text, tone=tone, tooltip=place_words)


def _overlap_cell(own: StructurePreview, meant: Meant | None, others: Sequence[Meant], snapshot: Snapshot) -> Cell:
    """What a tumour shares with other tumours, and how much of it lies outside the liver."""
    if meant is None or own.on_reference_ml is None:
        return Cell(text="—")
    roles = planned_names(snapshot) | {one.name: one.role for one in others if one.new}
    shared = {name: ml for name, ml in own.overlaps_ml.items() if name != meant.name}
    for one in others:
        if one.file == meant.file and one.structure.number in own.within_ml:
            shared[one.name] = own.within_ml[one.structure.number]
    told, tone = [], Tone.NORMAL
    if roles.get(meant.name) == TUMOUR:
        liver = next((name for name, role in roles.items() if role == LIVER and name in shared), None)
        if liver is not None:
            outside = max(0.0, 1.0 - shared[liver] / max(own.on_reference_ml, 1e-6))
            if outside >= _OUTSIDE_SAID:
                told.append(f"{100 * outside:.0f} % outside {liver}")
                tone = Tone.CAUTION if outside > _OUTSIDE_WARNED else tone
        for name, ml in shared.items():
            if roles.get(name) == TUMOUR and ml > _OVERLAP_SAID_ML:
                told.append(f"{ml:.1f} mL with {name}")
                tone = Tone.CAUTION
    every = "\n".join(f"{ml:.1f} mL with {name}" for name, ml in shared.items() if ml > 0) or "with no other volume"
    sign = "▲ " if tone is Tone.CAUTION else ""
    return Cell(
        text=sign + ("; ".join(told) or "none"), tone=tone, tooltip=f"What it shares with other volumes:\n{every}"
    )


def remarks(files: Sequence[FilePreview]) -> tuple[State, ...]:
    """What a reader of these volumes must know, a sentence each."""
    found: list[State] = []
    for file in files:
        if file.object is None:
            continue
        name = file.file.path.name
        place = file.object.place
        if place is not Place.REFERENCE:
            tone = Tone.ALERT if place is Place.FOREIGN else Tone.CAUTION
            sign = "✕" if place is Place.FOREIGN else "▲"
            found.append(State(sign=sign, word=f"{name}: {file.object.place_words}.", tone=tone))
        if file.object.remark:
            found.append(State(sign="·", word=f"{name}: {file.object.remark}", tone=Tone.MUTED))
    return tuple(dict.fromkeys(found))
