"""A registration set by hand: three cuts with the series over the reference, live, and the six numbers beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from console.dashboard.desk.registration_cuts import (
    LAID_TOOLTIPS,
    LAID_WORDS,
    Laid,
    Stage,
    caption_of,
    centre_in,
    cut_frame,
    cut_pixels,
    dragged,
    stage_of,
    turned,
)
from console.dashboard.desk.registration_view import (
    AS_ACQUIRED,
    Candidate,
    DraftScreen,
    Pose,
    candidates,
    draft_screen,
    in_force,
    in_force_words,
    pose_of,
    pose_words,
    taken_back,
    worth_looking_at,
)
from console.dashboard.dialogs.registration_controls import Ask, RegistrationControls
from console.dashboard.dialogs.registration_cut import RegistrationCut
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.screen.model import State
from console.dashboard.screen.planes import PLANE_NAMES
from console.snapshot import ImagedSeries
from quantify.model import FloatArray

_FLICKER_MS = 500
_SAME = 1e-6
_NOTHING = "Nothing can be registered yet: a fraction's series has to be here and fitted first."


@dataclass(frozen=True, kw_only=True)
class _View:
    """How the cuts are looked at."""

    laid: Laid = Laid.MIX
    mix: float = 0.5
    series_now: bool = True
    voxel: tuple[int, int, int] = (0, 0, 0)


class RegistrationDialog(ToolDialog):
    """What is set here is a draft until it is recorded; then it counts, by the operator's name, until taken back."""

    def __init__(self, parent: QWidget, services: Services) -> None:
        super().__init__(parent, services, "Registration by hand")
        self._key = ""
        self._draft: Pose | None = None
        """What is set; None: as it is in force."""
        self._found: dict[str, tuple[str, FloatArray]] = {}
        """The transform that was found, by series, and the settings it was found with: a given one takes its place."""
        self._staged: tuple[tuple[object, ...], Stage | None] = ((), None)
        self._view = _View()
        self._said_after = -1
        self._flicker = QTimer(self)
        self._flicker.setInterval(_FLICKER_MS)
        self._flicker.timeout.connect(self._flip)
        self.cuts = tuple(RegistrationCut(name) for name in PLANE_NAMES)
        for number, cut in enumerate(self.cuts):
            cut.shifted.connect(partial(self._drag, number))
            cut.turned.connect(partial(self._turn, number))
            cut.stepped.connect(partial(self._step, number))
            cut.pointed.connect(partial(self._point, number))
        QShortcut(QKeySequence("R"), self).activated.connect(self._toggle_flicker)
        self.nothing = plain(_NOTHING)
        self.nothing.setObjectName("message")
        self.nothing.setWordWrap(True)
        self.work = QWidget()
        columns = QHBoxLayout(self.work)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.addLayout(self._images(), 62)
        self.controls = RegistrationControls()
        self.controls.chosen.connect(self._choose)
        self.controls.asked.connect(self._ask)
        self.controls.typed.connect(self._type)
        columns.addWidget(self.controls, 38)
        self.body.addWidget(self.nothing)
        self.body.addWidget(self.work, 1)

    # -- layout --------------------------------------------------------------------------------------------------------

    def _images(self) -> QVBoxLayout:
        self.modes = {laid: touch_button(LAID_WORDS[laid]) for laid in Laid}
        row = QHBoxLayout()
        row.setSpacing(4)
        for laid, button in self.modes.items():
            button.setCheckable(True)
            button.setAutoDefault(False)
            button.setToolTip(LAID_TOOLTIPS[laid])
            button.clicked.connect(partial(self._lay, laid))
            row.addWidget(button)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setValue(50)
        self.slider.setAccessibleName("Share of the series in the mix, per cent")
        self.slider.setToolTip("Left: the reference alone. Right: the series alone.")
        self.slider.valueChanged.connect(self._mix)
        row.addWidget(plain("reference"))
        row.addWidget(self.slider, 1)
        row.addWidget(plain("series"))
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.cuts[0], 0, 0, 2, 1)
        grid.addWidget(self.cuts[1], 0, 1)
        grid.addWidget(self.cuts[2], 1, 1)
        grid.setColumnStretch(0, 58)
        grid.setColumnStretch(1, 42)
        rows = QVBoxLayout()
        rows.addLayout(row)
        rows.addLayout(grid, 1)
        keys = "Drag or arrows: move · Ctrl+drag or Ctrl+←→: turn · Shift: ×10 · wheel: slice · right button: crosshair"
        help_line = plain(keys)
        help_line.setObjectName("status")
        help_line.setWordWrap(True)
        rows.addWidget(help_line)
        return rows

    # -- drawing -------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show the series that can be registered, what is in force, and what is set."""
        of = candidates(self.snapshot)
        self._remember_found(of)
        if self._key not in {c.series_key for c in of}:
            self._key, self._draft = worth_looking_at(of), None
        candidate = next((c for c in of if c.series_key == self._key), None)
        stage = None if candidate is None else self._stage(candidate.imaged)
        self.nothing.setVisible(stage is None)
        self.work.setVisible(stage is not None)
        if candidate is None or stage is None:
            self._flicker.stop()
            return
        now = in_force(self.snapshot, candidate)
        if self._draft is not None and abs(self._draft.matrix(stage.centre_mm) - now.matrix).max() < _SAME:
            self._draft = None
        pose = self._pose(stage, now.matrix)
        matrix = now.matrix if self._draft is None else pose.matrix(stage.centre_mm)
        self.controls.draw_list(of, self._key)
        self.controls.draw_in_force(*in_force_words(self.snapshot, candidate))
        self.controls.fields.draw(pose)
        back = taken_back(self.snapshot, candidate) is not None
        possible = {Ask.FOUND: self._key in self._found, Ask.FORCE: self._draft is not None, Ask.TAKE_BACK: back}
        self.controls.draw_draft(self._judged(candidate, stage, matrix), possible, busy=self._busy)
        self._draw_cuts(stage, matrix, pose)

    def _judged(self, candidate: Candidate, stage: Stage, matrix: FloatArray) -> DraftScreen:
        covered, name = stage.covered(matrix), self.services.operator()
        return draft_screen(self.snapshot, candidate, matrix, stage.centre_mm, covered, name=name)

    @property
    def _busy(self) -> bool:
        """Whether what was recorded is not in the snapshot yet."""
        return self._said_after == self.snapshot.head_seq

    def _draw_cuts(self, stage: Stage, matrix: FloatArray, pose: Pose) -> None:
        view = self._view
        for laid, button in self.modes.items():
            button.setChecked(laid is view.laid)
        self.slider.setEnabled(view.laid is Laid.MIX)
        if view.laid is Laid.FLICKER and not self._flicker.isActive() and self.isVisible():
            self._flicker.start()
        elif view.laid is not Laid.FLICKER:
            self._flicker.stop()
        caption = caption_of(stage, view.laid, series_now=view.series_now)
        words = pose_words(pose)
        for number, cut in enumerate(self.cuts):
            geometry = stage.geometries[number]
            index = view.voxel[geometry.normal_axis]
            pixels = cut_pixels(stage, number, index, matrix, view.laid, mix=view.mix, series_now=view.series_now)
            cross, centre = geometry.place_mm(view.voxel), centre_in(stage, number)
            cut.draw(cut_frame(stage, number, index, caption), pixels, crosshair_mm=cross, centre_mm=centre)
            cut.setAccessibleDescription(words)

    def _stage(self, imaged: ImagedSeries) -> Stage | None:
        """The images of the series, prepared anew only when they are others."""
        reference = next((i for i in self.snapshot.imaged if i.key is None), None)
        made_of = (imaged, reference, *self.snapshot.volumes)
        before, stage = self._staged
        if len(before) != len(made_of) or any(a is not b for a, b in zip(before, made_of, strict=True)):
            made = stage_of(self.snapshot, imaged)
            self._staged = (made_of, made)
            if made is not None and (stage is None or stage.grid.shape != made.grid.shape):
                self._view = replace(self._view, voxel=made.middle)
        return self._staged[1]

    def _pose(self, stage: Stage, matrix: FloatArray) -> Pose:
        return pose_of(matrix, stage.centre_mm) if self._draft is None else self._draft

    def _remember_found(self, of: tuple[Candidate, ...]) -> None:
        """Keep what was found, as long as plan and settings are those that it was found with."""
        inputs = self.snapshot.inputs
        self._found = {key: own for key, own in self._found.items() if own[0] == inputs}
        for candidate in of:
            now = in_force(self.snapshot, candidate)
            if not now.by and now.computed:
                self._found[candidate.series_key] = inputs, now.matrix

    # -- what is set ---------------------------------------------------------------------------------------------------

    def _present(self) -> tuple[Candidate, Stage, FloatArray] | None:
        """The chosen series, its images, and the transform that is set."""
        candidate = next((c for c in candidates(self.snapshot) if c.series_key == self._key), None)
        stage = None if candidate is None else self._stage(candidate.imaged)
        if candidate is None or stage is None:
            return None
        if self._draft is not None:
            return candidate, stage, self._draft.matrix(stage.centre_mm)
        return candidate, stage, in_force(self.snapshot, candidate).matrix

    def _ask(self, what: Ask) -> None:
        match what:
            case Ask.FORCE:
                self._set(None)
            case Ask.ACQUIRED:
                self._set(AS_ACQUIRED)
            case Ask.FOUND:
                self._set_found()
            case Ask.RECORD:
                self._record()
            case Ask.TAKE_BACK:
                self._take_back()

    def _set(self, pose: Pose | None) -> None:
        self._draft = pose
        self.tell(State(sign="", word=""))
        self.draw()

    def _set_found(self) -> None:
        present = self._present()
        if present is not None and self._key in self._found:
            self._set(pose_of(self._found[self._key][1], present[1].centre_mm))

    def _type(self, number: int, value: float) -> None:
        present = self._present()
        if present is not None:
            _, stage, matrix = present
            self._set(self._pose(stage, matrix).changed(number, value))

    def _drag(self, cut: int, right_mm: float, down_mm: float) -> None:
        present = self._present()
        if present is not None:
            _, stage, matrix = present
            self._set(pose_of(dragged(stage, cut, matrix, right_mm, down_mm), stage.centre_mm))

    def _turn(self, cut: int, clockwise_deg: float) -> None:
        present = self._present()
        if present is not None:
            _, stage, matrix = present
            self._set(pose_of(turned(stage, cut, matrix, clockwise_deg), stage.centre_mm))

    def _choose(self, key: str) -> None:
        self._key, self._draft = key, None
        self.draw()

    # -- how it is looked at -------------------------------------------------------------------------------------------

    def _lay(self, laid: Laid, _pressed: bool = False) -> None:
        self._view = replace(self._view, laid=laid, series_now=True)
        self.draw()

    def _toggle_flicker(self) -> None:
        self._lay(Laid.MIX if self._view.laid is Laid.FLICKER else Laid.FLICKER)

    def _flip(self) -> None:
        self._view = replace(self._view, series_now=not self._view.series_now)
        self.draw()

    def _mix(self, per_cent: int) -> None:
        self._view = replace(self._view, mix=per_cent / 100.0)
        self.draw()

    def _step(self, cut: int, steps: int) -> None:
        stage = self._staged[1]
        if stage is not None:
            geometry = stage.geometries[cut]
            voxel = list(self._view.voxel)
            axis = geometry.normal_axis
            voxel[axis] = min(max(voxel[axis] + steps * geometry.towards, 0), stage.grid.shape[axis] - 1)
            self._view = replace(self._view, voxel=(voxel[0], voxel[1], voxel[2]))
            self.draw()

    def _point(self, cut: int, x_mm: float, y_mm: float) -> None:
        stage = self._staged[1]
        if stage is not None:
            self._view = replace(self._view, voxel=stage.geometries[cut].voxel_at(x_mm, y_mm, self._view.voxel))
            self.draw()

    # -- what is said --------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        present = self._present()
        if present is None:
            return
        candidate, stage, matrix = present
        draft = self._judged(candidate, stage, matrix)
        label = candidate.imaged.label
        if draft.operation is not None and self.say(draft.operation, f"recorded for {label}; it is being computed"):
            self._said_after = self.snapshot.head_seq
            self.draw()

    def _take_back(self) -> None:
        present = self._present()
        operation = None if present is None else taken_back(self.snapshot, present[0])
        if operation is not None and self.say(operation, "taken back: it is found automatically again"):
            self._draft, self._said_after = None, self.snapshot.head_seq
            self.draw()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Begin in the axial cut: its arrows move the series."""
        super().showEvent(event)
        self.cuts[0].setFocus()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Let nothing run on, and no image be held."""
        super().hideEvent(event)
        self._flicker.stop()
        self._staged = ((), None)
