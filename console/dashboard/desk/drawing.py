"""Drawing a volume: what was typed and chosen, what is refused of it, and what is told of the drawing. No Qt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum

from console.dashboard.desk.drawing_images import Source, SourceImage, source_image, sources, voxel_of
from console.dashboard.desk.form import Entry, Field, Form, Verdict, checked, number, number_check
from console.dashboard.screen.images import chosen_voxel
from console.dashboard.screen.view import ViewState, reference_grid
from console.drawn_volumes import known_names
from console.snapshot import Snapshot
from quantify.model import Grid, Role
from quantify.volumes import HEALTHY_LIVER

RADIUS_MM = (1.0, 150.0)
_LONGEST_NAME = 64
TUMOUR, LIVER = "tumour", "liver"
AT_LEAST, AT_MOST = "≥ at least", "≤ at most"
TICKED = "yes"


class DrawTool(StrEnum):
    """What the mouse does in an image."""

    SPHERE = "sphere"
    BRUSH = "brush"
    ERASER = "eraser"
    THRESHOLD = "threshold"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What was recorded last, as long as the next snapshot has not told its version."""

    name: str
    sha256: str
    version_before: int


@dataclass(frozen=True, kw_only=True)
class DrawingState:
    """What was chosen and typed. ``centre_mm`` (LPS) is crosshair and centre of the sphere; None before an image."""

    tool: DrawTool = DrawTool.SPHERE
    centre_mm: tuple[float, float, float] | None = None
    texts: Mapping[str, str] = field(
        default_factory=lambda: {
            "radius": "20",
            "source": Source.ANATOMY,
            "side": AT_LEAST,
            "level": "",
            "joined": TICKED,
            "role": TUMOUR,
            "name": "",
        }
    )
    grey_window: tuple[float, float] | None = None
    """(level, width) of the anatomy; None: from the image."""
    saved: Saved | None = None
    clean_mark: int = 0
    """Of the canvas, when all of it was in a version."""

    def typed(self, key: str, text: str) -> DrawingState:
        """With another text in one field; another image makes the level meaningless, and it is empty then."""
        texts = {**self.texts, key: text}
        if key == "source" and text != self.texts["source"]:
            texts["level"] = ""
        return replace(self, texts=texts)

    @property
    def source(self) -> Source:
        """The image that is drawn on."""
        return Source(self.texts["source"])

    @property
    def role(self) -> Role:
        """What the volume is to be."""
        return Role.LIVER if self.texts["role"] == LIVER else Role.TUMOUR

    @property
    def name(self) -> str:
        """The name as typed, without the spaces around it."""
        return self.texts["name"].strip()

    @property
    def radius_mm(self) -> float | None:
        """Of sphere or brush; None while what is typed is refused."""
        return _number(self.texts["radius"], *RADIUS_MM)

    @property
    def level(self) -> float | None:
        """Of the threshold, in the image's unit; None while what is typed is refused."""
        return _number(self.texts["level"], None, None)

    @property
    def joined(self) -> bool:
        """Whether only what hangs together with the centre is taken."""
        return self.texts["joined"] == TICKED


def begun(snapshot: Snapshot, state: DrawingState) -> DrawingState:
    """The state with a crosshair, and an image that there is."""
    grid = reference_grid(snapshot)
    if grid is None:
        return state
    if state.centre_mm is None:
        state = at_voxel(state, grid, chosen_voxel(snapshot, ViewState()))
    there = sources(snapshot)
    return state if state.source in there or not there else state.typed("source", there[0])


def at_voxel(state: DrawingState, grid: Grid, voxel: tuple[int, int, int]) -> DrawingState:
    """The crosshair at the centre of a voxel."""
    x, y, z = (grid.affine_lps_mm[:3] @ [*voxel, 1.0]).tolist()
    return replace(state, centre_mm=(x, y, z))


def voxel_at_centre(state: DrawingState, grid: Grid) -> tuple[int, int, int]:
    """The voxel that the planes cut through."""
    return voxel_of(grid, state.centre_mm) if state.centre_mm is not None else (0, 0, 0)


def _number(text: str, low: float | None, high: float | None) -> float | None:
    try:
        return number(text, low=low, high=high)
    except ValueError:
        return None


# -- forms -----------------------------------------------------------------------------------------------------------


