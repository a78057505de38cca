"""Draw a tumour or the liver on the anatomy or on a map, in three linked cuts; each save is a version of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from console.dashboard.desk.drawing import DrawTool
from console.dashboard.desk.drawing_board import DrawingBoard
from console.dashboard.desk.drawing_readouts import save_fault
from console.dashboard.dialogs.drawing_controls import DrawingBar, DrawingPanel, OtherVolumes, button
from console.dashboard.dialogs.drawing_view import DrawingCuts, Overlay
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone
from console.dashboard.screen.planes import PlaneGeometry
from console.snapshot import Mode
from quantify.drawing_canvas import Mode as Stroke

_SHARE = 0.96
"""Of the window that it stands over: there is nothing to be seen beside a drawing."""
_PANEL_SHARE = 0.28
_FULL_HD = (1920, 1080)
_STEPS = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1)}
_WIDER = (Qt.Key.Key_Plus, Qt.Key.Key_BracketRight)
_NARROWER = (Qt.Key.Key_Minus, Qt.Key.Key_BracketLeft)
_PAGES = {Qt.Key.Key_PageUp: 1, Qt.Key.Key_PageDown: -1}
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_HINT = "wheel, PgUp/PgDn: slice · arrows: crosshair · + −: radius · ⏎: draw · right drag: grey window · Ctrl+Z/Y"


class DrawingDialog(ToolDialog):
    """Shows what a `DrawingBoard` holds, and tells it what was pressed."""

    def __init__(self, parent: QWidget, services: Services) -> None:
        super().__init__(parent, services, "Draw a volume")
        self.board = DrawingBoard()
        self._doing: Callable[[], None] | None = None
        self._scale = 0.0
        self._stops: tuple[QWidget, ...] = ()
        self.bar, self.cuts, self.panel, self.others = DrawingBar(), DrawingCuts(), DrawingPanel(), OtherVolumes()
        self.message = plain("waiting for the reference series: there is no image to draw on yet")
        self.message.setObjectName("message")
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.asking, self.question = QFrame(), plain("")
        self.keep, self.discard = (
            button("Keep drawing", ""),
            button("Discard the drawing", "It cannot be brought back."),
        )
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        asked = QHBoxLayout(self.asking)
        asked.setContentsMargins(8, 0, 0, 0)
        asked.addWidget(self.question, 1)
        asked.addWidget(self.keep)
        asked.addWidget(self.discard)
        self.asking.hide()
        left = QVBoxLayout()
        left.addWidget(self.message, 1)
        left.addWidget(self.cuts, 1)
        left.addWidget(self.others)
        across = QHBoxLayout()
        across.addLayout(left, 1)
        across.addWidget(self.panel)
        self.body.addWidget(self.bar)
        self.body.addWidget(self.asking)
        self.body.addLayout(across, 1)

    def _connect(self) -> None:
        bar, board = self.bar, self.board
        bar.chosen.connect(self._choose)
        for own, act in (
            (bar.place, lambda plane: board.place(plane)),
            (bar.cut_out, lambda plane: board.place(plane, remove=True)),
            (bar.interpolate, board.interpolate),
            (bar.enclose, board.enclose),
            (bar.clear, lambda _: board.clear()),
            (bar.undo, lambda _: board.back()),
            (bar.redo, lambda _: board.forth()),
        ):
            own.clicked.connect(lambda _, a=act: self._stroke(a))
        self.others.combined.connect(self._combine)
        self.panel.typed.connect(self._type)
        self.panel.save.clicked.connect(self._save)
        self.panel.anew.clicked.connect(self._ask_begin_anew)
        self.keep.clicked.connect(self._stop_asking)
        self.discard.clicked.connect(self._discard)
        for number, view in enumerate(self.cuts.views):
            view.pressed.connect(lambda x, y, n=number: self._mouse(board.press, n, x, y))
            view.dragged.connect(lambda x, y, n=number: self._mouse(board.drag, n, x, y))
            view.released.connect(self._release)
            view.stepped.connect(lambda step, n=number: self._step(n, step))
            view.turned.connect(self._widen)
            view.windowed.connect(self._window)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Open over nearly the whole window, with the keys in the cuts."""
        super().showEvent(event)
        parent = self.parentWidget()
        window = parent.window() if parent is not None else self
        self.resize(QSize(round(_SHARE * window.width()), round(_SHARE * window.height())))
        self.panel.setFixedWidth(round(_PANEL_SHARE * _SHARE * window.width()))
        scale = min(max(min(window.width() / _FULL_HD[0], window.height() / _FULL_HD[1]), 0.6), 3.0)
        if scale != self._scale:
            self._scale = scale
            self.cuts.set_scale(scale)
        self.cuts.setFocus()
        if not self.outcome.text():
            self.tell(State(sign="", word=_HINT, tone=Tone.MUTED))

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show the board on what is known now."""
        self.board.know(self.snapshot)
        there = self.board.canvas is not None
        self.message.setVisible(not there)
        self.cuts.setVisible(there)
        self._draw_board()

    def _draw_board(self) -> None:
        """All that a stroke or a key changes."""
        self.bar.draw(self.board)
        self.others.draw(self.board)
        self.panel.draw(self.board, self.snapshot)
        self._order_tabs()
        self._draw_cuts()

    def _order_tabs(self) -> None:
        """Fields that were made anew stand at the end of Qt's order."""
        others = (self.others.names, *self.others.modes.values())
        stops = (*self.bar.stops, self.cuts, *others, *self.panel.stops, self.operator, self.close_button)
        if stops != self._stops:
            self._stops = stops
            for before, after in pairwise(stops):
                QWidget.setTabOrder(before, after)

    def _draw_cuts(self) -> None:
        board = self.board
        planes, legend = board.cuts(self.services.settings.display)
        self.cuts.scale_bar.draw(legend)
        self.cuts.show_bar(bool(planes) and planes[0].dose is not None)
        mode = self.services.mode
        watermark = "" if mode is Mode.LIVE else mode.value
        for n, view in enumerate(self.cuts.views):
            plane = planes[n] if n < len(planes) else None
            where = board.crosshair_mm(plane.geometry) if plane is not None else (0.0, 0.0)
            view.draw(plane, legend, crosshair_mm=where, watermark=watermark, stale=board.earlier)
        self._draw_overlays()

    def _draw_overlays(self) -> None:
        board, state = self.board, self.board.state
        brush = state.tool in (DrawTool.BRUSH, DrawTool.ERASER)
        for view in self.cuts.views:
            if view.plane is None:
                view.lay(None)
                continue
            plane = view.plane.geometry
            drawn, preview = board.lines(plane)
            circle = None
            if not brush and state.radius_mm is not None:
                circle = (*board.crosshair_mm(plane), state.radius_mm)
            cursor = state.radius_mm if brush else None
            view.lay(Overlay(drawn=drawn, preview=preview, circle_mm=circle, cursor_radius_mm=cursor))

    # -- what was pressed -------------------------------------------------------------------------------------------

    def _type(self, key: str, text: str) -> None:
        self.board.state = self.board.state.typed(key, text)
        self._draw_board()

    def _choose(self, tool: DrawTool) -> None:
        self.board.state = replace(self.board.state, tool=tool)
        self._draw_board()
        self.cuts.setFocus()

    def _mouse(self, act: Callable[[PlaneGeometry, float, float], None], number: int, x_mm: float, y_mm: float) -> None:
        """While a stroke goes on only its lines are drawn; what is told of it follows at its end."""
        if number >= len(self.board.planes):
            return
        act(self.board.planes[number], x_mm, y_mm)
        if self.board.state.tool in (DrawTool.BRUSH, DrawTool.ERASER):
            self._draw_overlays()
        else:
            self.bar.draw(self.board)
            self.panel.draw_fields(self.board)
            self._draw_cuts()

    def _release(self) -> None:
        self.board.release()
        self._draw_board()

    def _step(self, number: int, steps: int) -> None:
        if number < len(self.board.planes):
            self.board.step(self.board.planes[number], steps)
            self.bar.draw(self.board)
            self._draw_cuts()

    def _widen(self, by_mm: int) -> None:
        self.board.widen(by_mm)
        self._draw_board()

    def _window(self, right: float, down: float) -> None:
        plane = self.cuts.views[0].plane
        if plane is not None:
            self.board.window(right, down, plane.grey_levels)
            self._draw_cuts()

    def _active(self) -> PlaneGeometry | None:
        return self.board.planes[self.cuts.active] if self.board.planes else None

    def _combine(self, name: str, mode: Stroke) -> None:
        """A liver takes up to a second: the cursor and a sentence say so."""
        self.tell(State(sign="…", word=f"reading {name}", tone=Tone.ACTIVE))
        self.outcome.repaint()
        self.setCursor(Qt.CursorShape.BusyCursor)
        try:
            self._stroke(lambda _: self.board.combine(name, mode))
        finally:
            self.unsetCursor()

    def _stroke(self, act: Callable[[PlaneGeometry], str]) -> None:
        """Draw something in the active cut, and tell why where nothing was drawn."""
        plane = self._active()
        if plane is not None:
            why = act(plane)
            self.tell(
                State(sign="▲", word=why, tone=Tone.CAUTION) if why else State(sign="", word=_HINT, tone=Tone.MUTED)
            )
            self._draw_board()

    def _save(self) -> None:
        board = self.board
        if save_fault(board.canvas, board.state, board.base, earlier=board.earlier):
            return
        operation = board.operation()
        if self.say(operation, f"{board.state.name} recorded."):
            board.recorded(operation)
        self._draw_board()

    # -- keys, and closing -------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Turn a key into what the mouse would do; Esc closes, and asks first where something is not saved."""
        key, plane = Qt.Key(event.key()), self._active()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and key in (Qt.Key.Key_Z, Qt.Key.Key_Y):
            self._stroke(lambda _: self.board.forth() if key == Qt.Key.Key_Y else self.board.back())
        elif key in _ENTER:
            self._enter()
        elif isinstance(self.focusWidget(), QLineEdit) or plane is None:
            super().keyPressEvent(event)
        elif key in _WIDER or key in _NARROWER:
            self._widen(1 if key in _WIDER else -1)
        elif key in _PAGES:
            self._step(self.cuts.active, _PAGES[key])
        elif key in _STEPS:
            self.board.move(plane, *_STEPS[key])
            self._draw_board()
        else:
            super().keyPressEvent(event)

    def _enter(self) -> None:
        """Press the button that has the focus; draw, in the cuts and in the fields of the tool."""
        focused = self.focusWidget()
        if isinstance(focused, QPushButton):
            focused.click()
        elif focused is self.cuts or focused in self.panel.tool_view.editors.values():
            self.bar.place.click()

    def reject(self) -> None:
        """Close; where something is drawn and not saved, ask first, here in the dialog."""
        if not self.asking.isHidden():
            self._stop_asking()
        elif self.board.unsaved:
            self._ask("The drawing is not saved as a version.", self._close_without)
        else:
            super().reject()

    def may_close(self) -> bool:
        """Not while something is drawn and not saved: that is asked first."""
        if self.board.unsaved:
            self.show()
            self.raise_()
            self._ask("The drawing is not saved as a version.", self._close_without)
            return False
        return True

    def _close_without(self) -> None:
        self.board.begin_anew(self.snapshot)
        super().reject()

    def _ask_begin_anew(self) -> None:
        self._ask("The drawing on the earlier reference is lost then.", lambda: self.board.begin_anew(self.snapshot))

    def _ask(self, question: str, do: Callable[[], None]) -> None:
        self._doing = do
        self.question.setText(f"▲ {question}")
        theme.restyle(self.question, f"color: {theme.TONES[Tone.CAUTION]}; font-weight: bold;")
        self.bar.hide()
        self.asking.show()
        self.keep.setFocus()

    def _discard(self) -> None:
        do = self._doing
        self._stop_asking()
        if do is not None:
            do()
        if self.isVisible():
            self.draw()

    def _stop_asking(self) -> None:
        self._doing = None
        self.asking.hide()
        self.bar.show()
        self.cuts.setFocus()
