"""Who has seen the alarms: a name is asked for before anything is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from console.dashboard.panels import theme
from console.dashboard.screen.model import Tone

NOT_CLEARING = "Acknowledging is not clearing: the alarm stays until its cause has gone."
_TOUCH = 2.7
"""Height of what a gloved finger presses, in heights of the letters."""
_LONGEST_NAME = 64
_TONES = {"▲▲▲": Tone.ALERT, "▲▲": Tone.CAUTION, "▲": Tone.ACTIVE}
_PRESSED = f"""
    QPushButton {{ background: {theme.RAISED}; color: {theme.TEXT}; border: 2px solid {theme.MUTED};
        border-radius: 4px; font-weight: bold; }}
    QPushButton:focus {{ border-color: {theme.TONES[Tone.ACTIVE]}; }}
    QPushButton:disabled {{ background: {theme.BACKGROUND}; color: {theme.MUTED}; border: 1px dashed {theme.MUTED}; }}
    QLineEdit {{ background: {theme.PANEL}; border: 2px solid {theme.MUTED}; border-radius: 4px; padding: 0 8px; }}
    QLineEdit:focus {{ border-color: {theme.TONES[Tone.ACTIVE]}; }}
    """


class TickBox(QCheckBox):
    """A check box whose tick and rim are seen on a dark ground, at any size."""

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the box, its tick if it is checked, and the rim of the focus."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        painter.setPen(QPen(theme.colour(Tone.ACTIVE if self.hasFocus() else Tone.MUTED), 3 if self.hasFocus() else 2))
        painter.setBrush(QColor(theme.BACKGROUND))
        painter.drawRoundedRect(box, 3, 3)
        if self.isChecked():
            w, h = box.width(), box.height()
            corners = ((0.2, 0.52), (0.42, 0.76), (0.82, 0.24))
            tick = [QPointF(box.left() + x * w, box.top() + y * h) for x, y in corners]
            painter.setPen(QPen(theme.colour(Tone.NORMAL), max(2.0, 0.13 * w)))
            painter.drawPolyline(tick)
        painter.end()

    def hitButton(self, position: QPoint) -> bool:  # noqa: N802
        """The whole box is the target."""
        return self.rect().contains(position)


class AlarmChoice(QFrame):
    """One alarm with its check box; the whole row is the target. The text is plain and wraps."""

    toggled = Signal()

    def __init__(self, words: str, alarm_id: str) -> None:
        super().__init__()
        self.alarm_id = alarm_id
        self.setObjectName("panel")
        self.check = TickBox()
        self.check.setChecked(True)
        self.check.setAccessibleName(words)
        self.check.toggled.connect(lambda _: self.toggled.emit())
        self.words = QLabel(words)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setWordWrap(True)
        tone = _TONES.get(words.split(" ", 1)[0], Tone.NORMAL)
        theme.restyle(self.words, f"color: {theme.TONES[tone]};")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, 12, 4)
        row.setSpacing(12)
        row.addWidget(self.check)
        row.addWidget(self.words, 1)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A press anywhere on the row is a press on its box."""
        self.check.toggle()
        event.accept()


