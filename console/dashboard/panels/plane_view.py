"""One cut through the patient in the window: a painted picture, the crosshair over it, and the mouse."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.cut_look import Look, Placement, placed
from console.dashboard.panels.cut_painter import CutPicture, cut_picture
from console.dashboard.screen.model import DoseLegend, PlaneScreen

# Both images of a flicker, and a step there and back.
_PICTURES_KEPT = 4
_CROSSHAIR = QColor(255, 255, 255, 120)


class PlaneView(QWidget):
    """Shows a `PlaneScreen`. Its picture is painted once; where only the crosshair moves, it is copied."""

    stepped = Signal(int)
    """The wheel was turned: +1 towards the patient's left, back or head."""
    pointed = Signal(float, float)
    """A place of the plane was pressed: mm from the left, mm from the top."""
    hovered = Signal(float, float)
    """The cursor is over this place; told at most once for every painting."""
    left = Signal()
    """The cursor is gone."""
    _painted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.plane: PlaneScreen | None = None
        self.watermark = ""
        self.stale = False
        self.scale_factor = 1.0
        self._covered: QRect | None = None
        self._legend: DoseLegend | None = None
        self._crosshair_mm = (0.0, 0.0)
        self._pictures: dict[tuple[PlaneScreen, DoseLegend, Look], CutPicture] = {}
        self._pressed = False
        self._hover: tuple[float, float] | None = None
        self._cursor: QPointF | None = None
        # Outside of the painting itself: whoever listens may paint anew.
        self._painted.connect(self._tell_hover, Qt.ConnectionType.QueuedConnection)

    def draw(
        self,
        plane: PlaneScreen | None,
        legend: DoseLegend,
        *,
        crosshair_mm: tuple[float, float],
        watermark: str,
        stale: bool,
    ) -> None:
        """Show a plane; None empties the view."""
        shown = (self.plane, self._legend, self._crosshair_mm, self.watermark, self.stale)
        if (plane, legend, crosshair_mm, watermark, stale) == shown:
            return
        moved = plane is not self.plane
        self.plane, self._legend, self._crosshair_mm = plane, legend, crosshair_mm
        self.watermark, self.stale = watermark, stale
        if plane is None:
            self._pictures.clear()
        elif moved and self._cursor is not None:
            # The cursor rests, the cut under it is another: what it is over has to be told anew.
            self._hover = self._placement().place_mm(self._cursor)
        self.update()

    def keep_free(self, covered: QRect | None) -> None:
        """Write nothing under what lies over a corner of the view."""
        if covered != self._covered:
            self._covered = covered
            self.update()

    def at(self, x_mm: float, y_mm: float) -> QPointF:
        """Where a place of the plane lies in the widget."""
        return self._placement().at(x_mm, y_mm)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Copy the picture and draw the crosshair."""
        painter = QPainter(self)
        picture = self._picture()
        if picture is None:
            painter.fillRect(self.rect(), QColor(theme.IMAGE_BACKGROUND))
        else:
            painter.drawPixmap(0, 0, picture.pixels)
            self._draw_crosshair(painter, picture)
        painter.end()
        if self._hover is not None:
            self._painted.emit()

    def _draw_crosshair(self, painter: QPainter, picture: CutPicture) -> None:
        """Filled, not stroked: a dotted pen takes as long as the rest of the frame. Its middle is left free."""
        place, free, wide = self.at(*self._crosshair_mm), round(9 * self.scale_factor), max(1, round(self.scale_factor))
        x, y = round(place.x()) - wide // 2, round(place.y()) - wide // 2
        for box in (
            QRect(x, 0, wide, y - free),
            QRect(x, y + free, wide, self.height() - y - free),
            QRect(0, y, x - free, wide),
            QRect(x + free, y, self.width() - x - free, wide),
        ):
            if box.isValid():
                painter.fillRect(box, _CROSSHAIR)
        # A line through a name would strike it out.
        ratio = picture.pixels.devicePixelRatio()
        for source in picture.written:
            target = QRectF(source.x() / ratio, source.y() / ratio, source.width() / ratio, source.height() / ratio)
            if target.left() <= x <= target.right() or target.top() <= y <= target.bottom():
                painter.drawPixmap(target, picture.pixels, QRectF(source))

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Go to the neighbouring cut."""
        turned = event.angleDelta().y()
        if turned:
            self.stepped.emit(1 if turned > 0 else -1)
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Put the crosshair where the mouse is."""
        self._pressed = event.button() == Qt.MouseButton.LeftButton
        self._point(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Drag the crosshair, or tell where the cursor is."""
        if self._pressed:
            self._point(event)
        elif self.plane is not None:
            if self._hover is None:
                self.update()
            self._cursor = event.position()
            self._hover = self._placement().place_mm(self._cursor)
            event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Let the crosshair be."""
        self._pressed = False

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        """Tell that there is no cursor any more."""
        self._hover = self._cursor = None
        self.left.emit()

    def _point(self, event: QMouseEvent) -> None:
        if self._pressed and self.plane is not None:
            self.pointed.emit(*self._placement().place_mm(event.position()))
        event.accept()

    def _tell_hover(self) -> None:
        if self._hover is not None:
            x_mm, y_mm = self._hover
            self._hover = None
            self.hovered.emit(x_mm, y_mm)

    def _placement(self) -> Placement:
        focus = self.plane.focus_mm if self.plane is not None else (0.0, 0.0, 1.0, 1.0)
        return placed(focus, self.width(), self.height())

    def _picture(self) -> CutPicture | None:
        if self.plane is None or self._legend is None or self.width() < 1 or self.height() < 1:
            return None
        ratio = self.devicePixelRatioF()
        look = Look(
            width=round(self.width() * ratio),
            height=round(self.height() * ratio),
            scale=self.scale_factor * ratio,
            watermark=self.watermark,
            stale=self.stale,
            covered=None if self._covered is None else _edges(self._covered, ratio),
        )
        key = (self.plane, self._legend, look)
        picture = self._pictures.get(key)
        if picture is None:
            picture = cut_picture(*key)
            picture.pixels.setDevicePixelRatio(ratio)
            while len(self._pictures) >= _PICTURES_KEPT:
                del self._pictures[next(iter(self._pictures))]
            self._pictures[key] = picture
        return picture


def _edges(box: QRect, ratio: float) -> tuple[int, int, int, int]:
    left, top, right, bottom = box.left(), box.top(), box.right() + 1, box.bottom() + 1
    return round(left * ratio), round(top * ratio), round(right * ratio), round(bottom * ratio)
