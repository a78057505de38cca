"""The dose over the anatomy in three cuts, with its badge, dose scale and what lies under the crosshair."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from console.dashboard import theme
from console.dashboard.plane_view import PlaneView
from console.dashboard.screen_model import Badge, DoseLegend, Screen, Tone
from console.snapshot import Mode


class DoseScale(QWidget):
    """The colour bar: fixed doses in Gy, with the stroke of every isodose line."""

    def __init__(self) -> None:
        super().__init__()
        self._legend: DoseLegend | None = None
        self._scale = 1.0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)

    def draw(self, legend: DoseLegend) -> None:
        """Show the doses of a legend."""
        if legend != self._legend:
            self._legend = legend
            self.update()

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self.setFixedWidth(round(96 * scale))
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Narrow and as tall as there is room."""
        return QSize(round(96 * self._scale), 200)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the bar, its doses and their strokes."""
        legend = self._legend
        if legend is None:
            return
        s = self._scale
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font(16 * s, bold=True))
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(QRectF(0, 0, self.width(), 24 * s), int(Qt.AlignmentFlag.AlignCenter), "Gy")
        top, bottom, left, width = 38 * s, self.height() - 16 * s, 6 * s, 20 * s
        table = theme.dose_table(legend)
        rows = int(bottom - top)
        for row in range(rows):
            red, green, blue, alpha = (int(v) for v in table[round(255 * (1 - row / max(1, rows - 1)))])
            painter.fillRect(QRectF(left, top + row, width, 1.5), QColor(red, green, blue, 255 if alpha else 0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QColor(theme.MUTED))
        painter.drawRect(QRectF(left, top, width, rows))
        for number, level in enumerate(legend.levels_gy):
            y = bottom - (bottom - top) * min(1.0, level / legend.maximum_gy)
            painter.setPen(theme.level_pen(legend, number, max(1.5, 2.4 * s)))
            painter.drawLine(QPointF(left + width + 3 * s, y), QPointF(left + width + 25 * s, y))
            painter.setPen(QColor(theme.TEXT))
            box = QRectF(left + width + 28 * s, y - 11 * s, self.width(), 22 * s)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), f"{level:g}")
        painter.end()


class ImagePanel(QFrame):
    """Axial large, coronal over sagittal beside it."""

    stepped = Signal(int, int)
    """(plane, direction)"""
    pointed = Signal(int, float, float)
    """(plane, mm from the left, mm from the top)"""
    hovered = Signal(int, float, float)
    """The same under the cursor without a press; plane 99 when the cursor has left the images."""
    asked = Signal(object)
    """An `Action` of a button."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.badge, self.layers, self.probe, self.message = QLabel(), QLabel(), QLabel(), QLabel()
        for label, name in ((self.badge, "badge"), (self.layers, "layers"), (self.probe, "probe")):
            label.setObjectName(name)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.message.setObjectName("message")
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.layers.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.views = tuple(PlaneView() for _ in range(3))
        self.scale_bar = DoseScale()
        for number, view in enumerate(self.views):
            view.stepped.connect(lambda step, n=number: self.stepped.emit(n, step))
            view.pointed.connect(lambda x, y, n=number: self.pointed.emit(n, x, y))
        self.cuts = QWidget()
        images = QGridLayout(self.cuts)
        images.setContentsMargins(0, 0, 0, 0)
        images.setSpacing(4)
        images.addWidget(self.views[0], 0, 0, 2, 1)
        images.addWidget(self.views[1], 0, 1)
        images.addWidget(self.views[2], 1, 1)
        images.addWidget(self.scale_bar, 0, 2, 2, 1)
        images.setColumnStretch(0, 62)
        images.setColumnStretch(1, 38)
        images.setRowStretch(0, 1)
        images.setRowStretch(1, 1)
        foot = QHBoxLayout()
        foot.addWidget(self.probe, 5)
        foot.addWidget(self.layers, 4)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(6, 6, 6, 4)
        rows.setSpacing(4)
        rows.addWidget(self.badge)
        rows.addWidget(self.message, 1)
        rows.addWidget(self.cuts, 1)
        rows.addLayout(foot)

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        self.scale_bar.set_scale(scale)
        for view in self.views:
            view.scale_factor = scale

    def draw(self, screen: Screen) -> None:
        """Show the cuts, or say why there are none."""
        self._draw_badge(screen.badge)
        self.message.setText(screen.images_message)
        self.message.setVisible(bool(screen.images_message))
        self.scale_bar.draw(screen.legend)
        watermark = "" if screen.header.mode is Mode.LIVE else screen.header.mode.value
        for number, view in enumerate(self.views):
            plane = screen.planes[number] if number < len(screen.planes) else None
            view.setVisible(plane is not None)
            cross = screen.crosshairs_mm[number] if plane is not None else (0.0, 0.0)
            view.draw(plane, screen.legend, crosshair_mm=cross, watermark=watermark, stale=screen.badge.stale)
        self.cuts.setVisible(bool(screen.planes))
        self.probe.setText(f"✛ {screen.probe.words}" if screen.probe.words else "")
        on = screen.layers
        words = (("D wash", on.wash), ("I isodose", on.isodose), ("V volumes", on.volumes))
        self.layers.setText("   ".join(f"{'■' if shown else '□'} {word}" for word, shown in words))

    def _draw_badge(self, badge: Badge) -> None:
        self.badge.setText(badge.text)
        tone = theme.TONES[badge.state.tone]
        ink, ground = ("#1a1000", tone) if badge.state.tone in (Tone.CAUTION, Tone.ALERT) else (tone, theme.RAISED)
        theme.restyle(self.badge, f"QLabel#badge {{ color: {ink}; background: {ground}; }}")
