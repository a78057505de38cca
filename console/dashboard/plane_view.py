"""One cut through the patient: grey anatomy, dose wash, isodose lines, outlines, letters, crosshair."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QStyleOptionGraphicsItem, QWidget

from console.dashboard import theme
from console.dashboard.screen_model import DoseLegend, Lines, PlaneScreen, Tone

_SCALE_BAR_MM = 50.0


class _SmoothImage(pg.ImageItem):  # type: ignore[misc]
    """An image whose voxels are interpolated on the screen."""

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        super().paint(painter, option, widget)


class PlaneView(pg.GraphicsView):  # type: ignore[misc]
    """Draws a `PlaneScreen`. All items are made once; a new plane only sets their data."""

    stepped = Signal(int)
    """The wheel was turned: +1 towards the patient's left, back or head."""
    pointed = Signal(float, float)
    """A place of the plane was pressed: mm from the left, mm from the top."""

    def __init__(self) -> None:
        super().__init__(background=theme.IMAGE_BACKGROUND)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setFrameShape(self.Shape.NoFrame)
        self.box = pg.ViewBox(lockAspect=1.0, invertY=True, enableMouse=False, enableMenu=False)
        self.box.disableAutoRange()
        self.setCentralItem(self.box)
        self.grey = _SmoothImage(axisOrder="row-major")
        self.wash = _SmoothImage(axisOrder="row-major")
        self.hatch = pg.ImageItem(axisOrder="row-major")
        self.box.addItem(self.grey, ignoreBounds=True)
        self.box.addItem(self.wash, ignoreBounds=True)
        self.box.addItem(self.hatch, ignoreBounds=True)
        self.levels: list[pg.PlotCurveItem] = []
        self.borders: list[pg.PlotCurveItem] = []
        cross = pg.mkPen("#ffffff", width=1, style=Qt.PenStyle.DotLine)
        self.cross = [pg.InfiniteLine(angle=angle, pen=cross, movable=False) for angle in (90, 0)]
        for line in self.cross:
            line.setOpacity(0.6)
            self.box.addItem(line, ignoreBounds=True)
        self.plane: PlaneScreen | None = None
        self.watermark = ""
        self.stale = False
        self.scale_factor = 1.0
        self._legend: DoseLegend | None = None
        self._table: NDArray[np.uint8] | None = None
        self._focus: tuple[float, float, float, float] | None = None
        self._pressed = False
        self._drawn: tuple[PlaneScreen | None, DoseLegend, str, bool, float] | None = None

    def draw(
        self,
        plane: PlaneScreen | None,
        legend: DoseLegend,
        *,
        crosshair_mm: tuple[float, float],
        watermark: str,
        stale: bool,
    ) -> None:
        """Show a plane; None empties the view. Of the plane already shown only the crosshair is moved."""
        for line, place in zip(self.cross, crosshair_mm, strict=True):
            line.setPos(place)
        state = (plane, legend, watermark, stale, self.scale_factor)
        if state == self._drawn:
            return
        self._drawn = state
        self.plane, self.watermark, self.stale = plane, watermark, stale
        for item in (self.grey, self.wash, self.hatch, *self.cross):
            item.setVisible(plane is not None)
        if legend != self._legend:
            self._legend, self._table = legend, theme.dose_table(legend)
        if plane is None:
            for curve in (*self.levels, *self.borders):
                curve.setVisible(False)
        else:
            self._set_images(plane, legend)
            self._set_lines(plane, legend)
            if plane.focus_mm != self._focus:
                self._focus = plane.focus_mm
                left, top, width, height = plane.focus_mm
                self.box.setRange(QRectF(left, top, width, height), padding=0.0)
        self.viewport().update()

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
        """Drag the crosshair."""
        self._point(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Let the crosshair be."""
        self._pressed = False

    def _point(self, event: QMouseEvent) -> None:
        if self._pressed and self.plane is not None:
            place = self.box.mapSceneToView(self.mapToScene(event.position().toPoint()))
            self.pointed.emit(place.x(), place.y())
        event.accept()

    def _set_images(self, plane: PlaneScreen, legend: DoseLegend) -> None:
        width, height = plane.geometry.size_mm
        rect = QRectF(0, 0, width, height)
        if plane.grey is not None:
            # pyqtgraph searches for NaN on every paint unless there is none to find.
            self.grey.setImage(
                np.nan_to_num(plane.grey, nan=plane.grey_levels[0]), autoLevels=False, levels=plane.grey_levels
            )
            self.grey.setRect(rect)
        self.wash.setVisible(plane.dose is not None)
        if plane.dose is not None and self._table is not None:
            known = np.nan_to_num(plane.dose, nan=0.0)
            index = np.clip(known * (255.0 / legend.maximum_gy), 0, 255).astype(np.uint8)
            self.wash.setImage(self._table[index], autoLevels=False, levels=(0, 255))
            self.wash.setRect(rect)
        hatched = plane.unevaluable is not None and bool(plane.unevaluable.any())
        self.hatch.setVisible(hatched)
        if hatched and plane.unevaluable is not None:
            self.hatch.setImage(_hatching(plane.unevaluable), autoLevels=False, levels=(0, 255))
            self.hatch.setRect(rect)

    def _set_lines(self, plane: PlaneScreen, legend: DoseLegend) -> None:
        width = 1.8 * self.scale_factor
        self._grow(self.levels, len(plane.isodoses))
        for number, curve in enumerate(self.levels):
            lines = plane.isodoses[number].lines if number < len(plane.isodoses) else None
            _set_curve(curve, lines, theme.level_pen(legend, number, width) if lines is not None else None)
        self._grow(self.borders, len(plane.outlines))
        for number, curve in enumerate(self.borders):
            outline = plane.outlines[number] if number < len(plane.outlines) else None
            pen = None
            if outline is not None:
                ink = theme.series_colour(outline.series) if outline.series is not None else QColor(theme.TEXT)
                pen = pg.mkPen(ink, width=(2.6 if outline.series is not None else 1.4) * self.scale_factor)
            _set_curve(curve, outline.lines if outline is not None else None, pen)

    def _grow(self, curves: list[pg.PlotCurveItem], count: int) -> None:
        while len(curves) < count:
            curve = pg.PlotCurveItem(antialias=True)
            self.box.addItem(curve, ignoreBounds=True)
            curves.append(curve)

    def drawForeground(self, painter: QPainter, rect: QRectF) -> None:  # noqa: N802
        """Write what must not scale with the image: letters, names, doses of the lines, scale bar, watermark."""
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.plane is not None:
            if self.watermark:
                self._write_watermark(painter)
            self._write_names(painter, self.plane)
            self._write_letters(painter, self.plane)
            if self.stale:
                self._write_stale(painter)
        painter.restore()

    def _at(self, x_mm: float, y_mm: float) -> QPointF:
        return QPointF(self.mapFromScene(self.box.mapViewToScene(QPointF(x_mm, y_mm))))

    def _write_letters(self, painter: QPainter, plane: PlaneScreen) -> None:
        width, height = self.viewport().width(), self.viewport().height()
        size = 26 * self.scale_factor
        painter.setFont(theme.font(size, bold=True))
        left, right, top, bottom = plane.geometry.letters
        pad = 6 * self.scale_factor
        box = QRectF(pad, pad, width - 2 * pad, height - 2 * pad)
        middle = Qt.AlignmentFlag.AlignVCenter
        for text, where in (
            (left, Qt.AlignmentFlag.AlignLeft | middle),
            (right, Qt.AlignmentFlag.AlignRight | middle),
            (top, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter),
            (bottom, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignHCenter),
        ):
            _write(painter, box, where, text, QColor("#ffe27a"))
        painter.setFont(theme.font(14 * self.scale_factor, bold=True, narrow=True))
        corner = Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignRight
        _write(painter, box, corner, plane.title, QColor(theme.TEXT))
        length = self._at(_SCALE_BAR_MM, 0).x() - self._at(0, 0).x()
        y = height - pad - 4
        painter.setPen(QPen(QColor(theme.TEXT), 2))
        painter.drawLine(QPointF(pad, y), QPointF(pad + length, y))
        strip = QRectF(pad, y - 24 * self.scale_factor, 200, 22 * self.scale_factor)
        painter.setFont(theme.font(13 * self.scale_factor))
        _write(painter, strip, Qt.AlignmentFlag.AlignLeft, f"{_SCALE_BAR_MM / 10:.0f} cm", QColor(theme.TEXT))

    def _write_names(self, painter: QPainter, plane: PlaneScreen) -> None:
        """Doses of the lines and names of the volumes beside them; one that would cover another is left out."""
        letters = theme.font(14 * self.scale_factor, bold=True)
        metrics = QFontMetricsF(letters)
        painter.setFont(letters)
        names = [(o.name, o.lines, theme.series_colour(o.series)) for o in plane.outlines if o.series is not None]
        if self._legend is not None:
            legend = self._legend
            names += [(f"{i.level_gy:g}", i.lines, theme.level_colour(legend, i.level_gy)) for i in plane.isodoses]
        taken: list[QRectF] = []
        for text, lines, ink in names:
            size = QSizeF(metrics.horizontalAdvance(text) + 6, metrics.height())
            box = self._free(lines, size, taken)
            if box is None:
                continue
            taken.append(box)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(0, 0, 0, 190))
            painter.drawRoundedRect(box, 3, 3)
            painter.setPen(ink)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)

    def _free(self, lines: Lines, size: QSizeF, taken: list[QRectF]) -> QRectF | None:
        """Return the first place beside the line that covers no other name; None if there is none."""
        room = QRectF(self.viewport().rect())
        wide, tall, gap = size.width(), size.height(), 3.0
        offsets = ((gap, -tall / 2), (-gap - wide, -tall / 2), (-wide / 2, -gap - tall), (-wide / 2, gap))
        for place_mm, (across, down) in zip(lines.label_places, offsets, strict=False):
            place = self._at(*place_mm)
            box = QRectF(QPointF(place.x() + across, place.y() + down), size)
            if room.contains(box) and not any(box.intersects(other) for other in taken):
                return box
        return None

    def _write_watermark(self, painter: QPainter) -> None:
        painter.setFont(theme.font(self.viewport().height() / 7, bold=True))
        painter.setPen(QColor(216, 180, 254, 70))
        painter.drawText(self.viewport().rect(), int(Qt.AlignmentFlag.AlignCenter), self.watermark)

    def _write_stale(self, painter: QPainter) -> None:
        """An amber hatched rim: a shape that is seen without colour."""
        width, height = self.viewport().width(), self.viewport().height()
        rim = 9 * self.scale_factor
        amber = theme.colour(Tone.CAUTION)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(amber)
        painter.setBrush(Qt.BrushStyle.BDiagPattern)
        brush = painter.brush()
        brush.setColor(amber)
        painter.setBrush(brush)
        for strip in (
            QRectF(0, 0, width, rim),
            QRectF(0, height - rim, width, rim),
            QRectF(0, 0, rim, height),
            QRectF(width - rim, 0, rim, height),
        ):
            painter.drawRect(strip)


def _set_curve(curve: pg.PlotCurveItem, lines: Lines | None, pen: QPen | None) -> None:
    visible = lines is not None and len(lines.x_mm) > 1
    curve.setVisible(visible)
    if visible and lines is not None:
        curve.setData(x=lines.x_mm, y=lines.y_mm, connect=lines.connect, pen=pen)


def _write(painter: QPainter, box: QRectF, where: Qt.AlignmentFlag, text: str, ink: QColor) -> None:
    """Write light letters with a dark rim, legible over any image."""
    painter.setPen(QColor(0, 0, 0, 220))
    for dx, dy in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        painter.drawText(box.translated(dx, dy), int(where), text)
    painter.setPen(ink)
    painter.drawText(box, int(where), text)


def _hatching(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return RGBA that covers every second diagonal of the masked voxels: seen as a pattern, not as a dose."""
    rows, columns = np.indices(mask.shape)
    image = np.zeros((*mask.shape, 4), dtype=np.uint8)
    image[mask & ((rows + columns) % 2 == 0)] = (200, 210, 220, 200)
    return image
