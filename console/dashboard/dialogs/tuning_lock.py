"""The lock of the physicist's panel: nothing can be changed until somebody gives a name."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from console.dashboard.desk.tuning import name_fault
from console.dashboard.dialogs.tool_dialog import touch_button
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel
from console.dashboard.screen.model import State, Tone

_LONGEST_NAME = 64


class LockRow(QWidget):
    """Says whether the panel is locked, and asks for the name that unlocks it."""

    unlock_pressed = Signal()
    """Unlocking is asked for with a name that will do."""
    lock_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.state, self.field = ElidedLabel(), QLineEdit()
        self.state.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.field.setMaxLength(_LONGEST_NAME)
        self.field.setPlaceholderText("your name")
        self.field.setAccessibleName("Name of who unlocks, and promotes")
        self.unlock, self.lock = touch_button("Unlock"), touch_button("Lock")
        self.field.setMinimumHeight(self.unlock.minimumHeight())
        for button in (self.unlock, self.lock):
            button.setAutoDefault(False)
        self._possible, self._unlocked = False, False
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.state, 3)
        row.addWidget(self.field, 2)
        row.addWidget(self.unlock)
        row.addWidget(self.lock)
        self.field.textChanged.connect(lambda _: self._judge())
        self.field.returnPressed.connect(self._press)
        self.unlock.clicked.connect(self._press)
        self.lock.clicked.connect(self.lock_pressed)

    @property
    def name(self) -> str:
        """What was typed, without blanks around it."""
        return self.field.text().strip()

    def draw(self, *, unlocked: bool, possible: bool) -> None:
        """Show the lock; `possible`: there is something to tune."""
        self._unlocked, self._possible = unlocked, possible
        self._judge()

    def _press(self) -> None:
        if self.unlock.isEnabled():
            self.unlock_pressed.emit()

    def _judge(self) -> None:
        fault = name_fault(self.name)
        self.unlock.setEnabled(self._possible and not self._unlocked and not fault)
        self.lock.setEnabled(self._unlocked)
        self.field.setEnabled(not self._unlocked)
        if self._unlocked:
            state = State(sign="✎", word=f"UNLOCKED by {self.name}: A is not touched", tone=Tone.CAUTION)
        elif not self._possible:
            state = State(sign="‖", word="LOCKED: there is no plan yet", tone=Tone.MUTED)
        else:
            told = "to unlock, give your name" if not self.name else f"to unlock: {fault}" if fault else "Enter unlocks"
            state = State(sign="‖", word=f"LOCKED: {told}", tone=Tone.MUTED)
        self.state.show_text(state.text)
        theme.restyle(self.state, f"color: {theme.TONES[state.tone]}; font-weight: bold;")
