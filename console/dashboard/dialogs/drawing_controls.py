"""The buttons, fields and readouts around the cuts that are drawn on."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from console.dashboard.desk.drawing import DrawTool, save_form, tool_form
from console.dashboard.desk.drawing_board import DrawingBoard
from console.dashboard.desk.drawing_readouts import (
    earlier_cell,
    next_version,
    previewed,
    readouts,
    save_cell,
    save_fault,
    saved_state,
)
from console.dashboard.dialogs.form_view import FormView
from console.dashboard.dialogs.tool_dialog import plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import Cell, Tone
from console.drawn_volumes import known_names
from console.snapshot import Snapshot
from quantify.drawing_canvas import Mode

_LEVELS = 1000
_LINES = 5
_TOOLS = {
    DrawTool.SPHERE: ("● Sphere", "Press: centre. Drag, or Ctrl and wheel: radius. Then place it."),
    DrawTool.BRUSH: ("✎ Brush", "Drag: draws a disc, one slice thick. Ctrl and wheel: radius."),
    DrawTool.ERASER: ("⌫ Eraser", "Drag: erases a disc, one slice thick."),
    DrawTool.THRESHOLD: ("◐ Threshold", "What lies over or under a level in a sphere. Then take it."),
}
_PLACE = {
    DrawTool.SPHERE: "Place sphere ⏎",
    DrawTool.BRUSH: "Draw disc ⏎",
    DrawTool.ERASER: "Erase disc ⏎",
    DrawTool.THRESHOLD: "Take it ⏎",
}
_COMBINED = {
    Mode.REPLACE: ("Edit", "Draw on from this volume: what is drawn now is replaced (Ctrl+Z brings it back)."),
    Mode.ADD: ("Add", "Add this volume to what is drawn."),
    Mode.REMOVE: ("Subtract", "Take this volume away from what is drawn."),
    Mode.KEEP: ("Keep inside", "Keep only what lies inside this volume."),
}

_SLIDER = f"""
    QSlider::groove:horizontal {{ height: 8px; background: {theme.RAISED}; border: 1px solid {theme.MUTED};
        border-radius: 4px; }}
    QSlider::handle:horizontal {{ width: 26px; margin: -12px 0; background: {theme.TEXT}; border-radius: 5px;
        border: 2px solid {theme.MUTED}; }}
    QSlider::handle:horizontal:focus {{ border-color: {theme.TONES[Tone.ACTIVE]}; }}
    QSlider:focus {{ border: 2px solid {theme.TONES[Tone.ACTIVE]}; border-radius: 4px; }}
    """


def button(text: str, tooltip: str) -> QPushButton:
    """A button that Enter presses only where it has the focus."""
    made = touch_button(text)
    made.setAutoDefault(False)
    made.setToolTip(tooltip)
    return made


def show(label: QLabel, cell: Cell) -> None:
    """Show a line; an empty one takes no room."""
    if label.text() != cell.text:
        label.setText(cell.text)
    label.setVisible(bool(cell.text))
    label.setToolTip(cell.tooltip)
    theme.restyle(label, f"color: {theme.TONES[cell.tone]};{' font-weight: bold;' * cell.bold}")


class DrawingBar(QWidget):
    """The tools, what they would draw, and what is done to the whole drawing."""

    chosen = Signal(object)
    """A `DrawTool`."""

    def __init__(self) -> None:
        super().__init__()
        self.tools = {tool: button(text, tip) for tool, (text, tip) in _TOOLS.items()}
        for tool, own in self.tools.items():
            own.setCheckable(True)
            own.clicked.connect(lambda _, t=tool: self.chosen.emit(t))
        self.place = button("", "Draw it at the crosshair (Enter)")
        self.cut_out = button("Cut out", "Take it away from what is drawn")
        self.preview = plain("")
        self.interpolate = button("Interpolate", "Fill the empty slices between drawn ones")
        self.enclose = button("Fill inside", "Fill what an outline encloses, in every cut")
        self.undo = button("↶ Undo", "Take the last stroke back (Ctrl+Z)")
        self.redo = button("↷ Redo", "Do it again (Ctrl+Y)")
        self.clear = button("Clear", "Wipe what is drawn (Ctrl+Z brings it back)")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for own in (*self.tools.values(), self.place, self.cut_out):
            row.addWidget(own)
        row.addWidget(self.preview, 1)
        for own in (self.interpolate, self.enclose, self.undo, self.redo, self.clear):
            row.addWidget(own)

    @property
    def stops(self) -> tuple[QWidget, ...]:
        """Where Tab stops."""
        whole = (self.interpolate, self.enclose, self.undo, self.redo, self.clear)
        return (*self.tools.values(), self.place, self.cut_out, *whole)

    def draw(self, board: DrawingBoard) -> None:
        """Show what can be pressed."""
        tool, canvas, shape = board.state.tool, board.canvas, board.shape()
        there = canvas is not None
        for own, pressed in self.tools.items():
            pressed.setChecked(own is tool)
            pressed.setEnabled(there)
        disc = tool in (DrawTool.BRUSH, DrawTool.ERASER)
        self.place.setText(_PLACE[tool])
        self.place.setEnabled(there and (board.state.radius_mm is not None if disc else shape is not None))
        self.cut_out.setEnabled(shape is not None)
        for own_button in (self.interpolate, self.enclose, self.clear):
            own_button.setEnabled(canvas is not None and canvas.count > 0)
        self.undo.setEnabled(canvas is not None and canvas.can_undo)
        self.redo.setEnabled(canvas is not None and canvas.can_redo)
        cell = previewed(shape, canvas, board.state)
        self.preview.setText(cell.text)
        theme.restyle(self.preview, f"color: {theme.TONES[cell.tone]};")


class OtherVolumes(QWidget):
    """Draw on from another volume, or combine the drawing with it."""

    combined = Signal(str, object)
    """(name, `Mode`)"""

    def __init__(self) -> None:
        super().__init__()
        self.names = QComboBox()
        self.names.setAccessibleName("Another volume")
        self.names.setMinimumContentsLength(14)
        self.names.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.modes = {mode: button(text, tip) for mode, (text, tip) in _COMBINED.items()}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(plain("Volume"))
        row.addWidget(self.names, 1)
        for mode, own in self.modes.items():
            self.names.setMinimumHeight(own.minimumHeight())
            own.clicked.connect(lambda _, m=mode: self.combined.emit(self.names.currentText(), m))
            row.addWidget(own)

    def draw(self, board: DrawingBoard) -> None:
        """Show the volumes that there are; the one that was chosen stays chosen."""
        names = known_names(board.base)
        if names != tuple(self.names.itemText(n) for n in range(self.names.count())):
            chosen = self.names.currentText()
            self.names.clear()
            self.names.addItems(names)
            if chosen in names:
                self.names.setCurrentText(chosen)
        drawn = board.canvas is not None and board.canvas.count > 0
        for mode, own in self.modes.items():
            own.setEnabled(bool(names) and board.canvas is not None and (drawn or mode in (Mode.REPLACE, Mode.ADD)))


class DrawingPanel(QWidget):
    """Image, radius and level; what is told of the drawing; name, role and version."""

    typed = Signal(str, str)
    """(key, text)"""

    def __init__(self) -> None:
        super().__init__()
        self.tool_view, self.save_view = FormView(), FormView()
        self.tool_view.changed.connect(self.typed)
        self.save_view.changed.connect(self.typed)
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setRange(0, _LEVELS)
        self.level.setAccessibleName("Level of the threshold")
        self.level.valueChanged.connect(self._slide)
        self.level.setMinimumHeight(36)
        self.level.setStyleSheet(_SLIDER)
        self._highest = 1.0
        self.lines = tuple(plain("") for _ in range(_LINES))
        self.save = button("Save version", "Every save is a version of its own; earlier ones stay.")
        self.anew = button("Begin anew on the present reference", "What is drawn on the earlier one is not kept.")
        self.why_not, self.version = plain(""), plain("")
        for line in (*self.lines, self.why_not, self.version):
            line.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.tool_view)
        column.addWidget(self.level)
        column.addStretch(1)
        column.addWidget(_title("DRAWN"))
        for line in self.lines:
            column.addWidget(line)
        column.addStretch(1)
        column.addWidget(_title("VERSION"))
        for widget in (self.save_view, self.save, self.anew, self.why_not, self.version):
            column.addWidget(widget)

    def draw(self, board: DrawingBoard, snapshot: Snapshot) -> None:
        """Show a board; `snapshot` is the latest, which tells what became of the last save."""
        self.draw_fields(board)
        canvas, state, base = board.canvas, board.state, board.base
        cells = readouts(canvas, state, base) if canvas is not None else ()
        cells = (earlier_cell(), *cells) if board.earlier else cells
        for n, line in enumerate(self.lines):
            show(line, cells[n] if n < len(cells) else Cell(text=""))
        # What lies on an earlier reference cannot be saved: the one button stands for the other.
        self.anew.setVisible(board.earlier)
        self.save.setVisible(not board.earlier)
        fault = save_fault(canvas, state, base, earlier=board.earlier)
        self.save.setEnabled(not fault)
        self.save.setText("Save version" if fault else f"Save as version {next_version(state.name, base)}")
        show(self.why_not, save_cell(fault, state, base))
        saved = saved_state(state, snapshot)
        show(self.version, Cell(text=saved.text, tone=saved.tone))

    @property
    def stops(self) -> tuple[QWidget, ...]:
        """Where Tab stops, in the order in which it is filled in."""
        return (
            *self.tool_view.editors.values(),
            self.level,
            *self.save_view.editors.values(),
            self.save,
            self.anew,
        )

    def draw_fields(self, board: DrawingBoard) -> None:
        """Show what was typed and what is wrong with it; where a field is made anew, it keeps the focus."""
        focused = self.focusWidget()
        key = next((key for key, editor in self.tool_view.editors.items() if editor is focused), "")
        self.tool_view.draw(tool_form(board.state, board.base))
        self.save_view.draw(save_form(board.state, board.base))
        if key and focused is not None and self.tool_view.editors.get(key) is not focused:
            self.tool_view.editors[key].setFocus()
        image = board.image
        self.level.setVisible(board.state.tool is DrawTool.THRESHOLD)
        if image is not None:
            self._highest = image.highest
            with QSignalBlocker(self.level):
                share = (board.state.level or 0.0) / image.highest
                self.level.setValue(round(_LEVELS * min(max(share, 0.0), 1.0)))

    def _slide(self, value: int) -> None:
        self.typed.emit("level", f"{value / _LEVELS * self._highest:.3g}")


def _title(text: str) -> QLabel:
    label = plain(text)
    label.setObjectName("title")
    return label
