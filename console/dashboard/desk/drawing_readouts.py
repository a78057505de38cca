"""What is told of a drawing: volume, what it overlaps and leaves, whether it can be saved, and which version it is."""

from __future__ import annotations

from console.dashboard.desk.drawing import DrawingState, DrawTool, role_of, save_form
from console.dashboard.desk.drawing_images import place_words
from console.dashboard.screen.formatting import decimal
from console.dashboard.screen.model import Cell, State, Tone
from console.drawn_volumes import drawn_volumes
from console.snapshot import Snapshot
from quantify.drawing import Patch
from quantify.drawing_canvas import Canvas
from quantify.drawing_regions import shared_ml, shares_on_reference
from quantify.model import Role

_LEAST_TOLD_ML = 0.05
"""Less than this of an overlap is the rounding of a border."""
_TOLERATED_OUTSIDE = 0.02
"""As `console.structures` tolerates of a volume."""


def shape_words(state: DrawingState, unit: str) -> str:
    """What is placed, as the file keeps it: ``sphere r 20 mm at L 34 P 12 H 5 mm``; empty while a field is refused."""
    if state.radius_mm is None or state.centre_mm is None:
        return ""
    where = f"r {state.radius_mm:g} mm at {place_words(state.centre_mm)}"
    if state.tool is not DrawTool.THRESHOLD:
        return f"sphere {where}"
    if state.level is None:
        return ""
    joined = ", joined to the centre" if state.joined else ""
    return f"threshold {sign_of(state)} {state.level:g} {unit} of {state.source.value} in sphere {where}{joined}"


def sign_of(state: DrawingState) -> str:
    """``≥`` or ``≤``."""
    return state.texts["side"][0]


def brush_words(state: DrawingState, plane: str) -> str:
    """``brush r 6 mm, axial``."""
    return f"{state.tool.value} r {state.radius_mm:g} mm, {plane}"


def ml_words(volume_ml: float) -> str:
    """``33.51 mL``, ``1 548 mL``."""
    return f"{decimal(volume_ml, 2 if volume_ml < 100 else 1 if volume_ml < 1000 else 0)} mL"


def readouts(canvas: Canvas, state: DrawingState, snapshot: Snapshot) -> tuple[Cell, ...]:
    """Volume, slices, part outside the reference, overlap and part outside the liver: a line each."""
    if canvas.count == 0:
        return (Cell(text="nothing drawn yet", tone=Tone.MUTED),)
    slices = canvas.drawn_slices(0)
    told = [Cell(text=f"{ml_words(canvas.volume_ml)} · {slices} slice{'s' * (slices != 1)}", bold=True)]
    told.append(_outside_cell(canvas))
    return (*told, *_shared_cells(canvas, state, snapshot))


def _outside_cell(canvas: Canvas) -> Cell:
    left_out = canvas.left_out_ml
    if left_out < _LEAST_TOLD_ML:
        return Cell(text="✓ all inside the reference series", tone=Tone.GOOD)
    return Cell(
        text=f"▲ {ml_words(left_out)} of the shapes outside the reference series: not drawn",
        tone=Tone.CAUTION,
        tooltip="What the reference does not show has no dose, and cannot be drawn.",
    )


def _shared_cells(canvas: Canvas, state: DrawingState, snapshot: Snapshot) -> list[Cell]:
    others = [own for own in drawn_volumes(snapshot) if own.name != state.name]
    others = [own for own in others if own.grid.same_as(canvas.lattice.reference)]
    box, shares = shares_on_reference(canvas.mask, canvas.lattice, canvas.box)
    shared = {own.name: shared_ml(box, shares, canvas.lattice, own.occupancy) for own in others}
    tumours = [own for own in others if own.role is Role.TUMOUR]
    if state.role is Role.LIVER:
        beyond = [
            f"{own.name} {100 * (1 - shared[own.name] / own.volume_ml):.0f} %"
            for own in tumours
            if own.volume_ml > 0 and shared[own.name] < (1 - _TOLERATED_OUTSIDE) * own.volume_ml
        ]
        if beyond:
            return [Cell(text=f"▲ outside this liver: {', '.join(beyond)}", tone=Tone.CAUTION)]
        return [Cell(text="✓ every tumour inside this liver" if tumours else "○ no tumour yet", tone=Tone.MUTED)]
    over = [f"{own.name} {ml_words(shared[own.name])}" for own in tumours if shared[own.name] >= _LEAST_TOLD_ML]
    told = [
        Cell(text=f"▲ overlaps {', '.join(over)}", tone=Tone.CAUTION)
        if over
        else Cell(text="✓ no overlap with another tumour", tone=Tone.GOOD)
    ]
    liver = next((own for own in others if own.role is Role.LIVER), None)
    if liver is None:
        return [*told, Cell(text="○ no liver to compare with", tone=Tone.MUTED)]
    outside = max(0.0, canvas.volume_ml - shared[liver.name])
    if outside < max(_LEAST_TOLD_ML, _TOLERATED_OUTSIDE * canvas.volume_ml):
        return [*told, Cell(text=f"✓ inside {liver.name}", tone=Tone.GOOD)]
    share = 100 * outside / canvas.volume_ml
    return [*told, Cell(text=f"▲ {share:.0f} % ({ml_words(outside)}) outside {liver.name}", tone=Tone.CAUTION)]


