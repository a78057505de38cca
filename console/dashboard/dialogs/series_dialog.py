"""What every series is taken for: seen, confirmed, changed, taken back; the question that is asked; the clock."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from console.dashboard.desk.scanner_clock import clock_screen
from console.dashboard.desk.series_questions import Answer, series_name, series_question
from console.dashboard.desk.series_roles import (
    UNCONFIRMED,
    Choice,
    SeriesRow,
    all_expected,
    automatic,
    bindings_of,
    choices,
    confirmation,
    present_choice,
    role_words,
    series_rows,
)
from console.dashboard.dialogs.form_view import FormView
from console.dashboard.dialogs.series_question import QuestionPanel
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel
from console.dashboard.panels.elided_label import plain as plain_tooltip
from console.dashboard.screen.model import State, Tone
from console.dashboard.screen.view import Tool
from console.operations import Operation

_HEADINGS = ("Acquired", "Series", "Images", "Echoes", "Taken for", "Because", "Confirmed")
_BECAUSE = 5


def _paragraph(lines: int) -> QLabel:
    """Room for so many lines of text: inside tabs a label that wraps would ask for more than there is."""
    label = plain("")
    label.setWordWrap(True)
    label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
    label.setMinimumHeight(lines * label.fontMetrics().lineSpacing())
    return label


class SeriesDialog(ToolDialog):
    """Every series with its role, the question about two in one window on top, and the scanner's clock."""

    def __init__(self, parent: QWidget, services: Services) -> None:
        super().__init__(parent, services, "Series")
        self._rows: tuple[SeriesRow, ...] = ()
        self._key = ""
        self._choices: tuple[Choice, ...] = ()
        self._picked: int | None = None
        """The number of the role that was picked for the series; None: as it is taken for."""
        self._said_after = -1
        self._drawing = False
        self._offset = ""
        self.question = QuestionPanel()
        self.question.changed.connect(self.draw)
        self.question.answered.connect(self._answer)
        self.tabs = QTabWidget()
        self.tabs.addTab(self._series_page(), "Series")
        self.tabs.addTab(self._clock_page(), "Scanner clock")
        self.body.addWidget(self.question)
        # While an answer is being given there is room for nothing else.
        self.below = QStackedWidget()
        self.below.addWidget(self.tabs)
        self.below.addWidget(self.question.detail)
        self.body.addWidget(self.below, 1)

    def _series_page(self) -> QWidget:
        self.table = QTableWidget(0, len(_HEADINGS))
        self.table.setAccessibleName("Series")
        self.table.setHorizontalHeaderLabels(_HEADINGS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTabKeyNavigation(False)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_BECAUSE, QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._select)
        self.all_button = touch_button("Confirm all as expected")
        self.all_words = _paragraph(2)
        self.all_button.clicked.connect(self._confirm_all)
        all_row = QHBoxLayout()
        all_row.addWidget(self.all_button)
        all_row.addWidget(self.all_words, 1)
        self.by_hand = touch_button("Registration by hand")
        self.by_hand.setAutoDefault(False)
        self.by_hand.setToolTip("Lay a fraction's series over the reference and move it.")
        self.by_hand.clicked.connect(lambda: self.wanted.emit(Tool.REGISTRATION.value))
        all_row.addWidget(self.by_hand)
        page = QWidget()
        rows = QVBoxLayout(page)
        rows.addWidget(self.table, 1)
        rows.addLayout(all_row)
        rows.addWidget(self._detail())
        return page

    def _detail(self) -> QFrame:
        self.detail = QFrame()
        self.detail.setObjectName("panel")
        self.title, self.follows = ElidedLabel("finding"), _paragraph(3)
        self.role = QComboBox()
        self.role.setAccessibleName("Role of the series")
        self.role.setPlaceholderText("none of these yet")
        self.role.currentIndexChanged.connect(self._pick)
        self.confirm_button = touch_button("Confirm")
        self.role.setMinimumHeight(self.confirm_button.minimumHeight())
        self.change_button, self.automatic_button = touch_button("Record this role"), touch_button("Back to automatic")
        self.automatic_button.setToolTip("Takes back what was said of this series: the console decides by time again.")
        self.confirm_button.clicked.connect(self._confirm)
        self.change_button.clicked.connect(self._change)
        self.automatic_button.clicked.connect(self._automatic)
        buttons = QHBoxLayout()
        buttons.addWidget(self.confirm_button)
        buttons.addWidget(plain("It is"))
        buttons.addWidget(self.role, 1)
        buttons.addWidget(self.change_button)
        buttons.addWidget(self.automatic_button)
        for button in (self.all_button, self.confirm_button, self.change_button, self.automatic_button):
            button.setAutoDefault(False)
        rows = QVBoxLayout(self.detail)
        rows.addWidget(self.title)
        rows.addLayout(buttons)
        rows.addWidget(self.follows)
        return self.detail

    def _clock_page(self) -> QWidget:
        self.proven, self.in_force, self.clock_follows = _paragraph(2), plain(""), _paragraph(4)
        self.in_force.setObjectName("finding")
        self.clock_form = FormView()
        self.clock_form.changed.connect(self._type_offset)
        self.clock_button = touch_button("Confirm this offset")
        self.clock_button.setAutoDefault(False)
        self.clock_button.clicked.connect(self._confirm_clock)
        page = QWidget()
        rows = QVBoxLayout(page)
        for widget in (self.in_force, self.proven, self.clock_form, self.clock_follows):
            rows.addWidget(widget)
        foot = QHBoxLayout()
        foot.addWidget(self.clock_button)
        foot.addStretch(1)
        rows.addLayout(foot)
        rows.addStretch(1)
        return page

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Begin where something is asked, else at the list."""
        super().showEvent(event)
        first = self.question.buttons[0] if self.question.isVisibleTo(self) else self.table
        first.setFocus()

    # -- drawing -------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show the question, the series, the chosen one and the clock."""
        self.question.draw(series_question(self.snapshot, self.question.typed, self.now), busy=self._busy)
        self.below.setCurrentWidget(self.question.detail if self.question.chosen else self.tabs)
        self._draw_table(series_rows(self.snapshot))
        word, told = all_expected(self.snapshot)
        self.all_button.setEnabled(word is not None and not self._busy)
        self.all_words.setText(told)
        self.by_hand.setEnabled(any(series.key is not None for series in self.snapshot.imaged))
        self.detail.setVisible(bool(self._rows))
        self._draw_detail()
        self._draw_clock()

    @property
    def _busy(self) -> bool:
        """Whether what was recorded is not in the snapshot yet."""
        return self._said_after == self.snapshot.head_seq

    def _draw_table(self, rows: tuple[SeriesRow, ...]) -> None:
        if rows == self._rows:
            return
        self._rows, self._drawing = rows, True
        self.table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            taken = row.taken_for
            states = (State(sign="", word=""),) * 4 + (taken, State(sign="", word=""), row.confirmed)
            texts = (row.acquired, row.name, row.images, row.echoes, taken.text, row.because, row.confirmed.text)
            for column, (text, state) in enumerate(zip(texts, states, strict=True)):
                item = QTableWidgetItem(text)
                item.setForeground(QColor(theme.TONES[state.tone]))
                item.setToolTip(plain_tooltip(text))
                item.setTextAlignment(Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(number, column, item)
        if self._key not in {row.key for row in rows}:
            waiting = [row.key for row in rows if row.confirmed == UNCONFIRMED]
            self._key = waiting[0] if waiting else (rows[-1].key if rows else "")
            self._picked = None
        chosen = next((number for number, row in enumerate(rows) if row.key == self._key), -1)
        if chosen >= 0:
            self.table.selectRow(chosen)
        self.table.resizeRowsToContents()
        touch = self.all_button.minimumHeight()
        for number in range(len(rows)):
            self.table.setRowHeight(number, max(touch, self.table.rowHeight(number)))
        self._drawing = False

    def _draw_detail(self) -> None:
        state = next((s for s in self.snapshot.series if s.key == self._key), None)
        if state is None:
            return
        binding = bindings_of(self.snapshot).get(self._key)
        row = next(row for row in self._rows if row.key == self._key)
        taken = f"{row.taken_for.text} ({row.confirmed.text}): {row.because}"
        self.title.show_text(f"{series_name(self.snapshot, state)} is taken for {taken}")
        word = confirmation(state, binding)
        named = f"Confirm: {role_words(binding)}".replace("&", "&&")  # a name, not a key
        self.confirm_button.setText(named if word is not None else "Nothing to confirm")
        self.confirm_button.setEnabled(word is not None and not self._busy)
        self._choices = choices(self.snapshot, self._key)
        self._drawing = True
        words = [choice.words for choice in self._choices]
        if words != [self.role.itemText(n) for n in range(self.role.count())]:
            self.role.clear()
            self.role.addItems(words)
        present = present_choice(self.snapshot, self._key)
        chosen = present if self._picked is None or self._picked >= len(words) else self._picked
        self.role.setCurrentIndex(chosen)
        self._drawing = False
        other = self._picked is not None
        choice = self._choices[chosen] if other else None
        said = f"▲ {choice.warning}.\n" if choice is not None and choice.warning else ""
        follows = "Choose another role to see what would follow." if choice is None else choice.follows
        self.follows.setText(f"{said}{follows}")
        theme.restyle(self.follows, f"color: {theme.TONES[Tone.CAUTION if said else Tone.NORMAL]};")
        self.change_button.setEnabled(other and not self._busy)
        self.automatic_button.setEnabled(automatic(self.snapshot, self._key) is not None and not self._busy)

    def _draw_clock(self) -> None:
        clock = clock_screen(self.snapshot, self._offset)
        self.proven.setText(clock.proven)
        self.in_force.setText(clock.in_force)
        tone = Tone.CAUTION if self.snapshot.clock_offset_s is None else Tone.GOOD
        theme.restyle(self.in_force, f"color: {theme.TONES[tone]};")
        self.clock_form.draw(clock.form)
        self.clock_follows.setText(clock.follows)
        tone = Tone.CAUTION if clock.follows.startswith("▲") else Tone.NORMAL
        theme.restyle(self.clock_follows, f"color: {theme.TONES[tone]};")
        self.clock_button.setEnabled(clock.operation is not None and not self._busy)

    # -- what is pressed -----------------------------------------------------------------------------------------------

    def _select(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if self._drawing or not rows:
            return
        self._key, self._picked = self._rows[rows[0].row()].key, None
        self.draw()

    def _pick(self, number: int) -> None:
        if not self._drawing and number >= 0:
            self._picked = number
            self.draw()

    def _type_offset(self, _key: str, text: str) -> None:
        self._offset = text
        self.draw()

    def _answer(self, answer: Answer) -> None:
        if answer.operation is not None and self._record(answer.operation, f"recorded: {answer.words}"):
            self.question.chosen = ""
            self.draw()

    def _confirm_all(self) -> None:
        word, told = all_expected(self.snapshot)
        if word is not None:
            self._record(word, told.replace("Confirms", "confirmed:", 1))

    def _confirm(self) -> None:
        state = next((s for s in self.snapshot.series if s.key == self._key), None)
        binding = bindings_of(self.snapshot).get(self._key)
        word = None if state is None else confirmation(state, binding)
        if word is not None:
            self._record(word, f"confirmed as {role_words(binding)}")

    def _change(self) -> None:
        if self._picked is not None and self._picked < len(self._choices):
            choice = self._choices[self._picked]
            self._record(choice.operation, f"recorded: {choice.words}")

    def _automatic(self) -> None:
        word = automatic(self.snapshot, self._key)
        if word is not None:
            self._record(word, "taken back: the console decides by time again")

    def _confirm_clock(self) -> None:
        operation = clock_screen(self.snapshot, self._offset).operation
        if operation is not None and self._record(operation, f"recorded: {operation.seconds or 0.0:+g} s"):
            self._offset = ""
            self.draw()

    def _record(self, operation: Operation, done: str) -> bool:
        recorded = self.say(operation, f"{done}. Undo, or another word, takes it back.")
        if recorded:
            self._said_after, self._picked = self.snapshot.head_seq, None
            self.draw()
        return recorded