def tool_form(state: DrawingState, snapshot: Snapshot) -> Form:
    """Image, radius and level, with what is wrong with them."""
    image = source_image(snapshot, state.source)
    unit = image.unit if image is not None else ""
    by_level = state.tool is DrawTool.THRESHOLD
    disc = state.tool in (DrawTool.BRUSH, DrawTool.ERASER)
    fields = (
        Field(
            key="source",
            label="Image",
            entry=Entry.CHOICE,
            choices=tuple(sources(snapshot)),
            tooltip="What is drawn on: the anatomy, or the map of the latest imaged fraction over it.",
        ),
        Field(
            key="radius",
            label="Radius",
            unit="mm",
            hint="20",
            required=True,
            tooltip=f"Of the {'disc, one slice of the reference thick' if disc else 'sphere'}. Keys + and −.",
        ),
        Field(
            key="side",
            label="Level",
            entry=Entry.CHOICE,
            choices=(AT_LEAST, AT_MOST),
            enabled=by_level,
            tooltip="Which voxels of the sphere are taken.",
        ),
        Field(
            key="level",
            label="of",
            unit=unit,
            required=by_level,
            enabled=by_level,
            tooltip="In the unit of the image, interpolated linearly. Voxels that are not evaluable are not taken.",
        ),
        Field(
            key="joined",
            label="Only joined",
            entry=Entry.TICK,
            enabled=by_level,
            tooltip="Take only what hangs together with the centre of the sphere.",
        ),
    )
    form = Form(fields=fields, texts=state.texts)
    checks = {"radius": number_check(unit="mm", low=RADIUS_MM[0], high=RADIUS_MM[1])}
    if by_level:
        checks["level"] = number_check(unit=unit)
    form = checked(form, checks)
    verdicts = {**form.verdicts}
    if by_level and not verdicts["level"].fault and image is not None:
        verdicts["level"] = Verdict(warning=_odd_level(state, image))
    return replace(form, verdicts=verdicts)


def _odd_level(state: DrawingState, image: SourceImage) -> str:
    level = state.level
    if level is not None and (level > image.highest or level < 0):
        return f"outside what the image holds, 0 to {image.highest:.3g} {image.unit}"
    return ""


def save_form(state: DrawingState, snapshot: Snapshot) -> Form:
    """Name and role of the volume, with what is wrong with them."""
    fields = (
        Field(key="role", label="Is", entry=Entry.CHOICE, choices=(TUMOUR, LIVER), tooltip="Its role in the plan."),
        Field(key="name", label="Name", hint="Tumour 2", required=True, tooltip="As it is to stand in the results."),
    )
    form = checked(Form(fields=fields, texts=state.texts), {"name": lambda _: name_fault(state, snapshot)})
    if form.verdicts["name"].fault:
        return form
    return replace(form, verdicts={**form.verdicts, "name": Verdict(warning=_name_warning(state.name, snapshot))})


def name_fault(state: DrawingState, snapshot: Snapshot) -> str:
    """Why a volume cannot have this name with this role; empty where it can."""
    name = state.name
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        return f"expected 1 to {_LONGEST_NAME} characters on one line"
    if name.casefold().startswith(HEALTHY_LIVER.casefold()):
        return f"{HEALTHY_LIVER} is kept for the liver less its tumours; expected another name"
    liver, tumours, territories = _of_plan(snapshot)
    if name in territories:
        return "is a territory of the plan; expected another name"
    if state.role is Role.LIVER:
        if name in tumours:
            return "is a tumour of the plan; expected the liver's name"
        return f"the liver of the plan is called {liver}; expected that name" if liver and name != liver else ""
    return "is the liver of the plan; expected a tumour's name" if name == liver else ""


def _name_warning(name: str, snapshot: Snapshot) -> str:
    known = known_names(snapshot)
    near = near_miss(name, (*known, *(own for own in _plan_names(snapshot) if own not in known)))
    return f"did you mean {near}?" if near else ""


def near_miss(name: str, known: tuple[str, ...]) -> str:
    """A known name that this one may be a slip of the pen for; empty where it is known itself, or none is near."""
    if name in known:
        return ""
    plain = {_plain(other): other for other in known}
    wanted = _plain(name)
    # Numbers tell tumours apart: 'Tumour 2' is not a slip of the pen for 'Tumour 1'.
    alike = [other for other in plain if re.findall(r"\d+", other) == re.findall(r"\d+", wanted)]
    near = get_close_matches(wanted, alike, n=1, cutoff=0.8)
    return plain[near[0]] if near else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _of_plan(snapshot: Snapshot) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Liver, tumours and territories that the plan names."""
    plan = snapshot.loaded.get("plan") or {}
    structures = plan.get("structures") or {}
    territories = (own.get("territory") for own in (plan.get("positions") or {}).values())
    return (
        str(structures.get("liver") or ""),
        tuple(structures.get("tumours") or ()),
        tuple(str(name) for name in territories if name),
    )


def _plan_names(snapshot: Snapshot) -> tuple[str, ...]:
    liver, tumours, territories = _of_plan(snapshot)
    return tuple(name for name in (liver, *tumours, *territories) if name)


def role_of(name: str, snapshot: Snapshot) -> str | None:
    """The role that a volume has in the plan, as the field has it; None where the plan does not name it."""
    liver, tumours, _ = _of_plan(snapshot)
    return LIVER if name == liver else TUMOUR if name in tumours else None
