"""The probe: numbers under the cursor and the echo decay with its fit, in a corner of the axial cut."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QToolTip, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import plain
from console.dashboard.panels.painted_axes import Axes, paint_axes
from console.dashboard.panels.table_panel import paint_symbol
from console.dashboard.screen.model import DecayCurve, Probe, Tone
from console.dashboard.screen.ticks import log_ticks, nice_above, nice_ticks

_WIDTH, _PLOT_HEIGHT = 350.0, 160.0
_LETTERS, _PLOT_LETTERS = 13.0, 12.0
# Reference and fraction by shape, colour and stroke: the looks of the plot's first two volumes, known to be told apart.
_LOOKS = (0, 1)
_STROKES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine)
# A noise line further below the echoes than this would press them together.
_FARTHEST_NOISE = 300.0
_EDGE = 8.0
_PLOT_WORDS = (
    "Echoes of the nearest voxel as measured (symbols), and the fit S(TE) = S₀·exp(−R2*·TE) (lines); signal in each "
    "series' own unit, TE in ms. The fit sees the signal freed from the noise floor: late echoes lie above it. "
    "Source: docs/physics.md §2."
)


class ProbePanel(QWidget):
    """Lies over a corner of the images while the probe is open, opaque: no image shines through its numbers."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.probe = Probe()
        self._axes: tuple[Axes, float, QPixmap] | None = None
        self._scale = 1.0
        self.set_scale(1.0)
        self.hide()

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self._axes = None
        self._fit()
        self.update()

    def keep_clear_of(self, point: QPointF) -> None:
        """Stand in the upper left corner of the parent, or in its upper right while it would cover this point there."""
        parent = self.parentWidget()
        if parent is None:
            return
        here = QRectF(0, 0, self.width(), self.height())
        left = parent.width() - self.width() if here.contains(point) else 0
        if (self.x(), self.y()) != (left, 0):
            self.move(left, 0)

    def draw(self, probe: Probe, *, shown: bool) -> None:
        """Show the probe, or hide."""
        if self.isHidden() is shown:
            self.setVisible(shown)
        if shown and probe != self.probe:
            self.probe = probe
            lines = [" ".join(cell.text for cell in row.cells) for row in probe.rows]
            self.setAccessibleDescription("\n".join([*lines, *(curve.words for curve in probe.decays), probe.message]))
            self._fit()
            self.update()

    def event(self, event: QEvent) -> bool:
        """Tell what the number under the mouse means, in which unit, and where it comes from."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            number = int((event.pos().y() - _EDGE * self._scale) // self._line)
            rows = self.probe.rows
            words = rows[number].cells[1].tooltip if 0 <= number < len(rows) else self._curve_words()
            QToolTip.showText(event.globalPos(), plain(words), self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the numbers, and under them the echoes."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.BACKGROUND))
        painter.setPen(QPen(QColor(theme.MUTED), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top = self._paint_rows(painter)
        self._paint_plot(painter, top)
        painter.end()

    def _fit(self) -> None:
        """No taller than what it says: the image is under it."""
        letters = QFontMetricsF(theme.font(_PLOT_LETTERS * self._scale)).height()
        height = 2 * _EDGE * self._scale + len(self.probe.rows) * self._line
        height += 2 * letters * bool(self.probe.message) + _PLOT_HEIGHT * self._scale * bool(self.probe.decays)
        size = QSize(round(_WIDTH * self._scale), round(height))
        if self.size() != size:
            self.setFixedSize(size)

    @property
    def _line(self) -> float:
        return 15.5 * self._scale

    def _curve_words(self) -> str:
        return "\n".join([_PLOT_WORDS, *(f"{curve.name}: {curve.words}" for curve in self.probe.decays)])

    def _paint_rows(self, painter: QPainter) -> float:
        """The numbers; returns where they end."""
        edge, line = _EDGE * self._scale, self._line
        letters, bold = theme.font(_LETTERS * self._scale), theme.font(_LETTERS * self._scale, bold=True)
        metrics, of_bold = QFontMetricsF(letters), QFontMetricsF(bold)
        names = max((metrics.horizontalAdvance(row.cells[0].text) for row in self.probe.rows), default=0.0)
        left = edge + names + edge
        room = self.width() - left - edge
        middle = int(Qt.AlignmentFlag.AlignVCenter)
        painter.setFont(letters)
        painter.setPen(theme.colour(Tone.MUTED))
        for number, row in enumerate(self.probe.rows):
            painter.drawText(QRectF(edge, edge + number * line, names + 2, line), middle, row.cells[0].text)
        painter.setFont(bold)
        for number, row in enumerate(self.probe.rows):
            value = row.cells[1]
            painter.setPen(theme.colour(value.tone))
            words = of_bold.elidedText(value.text, Qt.TextElideMode.ElideRight, room)
            painter.drawText(QRectF(left, edge + number * line, room + 2, line), middle, words)
        return edge + len(self.probe.rows) * line

    def _paint_plot(self, painter: QPainter, top: float) -> None:
        """The echoes of both series with their fits on a logarithmic axis: a mono-exponential decay is straight."""
        pixels = _PLOT_LETTERS * self._scale
        metrics = QFontMetricsF(theme.font(pixels))
        edge = _EDGE * self._scale
        curves = self.probe.decays
        if self.probe.message:
            painter.setFont(theme.font(pixels))
            painter.setPen(theme.colour(Tone.CAUTION))
            room = QRectF(edge, top + 2, self.width() - 2 * edge, 2 * metrics.height())
            painter.drawText(room, int(Qt.TextFlag.TextWordWrap), self.probe.message)
            top += 2 * metrics.height()
        if not curves:
            return
        box = QRectF(
            metrics.height() + metrics.horizontalAdvance("5000") + 10,
            top + metrics.height() + 8,
            0.0,
            0.0,
        )
        box.setRight(self.width() - 2 * edge)
        box.setBottom(self.height() - 2 * metrics.height() - edge)
        last_ms = max(curve.echo_times_ms[-1] for curve in curves)
        axes = Axes(box=box, x_range=(0.0, last_ms), y_range=_signal_range(curves), log_y=True)
        self._paint_axes(painter, axes, pixels)
        self._paint_noise(painter, axes, curves, pixels)
        left = box.left()
        for number, curve in enumerate(curves):
            left = self._paint_curve(painter, axes, curve, number, left, top + 4, pixels)

    def _paint_axes(self, painter: QPainter, axes: Axes, pixels: float) -> None:
        """The axes, as painted last where they are still the same: they change with few voxels."""
        ratio = self.devicePixelRatioF()
        if self._axes is None or self._axes[:2] != (axes, ratio):
            ground = QPixmap(round(self.width() * ratio), round(self.height() * ratio))
            ground.setDevicePixelRatio(ratio)
            ground.fill(Qt.GlobalColor.transparent)
            on = QPainter(ground)
            paint_axes(
                on,
                axes,
                x_ticks=nice_ticks(*axes.x_range, 8),
                y_ticks=log_ticks(*axes.y_range),
                labels=("TE (ms)", "signal (a.u.)"),
                pixels=pixels,
            )
            on.end()
            self._axes = (axes, ratio, ground)
        painter.drawPixmap(0, 0, self._axes[2])

    def _paint_noise(self, painter: QPainter, axes: Axes, curves: tuple[DecayCurve, ...], pixels: float) -> None:
        """The noise of each series, in its colour: an echo near it tells little."""
        painter.setFont(theme.font(pixels))
        for number, curve in enumerate(curves):
            if not axes.y_range[0] < curve.noise_sigma < axes.y_range[1]:
                continue
            ink = theme.series_colour(_LOOKS[number % 2])
            y = axes.place(0.0, curve.noise_sigma).y()
            pen = QPen(ink, max(1.0, self._scale))
            pen.setDashPattern([1, 3])
            painter.setPen(pen)
            painter.drawLine(QPointF(axes.box.left(), y), QPointF(axes.box.right(), y))
            if number == 0:
                painter.setPen(QColor(theme.MUTED))
                painter.drawText(QPointF(axes.box.left() + 4, y - 3), "noise σ")

    def _paint_curve(
        self, painter: QPainter, axes: Axes, curve: DecayCurve, number: int, left: float, top: float, pixels: float
    ) -> float:
        """One series: its fit, its echoes, its name above the plot; returns where the next name may begin."""
        look = _LOOKS[number % 2]
        ink = theme.series_colour(look)
        painter.save()
        painter.setClipRect(axes.box.adjusted(-5, -5, 5, 5))
        if curve.fit_times_ms:
            painter.setPen(QPen(ink, 1.8 * self._scale, _STROKES[number % 2]))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPath(axes.path(curve.fit_times_ms, curve.fit_signal))
        for x, y in zip(axes.x_pixels(curve.echo_times_ms), axes.y_pixels(curve.signal), strict=True):
            paint_symbol(painter, look, QPointF(float(x), float(y)), 7.5 * self._scale)
        painter.restore()
        letters = theme.font(pixels, bold=True)
        metrics = QFontMetricsF(letters)
        paint_symbol(painter, look, QPointF(left + 0.4 * pixels, top + 0.5 * metrics.height()), 0.7 * pixels)
        painter.setFont(letters)
        painter.setPen(ink)
        painter.drawText(QPointF(left + pixels, top + metrics.ascent()), curve.name)
        return left + 2.2 * pixels + metrics.horizontalAdvance(curve.name)


def _signal_range(curves: tuple[DecayCurve, ...]) -> tuple[float, float]:
    """The ends of the signal axis: all echoes, and the noise where it is not far below them.

    Round ends, so that the axis stays as it is from voxel to voxel.
    """
    measured = [v for curve in curves for v in curve.signal if v > 0]
    high = nice_above(1.1 * max([*measured, *(curve.fit_signal[0] for curve in curves if curve.fit_signal)], default=1))
    noise = [curve.noise_sigma for curve in curves if curve.noise_sigma > high / _FARTHEST_NOISE]
    low = max(min([*measured, *noise], default=0.1 * high), high / _FARTHEST_NOISE)
    return 1.0 / nice_above(1.25 / low), high
