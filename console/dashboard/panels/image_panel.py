"""The dose over the anatomy in three cuts, with its badge, dose scale, buttons and what lies under the crosshair."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.dose_scale import DoseScale
from console.dashboard.panels.elided_label import plain
from console.dashboard.panels.layer_buttons import LayerButtons
from console.dashboard.panels.plane_view import PlaneView
from console.dashboard.panels.probe_panel import ProbePanel
from console.dashboard.screen.model import Badge, Screen, Tone
from console.snapshot import Mode

NO_PLANE = 99
"""The plane of `ImagePanel.hovered` when the cursor has left the images."""
_GAP = 4
_AXIAL_SHARE = 0.62
_PROBE_TOOLTIP = (
    "Place in the patient (mm; L/R, A/P, H/F as in DICOM) and what the fraction's map holds there (Gy), with its "
    "standard uncertainty (k = 1) or the reason why there is none."
)
_BADGE_TOOLTIP = (
    "After which fraction, when its series was acquired (DICOM, in the plan's time zone) and how long ago.\n"
    "STALE after a newer injection, while a newer series arrives, after a change of settings, and when older than "
    "setting display.stale_after_s."
)


class Line(QWidget):
    """One line of plain text that changes with every step: a label would lay the whole window out anew."""

    def __init__(self) -> None:
        super().__init__()
        self._text, self._scale = "", 1.0
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def text(self) -> str:
        """What is written."""
        return self._text

    def set_text(self, text: str) -> None:
        """Write another text."""
        if text != self._text:
            self._text = text
            self.setToolTip(plain(f"{text}\n{_PROBE_TOOLTIP}" if text else ""))
            self.update()

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self.setFixedHeight(round(24 * scale))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the text, cut with an ellipsis where it is too long."""
        letters = theme.font(16 * self._scale)
        painter = QPainter(self)
        painter.setFont(letters)
        painter.setPen(theme.colour(Tone.NORMAL))
        shown = QFontMetricsF(letters).elidedText(self._text, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignVCenter), shown)
        painter.end()


class Cuts(QWidget):
    """Three views and the dose scale: axial large, coronal over sagittal; in the comparison two of equal size."""

    def __init__(self) -> None:
        super().__init__()
        self.views = tuple(PlaneView() for _ in range(3))
        self.scale_bar = DoseScale()
        for child in (*self.views, self.scale_bar):
            child.setParent(self)
        self._compared = False
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def arrange(self, *, compared: bool) -> None:
        """Give the views their places."""
        if compared != self._compared:
            self._compared = compared
            self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Fill the room."""
        self._place()

    def _place(self) -> None:
        bar, tall = self.scale_bar.width(), self.height()
        room = self.width() - bar - 2 * _GAP
        first = round(room * (0.5 if self._compared else _AXIAL_SHARE))
        half = (tall - _GAP) // 2
        self.views[0].setGeometry(QRect(0, 0, first, tall))
        self.views[1].setGeometry(QRect(first + _GAP, 0, room - first, tall if self._compared else half))
        self.views[2].setGeometry(QRect(first + _GAP, half + _GAP, room - first, tall - half - _GAP))
        self.scale_bar.setGeometry(QRect(self.width() - bar, 0, bar, tall))


class ImagePanel(QFrame):
    """The cuts between their badge and their buttons."""

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
        self.badge, self.message = QLabel(), QLabel()
        self.badge.setObjectName("badge")
        self.badge.setTextFormat(Qt.TextFormat.PlainText)
        self.badge.setToolTip(_BADGE_TOOLTIP)
        self.badge.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.message.setObjectName("message")
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.cuts, self.probe, self.layers = Cuts(), Line(), LayerButtons()
        self.views, self.scale_bar, self.buttons = self.cuts.views, self.cuts.scale_bar, self.layers.buttons
        for number, view in enumerate(self.views):
            view.stepped.connect(lambda step, n=number: self.stepped.emit(n, step))
            view.pointed.connect(lambda x, y, n=number: self.pointed.emit(n, x, y))
            view.hovered.connect(lambda x, y, n=number: self.hovered.emit(n, x, y))
            view.left.connect(lambda: self.hovered.emit(NO_PLANE, 0.0, 0.0))
        self.probe_panel = ProbePanel(self.views[0])
        self.layers.asked.connect(self.asked)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(6, 6, 6, 4)
        rows.setSpacing(4)
        rows.addWidget(self.badge)
        rows.addWidget(self.message, 1)
        rows.addWidget(self.cuts, 1)
        rows.addWidget(self.probe)
        rows.addWidget(self.layers)

    def set_scale(self, scale: float) -> None:
        """Scale the writing from 1920 × 1080."""
        for part in (self.scale_bar, self.probe, self.layers, self.probe_panel):
            part.set_scale(scale)
        for view in self.views:
            view.scale_factor = scale
            view.update()

    def draw(self, screen: Screen) -> None:
        """Show the cuts, or say why there are none."""
        self._draw_badge(screen.badge)
        if self.message.text() != screen.images_message:
            self.message.setText(screen.images_message)
        self.message.setVisible(bool(screen.images_message))
        self.scale_bar.draw(screen.legend)
        self.cuts.arrange(compared=screen.layers.compare)
        watermark = "" if screen.header.mode is Mode.LIVE else screen.header.mode.value
        watermark = "WHAT-IF" if screen.header.what_if else watermark
        for number, view in enumerate(self.views):
            plane = screen.planes[number] if number < len(screen.planes) else None
            view.setVisible(plane is not None)
            cross = screen.crosshairs_mm[number] if plane is not None else (0.0, 0.0)
            view.draw(plane, screen.legend, crosshair_mm=cross, watermark=watermark, stale=screen.badge.stale)
        self.cuts.setVisible(bool(screen.planes))
        self.probe.set_text(f"✛ {screen.probe.words}" if screen.probe.words else "")
        self._draw_probe_panel(screen)
        self.layers.draw(screen.layers)

    def _draw_probe_panel(self, screen: Screen) -> None:
        """Over a corner of the axial cut, clear of the crosshair, and nothing of the cut is written under it."""
        shown = screen.layers.probe and bool(screen.planes)
        self.probe_panel.draw(screen.probe, shown=shown)
        if shown:
            self.probe_panel.keep_clear_of(self.views[0].at(*screen.crosshairs_mm[0]))
        self.views[0].keep_free(self.probe_panel.geometry() if shown else None)

    def _draw_badge(self, badge: Badge) -> None:
        if self.badge.text() != badge.text:
            self.badge.setText(badge.text)
        tone = theme.TONES[badge.state.tone]
        ink, ground = ("#1a1000", tone) if badge.state.tone in (Tone.CAUTION, Tone.ALERT) else (tone, theme.RAISED)
        theme.restyle(self.badge, f"QLabel#badge {{ color: {ink}; background: {ground}; }}")