class AcknowledgeDialog(QDialog):
    """Tells the alarms and takes a name; Enter confirms, Esc leaves everything as it is. Never blocks the window.

    What it lists when it opens is what it acknowledges: an alarm that is raised meanwhile waits for the next time.
    """

    acknowledged = Signal(tuple, str)
    """(identifiers of the alarms, name)"""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Acknowledge alarms")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self._parent = parent
        self.setStyleSheet(_PRESSED)
        self.choices: list[AlarmChoice] = []
        self.note = _plain(NOT_CLEARING)
        self.name = QLineEdit()
        self.name.setMaxLength(_LONGEST_NAME)
        self.name.setPlaceholderText("your name")
        self.name.setAccessibleName("Name of who has seen these alarms")
        self.refusal = _plain("")
        theme.restyle(self.refusal, f"color: {theme.TONES[Tone.CAUTION]}; font-weight: bold;")
        self.confirm, self.cancel = QPushButton("Acknowledge"), QPushButton("Cancel")
        self.confirm.setDefault(True)
        self.cancel.setAutoDefault(False)
        self._list = QWidget()
        self._rows = QVBoxLayout(self._list)
        self._rows.setContentsMargins(0, 0, 8, 0)
        self._rows.setSpacing(6)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(self._list)
        self._lay_out()
        self.confirm.clicked.connect(self.accept)
        self.cancel.clicked.connect(self.reject)
        self.name.textChanged.connect(lambda _: self._judge())

    def ask(self, alarms: Sequence[str], alarm_ids: tuple[str, ...]) -> None:
        """Show the alarms, all checked, and wait for a name; the last one given stands there already.

        Parameters
        ----------
        alarms
            What each alarm says, its priority first.
        alarm_ids
            Their identifiers, in the same order.
        """
        if self.isVisible():
            self.raise_()  # what is listed stays as it was read
            return
        self._clear()
        for words, alarm_id in zip(alarms, alarm_ids, strict=True):
            choice = AlarmChoice(words, alarm_id)
            choice.toggled.connect(self._judge)
            self._rows.addWidget(choice)
            self.choices.append(choice)
        self._rows.addStretch(1)
        self._fit()
        self._judge()
        self.open()
        self.name.setFocus()
        self.name.selectAll()

    def accept(self) -> None:
        """Acknowledge what is checked, if there is a name."""
        if self._refused():
            self._judge()
            return
        chosen, name = self._chosen(), self.name.text().strip()
        super().accept()
        self.acknowledged.emit(chosen, name)

    def done(self, result: int) -> None:
        """Close, and keep nothing of the alarms."""
        super().done(result)
        self._clear()

    def _chosen(self) -> tuple[str, ...]:
        return tuple(choice.alarm_id for choice in self.choices if choice.check.isChecked())

    def _refused(self) -> str:
        if not self.name.text().strip():
            return "! a name is needed"
        return "" if self._chosen() else "! no alarm is checked"

    def _judge(self) -> None:
        why = self._refused()
        self.refusal.setText(why)
        self.confirm.setEnabled(not why)

    def _clear(self) -> None:
        self.choices = []
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()

    def _fit(self) -> None:
        """As wide as two thirds of the window, as tall as the list needs, within the window; touch-size targets."""
        self.ensurePolished()
        touch = round(_TOUCH * self.name.fontMetrics().height())
        for widget in (self.name, self.confirm, self.cancel):
            widget.setMinimumHeight(touch)
        for button in (self.confirm, self.cancel):
            button.setMinimumWidth(4 * touch)
        for choice in self.choices:
            choice.setMinimumHeight(touch)
            choice.check.setFixedSize(touch // 2 + 6, touch // 2 + 6)
        room = self._parent.window().size()
        width = round(0.62 * room.width())
        self._list.setFixedWidth(width - 60)
        self._rows.activate()
        needed = self._rows.heightForWidth(width - 60) + 4
        # The heading, the note, the name and the buttons take about six rows of touch size.
        self.area.setFixedHeight(max(touch, min(needed, round(0.9 * room.height()) - 6 * touch)))
        self.setFixedWidth(width)
        self.resize(QSize(width, self.sizeHint().height()))

    def _lay_out(self) -> None:
        heading = _plain("Acknowledge alarms")
        heading.setObjectName("patient")
        naming = QHBoxLayout()
        naming.setSpacing(12)
        naming.addWidget(_plain("Name"))
        naming.addWidget(self.name, 1)
        naming.addWidget(self.refusal)
        buttons = QHBoxLayout()
        buttons.setSpacing(12)
        buttons.addStretch(1)
        buttons.addWidget(self.cancel)
        buttons.addWidget(self.confirm)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(18, 14, 18, 14)
        rows.setSpacing(10)
        rows.addWidget(heading)
        rows.addWidget(self.area)
        rows.addWidget(self.note)
        rows.addLayout(naming)
        rows.addLayout(buttons)
        self.setTabOrder(self.name, self.confirm)
        self.setTabOrder(self.confirm, self.cancel)


def _plain(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    return label
