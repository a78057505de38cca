"""Draws the question about two series in one window: large, each answer a button that first shows what it records."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout

from console.dashboard.desk.series_questions import Answer, Question
from console.dashboard.dialogs.form_view import FormView
from console.dashboard.dialogs.tool_dialog import plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import Tone

_ANSWERS = 4


class QuestionPanel(QFrame):
    """The question and its answers. ``detail`` stands elsewhere: what the chosen one will record, and its fields."""

    answered = Signal(object)
    """The `Answer` that is to be recorded."""
    changed = Signal()
    """Another answer was chosen, or something typed: `typed` and `chosen` are others."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.typed: dict[str, str] = {}
        self.chosen = ""
        self._question: Question | None = None
        self.sentence, self.why, self.records = plain(""), plain(""), plain("")
        self.sentence.setObjectName("sentence")
        theme.restyle(self.sentence, f"color: {theme.TONES[Tone.CAUTION]};")
        for label in (self.sentence, self.why, self.records):
            label.setWordWrap(True)
        self.buttons = [touch_button("") for _ in range(_ANSWERS)]
        self.form = FormView()
        self.form.changed.connect(self._type)
        self.record, self.cancel = touch_button("Record this answer"), touch_button("Another answer")
        self.record.clicked.connect(self._answer)
        self.cancel.clicked.connect(lambda: self._choose(""))
        self._lay_out()

    def _lay_out(self) -> None:
        answers = QGridLayout()
        answers.setSpacing(8)
        for number, button in enumerate(self.buttons):
            button.setCheckable(True)
            button.setAutoDefault(False)
            button.clicked.connect(partial(self._press, number))
            answers.addWidget(button, number // 2, number % 2)
        for column in range(2):
            answers.setColumnStretch(column, 1)
        self.detail = QFrame()
        self.detail.setObjectName("panel")
        inner = QVBoxLayout(self.detail)
        foot = QHBoxLayout()
        foot.addStretch(1)
        for button in (self.cancel, self.record):
            button.setAutoDefault(False)
            foot.addWidget(button)
        inner.addWidget(self.form)
        inner.addWidget(self.records)
        inner.addLayout(foot)
        inner.addStretch(1)
        rows = QVBoxLayout(self)
        rows.setSpacing(8)
        for widget in (self.sentence, self.why):
            rows.addWidget(widget)
        rows.addLayout(answers)

    def draw(self, question: Question | None, *, busy: bool) -> None:
        """Show a question; None hides the panel. `busy`: a word was recorded and is not known yet."""
        if question is None or self._question is None or question.key != self._question.key:
            self.typed, self.chosen = {}, ""
        self._question = question
        self.setVisible(question is not None)
        if question is None:
            return
        self.sentence.setText(question.sentence)
        self.why.setText(question.why)
        for button, answer in zip(self.buttons, question.answers, strict=True):
            _draw_button(button, answer, chosen=answer.key == self.chosen, on=not answer.impossible and not busy)
        chosen = self._answer_chosen()
        if chosen is not None:
            self.form.setVisible(bool(chosen.form.fields))
            self.form.draw(chosen.form)
            self.records.setText("Will be recorded:\n" + "\n".join(f"• {line}" for line in chosen.records))
            self.record.setEnabled(chosen.operation is not None and not busy)

    def _answer_chosen(self) -> Answer | None:
        found = self._question.answers if self._question is not None else ()
        return next((a for a in found if a.key == self.chosen and not a.impossible), None)

    def _press(self, number: int, _on: bool = False) -> None:
        if self._question is not None:
            self._choose(self._question.answers[number].key)

    def _choose(self, key: str) -> None:
        self.chosen = key
        self.changed.emit()

    def _type(self, key: str, text: str) -> None:
        self.typed[key] = text
        self.changed.emit()

    def _answer(self) -> None:
        answer = self._answer_chosen()
        if answer is not None and answer.operation is not None:
            self.answered.emit(answer)


def _draw_button(button: QPushButton, answer: Answer, *, chosen: bool, on: bool) -> None:
    text = f"{answer.words}:\n{answer.impossible}" if answer.impossible else answer.words
    text = text.replace("&", "&&")  # a name, not a key
    if button.text() != text:
        button.setText(text)
    button.setEnabled(on)
    button.setChecked(chosen)
