"""The operator's bar, above the foot of the window: one large button, events of one tap, undo, and the dialogs."""

from __future__ import annotations

from itertools import pairwise

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel, fitting, plain
from console.dashboard.screen.model import BarButton, OperatorBar, Tone

_TALL = 46
_MAIN, _TAP, _UNDO, _TOOL = 400, 100, 86, 94
"""Widths at 1920 × 1080."""
_LETTERS, _SMALL, _LARGE = 15.0, 12.0, 21.0
_SAID = 16.0


class TouchKey(QAbstractButton):
    """A button of two lines for a gloved finger: a word, and under it what belongs to it.

    Its ground is its tone where it is `filled`. A double tap counts once: the second would say the opposite of the
    first. What changes between press and release is not what was meant: nothing is asked for then.
    """

    asked = Signal(object)
    """An `Action`."""

    def __init__(self, width: int, *, filled: bool = False, key_first: bool = False) -> None:
        super().__init__()
        self.shown = BarButton(words="")
        self._width, self._filled, self._key_first = width, filled, key_first
        self._scale = 1.0
        self._meant: BarButton | None = None
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setEnabled(False)
        self.pressed.connect(self._remember)
        self.clicked.connect(self._ask)

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self.setFixedSize(round(self._width * scale), round(_TALL * scale))

    def draw(self, button: BarButton) -> None:
        """Show another button in its place."""
        if button == self.shown:
            return
        said_anew = (button.text, button.tooltip) != (self.shown.text, self.shown.tooltip)
        self.shown = button
        self.setEnabled(button.action is not None)
        if said_anew:
            self.setText(button.text)
            self.setAccessibleName(button.text)
            self.setToolTip(plain(button.tooltip))
        self.update()

    def press(self) -> None:
        """As a press and a release."""
        if self.shown.action is not None:
            self.asked.emit(self.shown.action)

    def sizeHint(self) -> QSize:  # noqa: N802
        """As high as a finger."""
        return QSize(round(self._width * self._scale), round(_TALL * self._scale))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter presses, as Space does; not what starts and stops: Enter alone marks the news as read."""
        entered = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if entered and not self._filled and not event.modifiers() and not event.isAutoRepeat():
            self.press()
        elif event.key() == Qt.Key.Key_Escape:
            self.window().setFocus(Qt.FocusReason.OtherFocusReason)
        elif entered:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Do nothing: the first of the two presses was one."""
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint ground, rim and the two lines."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        s, able, focus = self._scale, self.isEnabled(), self.hasFocus()
        tone = theme.colour(self.shown.tone)
        ground = QColor(theme.RAISED if able else theme.PANEL)
        ink = QColor(theme.TEXT) if able else theme.colour(Tone.MUTED)
        if self._filled and able:
            ground, ink = tone, QColor(theme.BACKGROUND)
        if self.isDown():
            ground = ground.darker(120) if self._filled else QColor(theme.LINE)
        rim = theme.colour(Tone.ACTIVE) if focus else QColor(theme.MUTED if able else theme.LINE)
        if focus and self._filled:
            rim = QColor(theme.TEXT)
        pen = QPen(rim, (4.0 if focus else 1.0) * s)
        if not able:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setBrush(ground)
        painter.setPen(pen)
        inset = 2.0 * s if focus else 1.0
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), 6 * s, 6 * s)
        self._write(painter, ink)
        painter.end()

    def _write(self, painter: QPainter, ink: QColor) -> None:
        s, shown = self._scale, self.shown
        first, second = f"{shown.sign} {shown.words}".strip(), shown.detail
        if self._key_first:
            first, second = shown.words, shown.sign
        pixels = (_LARGE if self._filled else _LETTERS) * s
        small = (_LETTERS if self._filled else _SMALL) * s
        middle = self.height() * (0.34 if second else 0.5)
        painter.setPen(ink)
        for text, size, at in ((first, pixels, middle), (second, small, 0.77 * self.height())):
            room = self.width() - 12 * s
            wide = QFontMetricsF(theme.font(size, bold=True, narrow=True)).horizontalAdvance(text)
            letters = theme.font(size * min(1.0, room / max(wide, 1.0)), bold=True, narrow=True)
            painter.setFont(letters)
            metrics = QFontMetricsF(letters)
            shown_text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, self.width() - 8 * s)
            box = QRectF(0, at - metrics.height() / 2, self.width(), metrics.height())
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), shown_text)

    def _remember(self) -> None:
        self._meant = self.shown

    def _ask(self) -> None:
        meant, self._meant = self._meant, None
        same = meant is None or (meant.sign, meant.words) == (self.shown.sign, self.shown.words)
        if same:
            self.press()


class OperatorBarPanel(QWidget):
    """One row, from what is pressed in a hurry on the left to what takes time on the right."""

    asked = Signal(object)
    """An `Action`."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = OperatorBar()
        self.main = TouchKey(_MAIN, filled=True)
        self.taps: list[TouchKey] = []
        self.said = ElidedLabel("said")
        self.said.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.undo = TouchKey(_UNDO)
        self.tools: list[TouchKey] = []
        self._scale = 1.0
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(4)
        for widget, stretch in ((self.main, 0), (self.said, 1), (self.undo, 0)):
            self._row.addWidget(widget, stretch)
        for key in (self.main, self.undo):
            key.asked.connect(self.asked)
        self.hide()

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self.setFixedHeight(round(_TALL * scale))
        for key in (self.main, self.undo, *self.taps, *self.tools):
            key.set_scale(scale)
        self._fit()

    def draw(self, bar: OperatorBar) -> None:
        """Show the bar, or none."""
        if bar == self.bar:
            return
        self.bar = bar
        self.setVisible(bar.shown)
        if not bar.shown:
            return
        self._make(bar)
        self.main.draw(bar.main)
        self.undo.draw(bar.undo)
        for key, button in zip((*self.taps, *self.tools), (*bar.taps, *bar.tools), strict=True):
            key.draw(button)
        self.said.show_text(bar.said.text)
        self._fit()

    def start_or_stop(self) -> None:
        """Press the large button; does nothing where it cannot be pressed."""
        if self.bar.shown:
            self.main.press()

    def resizeEvent(self, event: object) -> None:  # noqa: N802
        """Choose the letters for the new width."""
        self._fit()

    def _make(self, bar: OperatorBar) -> None:
        """Make the buttons once: their number is always the same."""
        if self.taps:
            return
        self.taps = [TouchKey(_TAP) for _ in bar.taps]
        self.tools = [TouchKey(_TOOL, key_first=True) for _ in bar.tools]
        for number, key in enumerate(self.taps, start=1):
            self._row.insertWidget(number, key)
        for key in self.tools:
            self._row.addWidget(key)
        for key in (*self.taps, *self.tools):
            key.set_scale(self._scale)
            key.asked.connect(self.asked)
        order = (self.main, *self.taps, self.undo, *self.tools)
        for one, other in pairwise(order):
            QWidget.setTabOrder(one, other)

    def _fit(self) -> None:
        pixels = fitting(self.said.whole, _SAID * self._scale, self.said.width() - 16 * self._scale)
        side = round(6 * self._scale)
        style = f"color: {theme.TONES[self.bar.said.tone]}; font-size: {pixels}px; font-weight: bold;"
        theme.restyle(self.said, f"QLabel {{ {style} padding: 0px {side}px; }}")
