"""Six numbers of a rigid transform as fields: typed, stepped by arrows or wheel, ten steps at once with Shift."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QLocale, Qt, Signal
from PySide6.QtGui import QValidator, QWheelEvent
from PySide6.QtWidgets import QApplication, QDoubleSpinBox, QGridLayout, QPushButton, QSizePolicy, QWidget

from console.dashboard.desk.registration_view import AXES, DIRECTIONS, Pose
from console.dashboard.dialogs.registration_cut import FASTER, STEP_DEG, STEP_MM
from console.dashboard.dialogs.tool_dialog import plain

_TOUCH = 2.0
_NO_ARROWS = """
    QDoubleSpinBox::up-button, QDoubleSpinBox::down-button { width: 0; border: 0; }
    QLineEdit { border: 0; padding: 0 2px; background: transparent; }
    """
_LARGEST = {"mm": 500.0, "°": 180.0}


class DegreeField(QDoubleSpinBox):
    """One number with its unit; a decimal comma is a decimal point, never a separator of thousands."""

    def __init__(self, name: str, unit: str) -> None:
        super().__init__()
        self.setLocale(QLocale.c())
        self.setDecimals(2)
        self.setRange(-_LARGEST[unit], _LARGEST[unit])
        self.setSingleStep(STEP_MM if unit == "mm" else STEP_DEG)
        # Taken away by style: without button symbols a styled field leaves its text no room.
        self.setStyleSheet(_NO_ARROWS)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setSuffix(f" {unit}")
        self.setAccessibleName(f"{name}, {unit}")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance("−000.00 mm"))
        self.setMinimumHeight(round(_TOUCH * self.fontMetrics().height()))

    def stepBy(self, steps: int) -> None:  # noqa: N802
        """Ten times as far with Shift."""
        shift = QApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier
        super().stepBy(round(steps * FASTER) if shift else steps)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Step only where the field was chosen: a wheel that passes over it changes nothing."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Take a comma for a point."""
        return super().validate(text.replace(",", "."), position)

    def fixup(self, text: str) -> str:
        """Nothing is guessed: what is no number goes back to what it was."""
        return super().fixup(text.replace(",", "."))

    def valueFromText(self, text: str) -> float:  # noqa: N802
        """The number, with a decimal comma or point."""
        return super().valueFromText(text.replace(",", "."))


class DegreeFields(QWidget):
    """The six fields with a button to step either way; they show a pose, and tell which number is to be another."""

    changed = Signal(int, float)

    def __init__(self) -> None:
        super().__init__()
        self.fields = [DegreeField(name, unit) for name, unit in AXES]
        self._drawing = False
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.setHorizontalSpacing(2)
        for column, words in enumerate(("Liver lies further", "and is turned about")):
            grid.addWidget(plain(words), 0, 1 + 3 * column, 1, 3)
            grid.setColumnStretch(2 + 3 * column, 1)
        for row, words in enumerate(DIRECTIONS):
            label = plain(words)
            label.setBuddy(self.fields[row])
            grid.addWidget(label, 1 + row, 0)
        for number, field in enumerate(self.fields):
            row, column = 1 + number % 3, 1 + 3 * (number // 3)
            grid.addWidget(self._stepper(field, "−", -1), row, column)
            grid.addWidget(field, row, column + 1)
            grid.addWidget(self._stepper(field, "+", 1), row, column + 2)
            field.valueChanged.connect(partial(self._tell, number))

    def _stepper(self, field: DegreeField, sign: str, by: int) -> QPushButton:
        button = QPushButton(sign)
        button.setAutoDefault(False)
        button.setAutoRepeat(True)
        # The keyboard steps in the field itself.
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setAccessibleName(f"{field.accessibleName()} {sign}")
        button.setStyleSheet("padding: 0;")
        button.setFixedSize(field.minimumHeight(), field.minimumHeight())
        button.clicked.connect(partial(self._step, field, by))
        return button

    def _step(self, field: DegreeField, by: int, _pressed: bool = False) -> None:
        field.stepBy(by)

    def draw(self, pose: Pose) -> None:
        """Show a pose, to a hundredth; what is being typed in a field is left alone while it means the same."""
        self._drawing = True
        for field, value in zip(self.fields, pose.values, strict=True):
            if abs(field.value() - value) > 0.5 * 10.0 ** -field.decimals():
                field.setValue(value)
        self._drawing = False

    def _tell(self, number: int, value: float) -> None:
        if not self._drawing:
            self.changed.emit(number, value)
