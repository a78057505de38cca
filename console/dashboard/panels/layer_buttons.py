"""Buttons for a gloved finger: the layers and the ways of looking, each with its state and its key."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QWidget

from console.dashboard.panels import theme
from console.dashboard.screen.model import LayersOn, Tone
from console.dashboard.screen.view import (
    Action,
    Layer,
    Quantity,
    ShowQuantity,
    ToggleCompare,
    ToggleFlicker,
    ToggleLayer,
    ToggleProbe,
)

# word with its key in front, action, what it does
_BUTTONS: tuple[tuple[str, Action, str], ...] = (
    ("D wash", ToggleLayer(layer=Layer.WASH), "Colours of the quantity over the anatomy, on or off."),
    ("I lines", ToggleLayer(layer=Layer.ISODOSE), "Lines of equal dose (Gy), on or off."),
    ("V volumes", ToggleLayer(layer=Layer.VOLUMES), "Borders of the volumes, on or off."),
    ("U ± map", ShowQuantity(quantity=Quantity.UNCERTAINTY), "Standard uncertainty (k = 1, Gy) of each voxel alone."),
    ("N increment", ShowQuantity(quantity=Quantity.INCREMENT), "Dose gained since the image before (Gy)."),
    ("C compare", ToggleCompare(), "The imaged fraction before, beside the shown one."),
    ("R flicker", ToggleFlicker(), "Reference and registered fraction take turns, without dose."),
    ("P probe", ToggleProbe(), "Echoes and fit under the cursor."),
)
_TALL = 44


class LayerButton(QAbstractButton):
    """A toggle whose state is a square, filled or empty, before its word."""

    def __init__(self, word: str, tooltip: str) -> None:
        super().__init__()
        self.setText(word)
        self.setToolTip(f"{tooltip}\nKey {word[0]}.")
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._scale = 1.0

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        self._scale = scale
        self.setFixedHeight(round(_TALL * scale))

    def nextCheckState(self) -> None:  # noqa: N802
        """Leave the state to the view: it decides what a press turns on and off."""

    def sizeHint(self) -> QSize:  # noqa: N802
        """As high as a finger."""
        return QSize(round(100 * self._scale), round(_TALL * self._scale))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint square and word."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on, s = self.isChecked(), self._scale
        painter.setBrush(QColor(theme.LINE if self.isDown() else theme.RAISED if on else theme.PANEL))
        painter.setPen(QPen(theme.colour(Tone.ACTIVE) if on else QColor(theme.LINE), (2.0 if on else 1.0) * s))
        painter.drawRoundedRect(QRectF(1, 1, self.width() - 2, self.height() - 2), 5 * s, 5 * s)
        text = f"{'■' if on else '□'} {self.text()}"
        pixels = 15 * s
        wide = QFontMetricsF(theme.font(pixels, bold=True, narrow=True)).horizontalAdvance(text)
        painter.setFont(theme.font(pixels * min(1.0, (self.width() - 8) / max(wide, 1.0)), bold=True, narrow=True))
        painter.setPen(QColor(theme.TEXT) if on else theme.colour(Tone.MUTED))
        painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), text)
        painter.end()


class LayerButtons(QWidget):
    """The row of buttons; the keyboard does the same."""

    asked = Signal(object)
    """An `Action`."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons = tuple(LayerButton(word, tooltip) for word, _, tooltip in _BUTTONS)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for button, (_, action, _) in zip(self.buttons, _BUTTONS, strict=True):
            button.clicked.connect(lambda _checked=False, a=action: self.asked.emit(a))
            row.addWidget(button, 1)

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""
        for button in self.buttons:
            button.set_scale(scale)

    def draw(self, on: LayersOn) -> None:
        """Show which layers are on."""
        states = (
            on.wash,
            on.isodose,
            on.volumes,
            on.quantity is Quantity.UNCERTAINTY,
            on.quantity is Quantity.INCREMENT,
            on.compare,
            on.flicker,
            on.probe,
        )
        for button, state in zip(self.buttons, states, strict=True):
            if button.isChecked() != state:
                button.setChecked(state)
