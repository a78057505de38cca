"""A drawing while it is made: what a press, a key or a button does to it. No Qt; nothing is recorded from here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from config.settings import DisplaySettings
from console.dashboard.desk.drawing import (
    AT_LEAST,
    LIVER,
    RADIUS_MM,
    TUMOUR,
    DrawingState,
    DrawTool,
    Saved,
    begun,
    role_of,
    voxel_at_centre,
)
from console.dashboard.desk.drawing_images import (
    SourceImage,
    drawing_legend,
    drawing_planes,
    drawn_lines,
    from_plane,
    on_plane_mm,
    patch_lines,
    place_of,
    source_image,
)
from console.dashboard.desk.drawing_readouts import brush_words, shape_words, unsaved
from console.dashboard.screen.model import DoseLegend, Lines, PlaneScreen
from console.dashboard.screen.planes import PlaneGeometry, plane_geometries
from console.dashboard.screen.view import reference_grid
from console.drawn_volumes import drawn_volumes, given_volume, object_sha256, volume_on_lattice
from console.operations import GiveVolumes
from console.snapshot import Snapshot
from quantify.drawing import Patch, brush, drawing_lattice, left_out_ml, sphere
from quantify.drawing_canvas import Canvas, Mode
from quantify.drawing_fill import SampledSphere, enclosed, interpolated, sampled_in_sphere, threshold
from quantify.model import Grid, Role

_DRAGGED_MM = 2.0
"""A press that moves less is a click."""
_NARROWEST = 1e-3
Place = tuple[float, float, float]


class DrawingBoard:
    """What is drawn, on which images, with what; the dialog shows it and tells it what was pressed.

    Attributes
    ----------
    base
        The snapshot whose images are drawn on. It stays the earlier one where the reference has become another while
        something was drawn: what is drawn is never wiped, nor moved, by what arrives.
    earlier
        Whether it is such an earlier one.
    """

    def __init__(self) -> None:
        self.state = DrawingState()
        self.base = Snapshot()
        self.canvas: Canvas | None = None
        self.earlier = False
        self._pressed: Place | None = None
        self._last: Place | None = None
        self._sampled: tuple[object, SampledSphere] | None = None
        self._preview: tuple[object, Patch | None] = (None, None)

    def know(self, snapshot: Snapshot) -> None:
        """Take over what is known now: its images where they lie on the same grid, or nothing is drawn."""
        grid = reference_grid(snapshot)
        if grid is None:
            self.earlier = self.canvas is not None
            return
        if self.canvas is not None and self.canvas.lattice.reference.same_as(grid):
            self.base, self.earlier = snapshot, False
        elif self.canvas is None or not (self.canvas.can_undo or self.canvas.can_redo):
            self.begin_anew(snapshot)
        else:
            self.earlier = True
        self.state = begun(self.base, self.state)

    def begin_anew(self, snapshot: Snapshot) -> None:
        """Draw on the images of a snapshot; what was drawn before is gone."""
        grid = reference_grid(snapshot)
        if grid is None:
            return
        if self.canvas is not None:
            # The next drawing is not a version of the one before, unless somebody says so.
            self.state = self.state.typed("name", "").typed("role", TUMOUR)
        self.base, self.earlier = snapshot, False
        self.canvas = Canvas(drawing_lattice(grid))
        self.state = begun(snapshot, replace(self.state, centre_mm=None, clean_mark=0, saved=None))

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def grid(self) -> Grid | None:
        """The reference that is drawn on."""
        return None if self.canvas is None else self.canvas.lattice.reference

    @property
    def planes(self) -> tuple[PlaneGeometry, ...]:
        """Axial, coronal and sagittal; none before an image."""
        return () if self.grid is None else plane_geometries(self.grid)

    @property
    def image(self) -> SourceImage | None:
        """The image that a threshold is a level of."""
        return source_image(self.base, self.state.source)

    @property
    def unsaved(self) -> bool:
        """Whether something is drawn that is in no version."""
        return unsaved(self.canvas, self.state)

    def cuts(self, display: DisplaySettings) -> tuple[tuple[PlaneScreen, ...], DoseLegend]:
        """The cuts through the crosshair, and their colours."""
        legend = drawing_legend(self.state.source, display)
        if self.grid is None:
            return (), legend
        voxel = voxel_at_centre(self.state, self.grid)
        state = self.state
        cuts = drawing_planes(self.base, state.source, voxel, state.grey_window, legend, earlier=self.earlier)
        return cuts, legend

    def crosshair_mm(self, plane: PlaneGeometry) -> tuple[float, float]:
        """Where the crosshair lies on a plane."""
        if self.grid is None or self.state.centre_mm is None:
            return 0.0, 0.0
        return on_plane_mm(self.grid, plane, self.state.centre_mm)

    def lines(self, plane: PlaneGeometry) -> tuple[Lines, Lines | None]:
        """The borders on a plane of what is drawn, and of what would be."""
        canvas, grid = self.canvas, self.grid
        if canvas is None or grid is None:
            raise ValueError("There is no image to draw on; wait for the reference series.")
        voxel = voxel_at_centre(self.state, grid)
        drawn = drawn_lines(canvas.mask, canvas.lattice, plane, voxel)
        shape = self.shape() if self.state.tool is DrawTool.THRESHOLD else None
        return drawn, None if shape is None else patch_lines(shape, canvas.lattice, plane, voxel)

    def shape(self) -> Patch | None:
        """What would be placed: the sphere, or what the threshold takes in it; None while a field is refused."""
        state, canvas = self.state, self.canvas
        if canvas is None or state.centre_mm is None or state.radius_mm is None:
            return None
        if state.tool is DrawTool.SPHERE:
            key: object = (canvas, state.centre_mm, state.radius_mm)
            if self._preview[0] != key:
                self._preview = key, sphere(canvas.lattice, state.centre_mm, state.radius_mm)
            return self._preview[1]
        if state.tool is not DrawTool.THRESHOLD or state.level is None:
            return None
        sampled = self._values_in_sphere(canvas, state.centre_mm, state.radius_mm)
        if sampled is None:
            return None
        at_least = state.texts["side"] == AT_LEAST
        key = (sampled, state.level, at_least, state.joined)
        if self._preview[0] != key:
            level = {"at_least" if at_least else "at_most": state.level}
            self._preview = key, threshold(sampled, **level, connected=state.joined)
        return self._preview[1]

    def _values_in_sphere(self, canvas: Canvas, centre_mm: Place, radius_mm: float) -> SampledSphere | None:
        """Sampled once for a sphere: while the level is dragged only the comparison is made anew."""
        image = self.image
        if image is None:
            return None
        key = (image, canvas, centre_mm, radius_mm)
        if self._sampled is None or self._sampled[0] != key:
            self._sampled = key, sampled_in_sphere(image.values, image.grid, canvas.lattice, centre_mm, radius_mm)
        return self._sampled[1]

    # -- the mouse ---------------------------------------------------------------------------------------------------

    def press(self, plane: PlaneGeometry, x_mm: float, y_mm: float) -> None:
        """Put the centre there, or begin a stroke."""
        place = self._at(plane, x_mm, y_mm)
        if place is None or self.canvas is None:
            return
        self._pressed = self._last = place
        if self.state.tool not in (DrawTool.BRUSH, DrawTool.ERASER):
            self.state = replace(self.state, centre_mm=place)
        elif self.state.radius_mm is not None:
            self.canvas.begin(brush_words(self.state, plane.name))
            self._sweep(plane, (place,))

    def drag(self, plane: PlaneGeometry, x_mm: float, y_mm: float) -> None:
        """Give the sphere its radius, or go on with the stroke."""
        place = self._at(plane, x_mm, y_mm)
        if place is None or self._pressed is None or self._last is None:
            return
        if self.state.tool in (DrawTool.BRUSH, DrawTool.ERASER):
            self._sweep(plane, (self._last, place))
            self._last = place
            return
        distance = float(np.linalg.norm(np.subtract(place, self._pressed)))
        if distance >= _DRAGGED_MM:
            self.state = self.state.typed("radius", f"{min(distance, RADIUS_MM[1]):.0f}")

    def release(self) -> None:
        """End the stroke; the crosshair is where it ended."""
        if self._last is not None and self.canvas is not None and self.state.tool in (DrawTool.BRUSH, DrawTool.ERASER):
            self.canvas.end()
            self.state = replace(self.state, centre_mm=self._last)
        self._pressed = self._last = None

    def _sweep(self, plane: PlaneGeometry, path: tuple[Place, ...]) -> None:
        if self.canvas is None or self.state.radius_mm is None:
            return
        patch = brush(self.canvas.lattice, plane.normal_axis, np.array(path), self.state.radius_mm)
        self.canvas.apply(patch, Mode.REMOVE if self.state.tool is DrawTool.ERASER else Mode.ADD)

    def _at(self, plane: PlaneGeometry, x_mm: float, y_mm: float) -> Place | None:
        if self.grid is None:
            return None
        return from_plane(self.grid, plane, x_mm, y_mm, voxel_at_centre(self.state, self.grid))

    def step(self, plane: PlaneGeometry, steps: int) -> None:
        """Go to a neighbouring cut; +1 towards the patient's left, back or head."""
        self._shift(plane.normal_axis, steps * plane.towards)

    def move(self, plane: PlaneGeometry, right: int, down: int) -> None:
        """Move the crosshair on the display, by voxels of the reference."""
        self._shift(plane.right_axis, -right if plane.right_flipped else right)
        self._shift(plane.down_axis, -down if plane.down_flipped else down)

    def _shift(self, axis: int, by: int) -> None:
        if self.grid is not None and by and self.state.centre_mm is not None:
            index = (self.grid.index_from_lps[:3] @ [*self.state.centre_mm, 1.0]).tolist()
            index[axis] = min(max(round(index[axis]) + by, 0), self.grid.shape[axis] - 1)
            self.state = replace(self.state, centre_mm=place_of(self.grid, (index[0], index[1], index[2])))

    def widen(self, by_mm: int) -> None:
        """Make the radius larger or smaller by whole millimetres."""
        if self.state.radius_mm is not None:
            radius = min(max(self.state.radius_mm + by_mm, RADIUS_MM[0]), RADIUS_MM[1])
            self.state = self.state.typed("radius", f"{radius:g}")

    def window(self, right: float, down: float, levels: tuple[float, float]) -> None:
        """Change grey width and level by shares of what they are; `levels` are the lowest and highest grey now."""
        low, high = levels
        width = high - low
        level = (low + high) / 2 + down * width
        self.state = replace(self.state, grey_window=(level, max(width * (1.0 + 2.0 * right), _NARROWEST)))

    # -- strokes -----------------------------------------------------------------------------------------------------

    def place(self, plane: PlaneGeometry, *, remove: bool = False) -> str:
        """Draw what the tool holds at the crosshair: sphere, threshold or disc. Returns "" or why nothing was drawn."""
        state, canvas = self.state, self.canvas
        if canvas is None or state.centre_mm is None:
            return "There is no image to draw on yet."
        if state.tool in (DrawTool.BRUSH, DrawTool.ERASER):
            x_mm, y_mm = self.crosshair_mm(plane)
            self.press(plane, x_mm, y_mm)
            self.release()
            return ""
        shape = self.shape()
        words = shape_words(state, self.image.unit if self.image is not None else "")
        if shape is None or not words:
            return "A field is refused, or empty: nothing was drawn."
        if not shape.count:
            joined = state.tool is DrawTool.THRESHOLD and state.joined
            why = "The centre itself does not lie at that level" if joined else "No voxel lies in it"
            return f"{why}: nothing was drawn."
        if remove:
            changed = canvas.apply(shape, Mode.REMOVE, f"less {words}")
        else:
            changed = canvas.apply(shape, Mode.ADD, words, left_out_ml=left_out_ml(shape, canvas.lattice))
        return "" if changed else "It changes nothing of what is drawn."

    def interpolate(self, plane: PlaneGeometry) -> str:
        """Fill the slices between drawn ones, along a plane's normal. Returns "" or why nothing was drawn."""
        if self.canvas is None or not self.canvas.count:
            return "Nothing is drawn yet: draw two slices."
        patch = interpolated(self.canvas.mask, self.canvas.lattice, plane.normal_axis)
        changed = self.canvas.apply(patch, Mode.ADD, f"interpolated between {plane.name} slices")
        return "" if changed else f"No {plane.name} slice is empty between two drawn ones."

    def enclose(self, plane: PlaneGeometry) -> str:
        """Fill what is enclosed in every cut. Returns "" or why nothing was drawn."""
        if self.canvas is None or not self.canvas.count:
            return "Nothing is drawn yet: draw an outline."
        changed = self.canvas.apply(enclosed(self.canvas.mask, plane.normal_axis), Mode.ADD, f"filled, {plane.name}")
        return "" if changed else f"No {plane.name} cut encloses anything."

    def clear(self) -> str:
        """Wipe what is drawn; that too can be undone."""
        if self.canvas is not None:
            nothing = Patch(box=(slice(0, 0),) * 3, inside=np.zeros((0, 0, 0), dtype=bool))
            self.canvas.apply(nothing, Mode.REPLACE)
        return ""

    def back(self) -> str:
        """Take the last stroke back. Returns "" or why not."""
        return "" if self.canvas is not None and self.canvas.undo() else "There is no stroke to take back."

    def forth(self) -> str:
        """Do the stroke again that was taken back last. Returns "" or why not."""
        return "" if self.canvas is not None and self.canvas.redo() else "No stroke was taken back."

    def combine(self, name: str, mode: Mode) -> str:
        """Draw on from another volume, add it, take it away, or keep what lies inside. Returns "" or why not.

        What is drawn on from (`Mode.REPLACE`) gives the drawing its name and role.
        """
        canvas = self.canvas
        if canvas is None or not name:
            return "Choose another volume first."
        try:
            patch, title = volume_on_lattice(self.base, name, canvas.lattice)
        except ValueError as error:
            return str(error)
        clean = not self.unsaved
        words = {Mode.REPLACE: title, Mode.ADD: f"and {title}", Mode.REMOVE: f"less {title}"}.get(mode, f"in {title}")
        left_out = left_out_ml(patch, canvas.lattice) if mode in (Mode.REPLACE, Mode.ADD) else 0.0
        changed = canvas.apply(patch, mode, words, left_out_ml=left_out)
        if mode is Mode.REPLACE:
            self._name_like(name)
            if clean and changed:
                self.state = replace(self.state, clean_mark=canvas.mark)
        return "" if changed else "It changes nothing of what is drawn."

    def _name_like(self, name: str) -> None:
        liver = any(own.name == name and own.role is Role.LIVER for own in drawn_volumes(self.base))
        role = role_of(name, self.base) or (LIVER if liver else TUMOUR)
        self.state = self.state.typed("name", name).typed("role", role)

    # -- saving ------------------------------------------------------------------------------------------------------

    def operation(self) -> GiveVolumes:
        """What records the drawing.

        Raises
        ------
        ValueError
            If nothing is drawn.
        """
        if self.canvas is None:
            raise ValueError("There is no image to draw on yet.")
        return given_volume(self.canvas, name=self.state.name, role=self.state.role, snapshot=self.base)

    def recorded(self, operation: GiveVolumes) -> None:
        """Know that it was recorded; the next snapshot tells its version."""
        source = self.base.volume_sources.get(self.state.name)
        saved = Saved(
            name=self.state.name,
            sha256=object_sha256(operation),
            version_before=source.version if source is not None else 0,
        )
        mark = self.canvas.mark if self.canvas is not None else 0
        self.state = replace(self.state, saved=saved, clean_mark=mark)
