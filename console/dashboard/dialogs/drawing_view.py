"""The cuts that are drawn on: the picture of a cut, over it the drawing, and what the mouse does in it."""

from __future__ import annotations

from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRect, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFocusEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.dose_scale import DoseScale
from console.dashboard.panels.plane_view import PlaneView
from console.dashboard.screen.model import Lines, Tone

_INK = QColor("#b6ff3c")
"""Of the drawing: no volume has it."""
_RIM_INK = QColor(0, 0, 0, 200)
_FILL = QColor(182, 255, 60, 46)
_GAP, _RIM = 4, 3
_AXIAL_SHARE = 0.62


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What lies over a cut: what is drawn, filled; what would be, dashed; the sphere's circle (x, y, radius in mm)."""

    drawn: Lines
    preview: Lines | None = None
    circle_mm: tuple[float, float, float] | None = None
    cursor_radius_mm: float | None = None
    """Of brush and eraser, around the cursor."""


class DrawingView(PlaneView):
    """A cut that is drawn on. All places are mm from the left and from the top of the plane."""

    pressed = Signal(float, float)
    dragged = Signal(float, float)
    released = Signal()
    turned = Signal(int)
    """The wheel with Ctrl, or with the button held: the radius."""
    windowed = Signal(float, float)
    """The right button was dragged: shares of the view's width and height."""

    def __init__(self) -> None:
        super().__init__()
        self.overlay: Overlay | None = None
        self._cursor_mm: tuple[float, float] | None = None
        self._drawing = False
        self._windowing: QPointF | None = None
        self.setCursor(Qt.CursorShape.CrossCursor)

    def lay(self, overlay: Overlay | None) -> None:
        """Lay the drawing over the cut."""
        if overlay is not self.overlay:
            self.overlay = overlay
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Copy the picture, and paint what is drawn over it."""
        super().paintEvent(event)
        if self.overlay is None or self.plane is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        wide = max(1.0, 2.0 * self.scale_factor)
        # A dark rim on both sides: the lightest colours of a map are as light as the line. A map is not tinted.
        fill = QBrush(_FILL) if self.plane.dose is None else QBrush()
        for ink, width, brush in ((_RIM_INK, 2.2 * wide, fill), (_INK, wide, QBrush())):
            painter.setPen(QPen(ink, width))
            painter.setBrush(brush)
            self._draw(painter, self.overlay.drawn)
        painter.setPen(QPen(QColor(theme.TEXT), wide, Qt.PenStyle.DashLine))
        if self.overlay.preview is not None:
            self._draw(painter, self.overlay.preview)
        if self.overlay.circle_mm is not None:
            x, y, radius = self.overlay.circle_mm
            self._circle(painter, x, y, radius)
        if self.overlay.cursor_radius_mm is not None and self._cursor_mm is not None:
            painter.setPen(QPen(QColor(theme.TEXT), wide))
            self._circle(painter, *self._cursor_mm, self.overlay.cursor_radius_mm)
        painter.end()

    def _draw(self, painter: QPainter, lines: Lines) -> None:
        if len(lines.x_mm) < 2:
            return
        where = self._placement()
        x = where.left_px + lines.x_mm * where.px_per_mm
        y = where.top_px + lines.y_mm * where.px_per_mm
        path: QPainterPath = pg.arrayToQPath(x, y, connect=lines.connect, finiteCheck=False)
        path.setFillRule(Qt.FillRule.OddEvenFill)
        painter.drawPath(path)

    def _circle(self, painter: QPainter, x_mm: float, y_mm: float, radius_mm: float) -> None:
        radius = radius_mm * self._placement().px_per_mm
        painter.drawEllipse(self.at(x_mm, y_mm), radius, radius)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Begin to draw, or to change grey level and width."""
        if self.plane is None:
            return
        if event.button() == Qt.MouseButton.LeftButton:
            self._drawing = True
            self.pressed.emit(*self._placement().place_mm(event.position()))
        elif event.button() == Qt.MouseButton.RightButton:
            self._windowing = event.position()
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Go on with it; show where the brush is."""
        if self.plane is None:
            return
        self._cursor_mm = self._placement().place_mm(event.position())
        if self._drawing:
            self.dragged.emit(*self._cursor_mm)
        elif self._windowing is not None:
            moved, self._windowing = event.position() - self._windowing, event.position()
            self.windowed.emit(moved.x() / max(1, self.width()), moved.y() / max(1, self.height()))
        if self.overlay is not None and self.overlay.cursor_radius_mm is not None:
            self.update()
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """End it."""
        self._windowing = None
        if self._drawing:
            self._drawing = False
            self.released.emit()
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Go to the neighbouring cut; with Ctrl or the button held, change the radius."""
        turned = event.angleDelta().y()
        if turned and (self._drawing or event.modifiers() & Qt.KeyboardModifier.ControlModifier):
            self.turned.emit(1 if turned > 0 else -1)
            event.accept()
        else:
            super().wheelEvent(event)

    def forget_cursor(self) -> None:
        """There is no cursor over the cut."""
        if self._cursor_mm is not None:
            self._cursor_mm = None
            self.update()


class DrawingCuts(QWidget):
    """Three cuts and the colours: axial large, coronal over sagittal. It takes the keys; a rim shows that it has them.

    The cut that was pressed last is the active one: keys and strokes by key are meant in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.views = tuple(DrawingView() for _ in range(3))
        self.scale_bar = DoseScale()
        self.active = 0
        for number, view in enumerate(self.views):
            view.setParent(self)
            view.pressed.connect(lambda *_, n=number: self.activate(n))
            view.left.connect(view.forget_cursor)
        self.scale_bar.setParent(self)
        self.scale_bar.hide()
        self._barred = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Cuts to draw on")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def activate(self, number: int) -> None:
        """Let the keys be meant in a cut."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if number != self.active:
            self.active = number
            self.update()

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self.scale_bar.set_scale(scale)
        for view in self.views:
            view.scale_factor = scale
            view.update()

    def show_bar(self, shown: bool) -> None:
        """Leave room for the colours, or none."""
        if shown != self._barred:
            self._barred = shown
            self.scale_bar.setVisible(shown)
            self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Fill the room."""
        self._place()

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Show the rim."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Take the rim away."""
        super().focusOutEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the rim of the active cut: bright while the keys are taken."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.BACKGROUND))
        ink = theme.colour(Tone.ACTIVE) if self.hasFocus() else QColor(theme.LINE)
        painter.fillRect(self.views[self.active].geometry().adjusted(-_RIM, -_RIM, _RIM, _RIM), ink)
        painter.end()

    def _place(self) -> None:
        bar = self.scale_bar.width() + _GAP if self._barred else 0
        wide, tall = self.width() - bar - 2 * _RIM, self.height() - 2 * _RIM
        gap = _GAP + 2 * _RIM
        first = round((wide - gap) * _AXIAL_SHARE)
        rest, half = wide - gap - first, (tall - gap) // 2
        self.views[0].setGeometry(QRect(_RIM, _RIM, first, tall))
        self.views[1].setGeometry(QRect(_RIM + first + gap, _RIM, rest, half))
        self.views[2].setGeometry(QRect(_RIM + first + gap, _RIM + half + gap, rest, tall - half - gap))
        self.scale_bar.setGeometry(
            QRect(self.width() - self.scale_bar.width(), 0, self.scale_bar.width(), self.height())
        )