def unsaved(canvas: Canvas | None, state: DrawingState) -> bool:
    """Whether something is drawn that is in no version yet."""
    return canvas is not None and canvas.count > 0 and canvas.mark != state.clean_mark


def save_fault(canvas: Canvas | None, state: DrawingState, snapshot: Snapshot, *, earlier: bool) -> str:
    """Why the drawing cannot be saved now, as a sentence; empty where it can."""
    if canvas is None or canvas.count == 0:
        return "Nothing is drawn yet."
    if earlier:
        return "Drawn on an earlier reference: no result would use it. Assign that reference again, or begin anew."
    if not snapshot.loaded.get("plan"):
        return "No plan is loaded: begin the treatment first (Setup)."
    if not save_form(state, snapshot).ready:
        return "The name is refused, or missing."
    if not unsaved(canvas, state) and state.name in snapshot.volume_sources:
        return "Nothing was changed since the last version."
    return ""


def save_cell(fault: str, state: DrawingState, snapshot: Snapshot) -> Cell:
    """Why it cannot be saved; or that the plan will name a volume more."""
    if fault:
        return Cell(text=fault, tone=Tone.MUTED)
    if role_of(state.name, snapshot) is None:
        words = f"+ {state.name} is new: the plan will name it as {state.texts['role']}"
        positions = (snapshot.loaded["plan"].get("positions") or {}).values()
        if state.role is Role.TUMOUR and any(position.get("volumes") for position in positions):
            return Cell(text=f"▲ {words}; no position feeds it yet: see Setup", tone=Tone.CAUTION)
        return Cell(text=words, tone=Tone.ACTIVE)
    return Cell(text="")


def next_version(name: str, snapshot: Snapshot) -> int:
    """The number that the next version of a volume will have."""
    came = sum(name in (own.strip() for own in given.structures.names) for given in snapshot.structures)
    source = snapshot.volume_sources.get(name)
    return 1 + max(came, source.version if source is not None else 0)


def earlier_cell() -> Cell:
    """That the drawing lies on a reference that is not the present one."""
    return Cell(text="▲ lies in the frame of an earlier reference", tone=Tone.CAUTION)


def saved_state(state: DrawingState, snapshot: Snapshot) -> State:
    """Whether the last version has arrived: its number and hash, as the snapshot has them."""
    saved = state.saved
    if saved is None:
        return State(sign="", word="")
    source = snapshot.volume_sources.get(saved.name)
    if source is not None and source.sha256 == saved.sha256 and source.version > saved.version_before:
        word = f"Saved: {saved.name} version {source.version}, SHA-256 {source.sha256[:8]}"
        return State(sign="✓", word=word, tone=Tone.GOOD)
    return State(sign="…", word=f"{saved.name} is recorded, and being read", tone=Tone.ACTIVE)


def previewed(shape: Patch | None, canvas: Canvas | None, state: DrawingState) -> Cell:
    """What would be placed, in mL."""
    if shape is None or canvas is None:
        return Cell(text="")
    volume = ml_words(shape.count * canvas.lattice.grid.voxel_volume_ml)
    if state.tool is DrawTool.THRESHOLD:
        words = f"{sign_of(state)} {state.level:g} in the sphere: {volume}"
        if shape.count:
            return Cell(text=f"○ {words}", tone=Tone.ACTIVE)
        return Cell(text=f"▲ {words}{', the centre does not reach it' * state.joined}", tone=Tone.CAUTION)
    return Cell(text=f"○ sphere of {state.radius_mm:g} mm: {volume}", tone=Tone.ACTIVE)
