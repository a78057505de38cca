"""A cut of a registration by hand: the series over the reference, moved by dragging it or by the arrow keys."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.cut_image import as_image
from console.dashboard.panels.cut_look import Look, Placement, placed
from console.dashboard.panels.cut_words import write_caption, write_letters
from console.dashboard.screen.model import PlaneScreen, Tone

STEP_MM, STEP_DEG, FASTER = 0.5, 0.25, 10.0
_CROSSHAIR = QColor(255, 255, 255, 110)
_LIVER = QColor("#ffe27a")
_SHIFTS = {
    Qt.Key.Key_Left: (-STEP_MM, 0.0),
    Qt.Key.Key_Right: (STEP_MM, 0.0),
    Qt.Key.Key_Up: (0.0, -STEP_MM),
    Qt.Key.Key_Down: (0.0, STEP_MM),
}
_TURNS = {Qt.Key.Key_Left: -STEP_DEG, Qt.Key.Key_Right: STEP_DEG}
_STEPS = {Qt.Key.Key_PageUp: 1, Qt.Key.Key_PageDown: -1}


class RegistrationCut(QWidget):
    """One cut. It keeps nothing of the transform: it tells how the picture of the series is to be moved."""

    shifted = Signal(float, float)
    """mm to the right and down, as displayed."""
    turned = Signal(float)
    """Degrees clockwise, as displayed, about the middle of the liver."""
    stepped = Signal(int)
    """To the neighbouring cut: +1 towards the patient's left, back or head."""
    pointed = Signal(float, float)
    """The right button was pressed: mm from the left, mm from the top."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName(f"{name} cut: arrows move the series, Ctrl with left and right turns it")
        self._frame: PlaneScreen | None = None
        self._pixels: NDArray[np.uint8] | None = None
        self._crosshair_mm = (0.0, 0.0)
        self._centre_mm = (0.0, 0.0)
        self._dragged: QPointF | None = None

    def draw(
        self,
        frame: PlaneScreen | None,
        pixels: NDArray[np.uint8] | None,
        *,
        crosshair_mm: tuple[float, float] = (0.0, 0.0),
        centre_mm: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Show a cut; None empties it."""
        self._frame, self._pixels = frame, pixels
        self._crosshair_mm, self._centre_mm = crosshair_mm, centre_mm
        self.update()

    def at(self, x_mm: float, y_mm: float) -> QPointF:
        """Where a place of the cut lies in the widget."""
        return self._placement().at(x_mm, y_mm)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint pixels, liver, crosshair, letters, and the rim of the focus."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.IMAGE_BACKGROUND))
        if self._frame is not None and self._pixels is not None:
            self._paint_cut(painter, self._frame, self._pixels)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.colour(Tone.ACTIVE), 3))
            painter.drawRect(self.rect().adjusted(1, 1, -2, -2))
        painter.end()

    def _paint_cut(self, painter: QPainter, frame: PlaneScreen, pixels: NDArray[np.uint8]) -> None:
        where, (wide, tall) = self._placement(), frame.geometry.size_mm
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        room = QRectF(where.left_px, where.top_px, wide * where.px_per_mm, tall * where.px_per_mm)
        painter.drawImage(room, as_image(pixels))
        place = self.at(*self._crosshair_mm)
        painter.setPen(QPen(_CROSSHAIR, 1))
        painter.drawLine(QPointF(place.x(), 0), QPointF(place.x(), self.height()))
        painter.drawLine(QPointF(0, place.y()), QPointF(self.width(), place.y()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(_LIVER, 1))
        for outline in frame.outlines:
            lines = outline.lines
            x, y = (
                start + mm * where.px_per_mm for start, mm in ((where.left_px, lines.x_mm), (where.top_px, lines.y_mm))
            )
            painter.drawPath(pg.arrayToQPath(x, y, connect=lines.connect, finiteCheck=False))
        look = Look(width=self.width(), height=self.height(), scale=max(0.7, self.fontMetrics().height() / 18))
        write_letters(painter, frame, where, look)
        write_caption(painter, frame.caption, look)

    def _placement(self) -> Placement:
        focus = self._frame.focus_mm if self._frame is not None else (0.0, 0.0, 1.0, 1.0)
        return placed(focus, self.width(), self.height())

    # -- mouse and keys ------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Take hold of the series, or put the crosshair."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._dragged = event.position()
        elif event.button() == Qt.MouseButton.RightButton and self._frame is not None:
            self.pointed.emit(*self._placement().place_mm(event.position()))
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Move the series with the cursor; with Ctrl turn it about the middle of the liver."""
        if self._dragged is None or self._frame is None:
            return
        before, now = self._dragged, event.position()
        self._dragged = now
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            centre = self.at(*self._centre_mm)
            angles = [math.degrees(math.atan2(p.y() - centre.y(), p.x() - centre.x())) for p in (before, now)]
            self.turned.emit((angles[1] - angles[0] + 180.0) % 360.0 - 180.0)
        else:
            per_mm = self._placement().px_per_mm
            self.shifted.emit((now.x() - before.x()) / per_mm, (now.y() - before.y()) / per_mm)
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Let the series be."""
        self._dragged = None
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Go to the neighbouring cut."""
        turned = event.angleDelta().y()
        if turned:
            self.stepped.emit(1 if turned > 0 else -1)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Arrows move, Ctrl with left and right turns, Shift does it ten times; page keys step."""
        key, factor = Qt.Key(event.key()), FASTER if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1.0
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and key in _TURNS:
            self.turned.emit(factor * _TURNS[key])
        elif key in _SHIFTS and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            right, down = _SHIFTS[key]
            self.shifted.emit(factor * right, factor * down)
        elif key in _STEPS:
            self.stepped.emit(_STEPS[key])
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Show the rim."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Take the rim away."""
        super().focusOutEvent(event)
        self.update()
