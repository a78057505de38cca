"""Two settings, two versions of volumes, or two treatments side by side: chosen, computed beside the window, shown.

Each side is computed by an engine in a process of its own, which ends when it is done. Nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from console.comparison import Comparison, Side, compare
from console.dashboard.desk.comparison import Judged, Working, fault_of_both, judged, side_state, versions_of
from console.dashboard.desk.tuning_settings import value_text
from console.dashboard.dialogs.background import Background
from console.dashboard.dialogs.comparison_engine import Computed, MakeEngine, SideEngine, engine_process
from console.dashboard.dialogs.comparison_export import ExportRow, SideToWrite, writing
from console.dashboard.dialogs.comparison_result import ResultView
from console.dashboard.dialogs.comparison_side import SideView
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.screen.model import State, Tone
from console.tasks import Progress, Refused

_OF_WINDOW = (0.95, 0.93)
_FULL_HD = (1920, 1080)
_LETTERS = ("A", "B")
_ABOUT = (
    "A and B are each computed to the end of their file by a process of its own, as holmia quantify computes it. "
    "Nothing is recorded, and the window goes on. B differs from A by settings, by versions of volumes, or is another "
    "treatment."
)


class ComparisonDialog(ToolDialog):
    """The choice of both sides; then what came of it.

    Parameters
    ----------
    make_engine
        Makes what computes a side.
    """

    def __init__(self, parent: QWidget, services: Services, make_engine: MakeEngine = engine_process) -> None:
        super().__init__(parent, services, "Comparison")
        self._make_engine = make_engine
        self.sides = tuple(SideView(letter) for letter in _LETTERS)
        self.judged: tuple[Judged, ...] = (Judged(), Judged())
        self.asked: tuple[Judged, ...] = ()
        """What is computed, or was."""
        self.working: dict[str, Working] = {}
        self.computed: dict[str, Computed] = {}
        self.engines: dict[str, SideEngine] = {}
        self.ended: list[SideEngine] = []
        """Engines that may still be ending."""
        self.found, self.export = ResultView(), ExportRow()
        self._comparing = Background(self, "holmia-comparing")
        self._writing = Background(self, "holmia-comparison-export")
        self.start_button, self.cancel_button = touch_button("Compare"), touch_button("Cancel")
        self.change_button = touch_button("Choose others …")
        self.pages = QStackedWidget()
        self._lay_out()
        self._connect()
        if services.replayed is not None:
            laid_over = services.replayed.overrides()
            self.sides[1].settings.setPlainText("\n".join(f"{key}={value_text(v)}" for key, v in laid_over.items()))

    @property
    def busy(self) -> bool:
        """Whether something is being computed."""
        return bool(self.engines) or self._comparing.busy

    def draw(self) -> None:
        """Show what is chosen, and how far it has come."""
        versions = versions_of(self.snapshot)
        for side in self.sides:
            side.offer(versions)
        self._judge()

    # -- computing ---------------------------------------------------------------------------------------------

    def compute(self) -> None:
        """Compute both sides as they are chosen."""
        self._judge()
        if self.busy or fault_of_both(*self.judged):
            return
        self.asked, self.computed = self.judged, {}
        self.working = {letter: Working() for letter in _LETTERS}
        self.tell(State(sign="", word=""))
        for letter, own in zip(_LETTERS, self.asked, strict=True):
            if own.task is None:
                return
            engine = SideEngine(self, own.task, self._make_engine)
            engine.computed.connect(lambda computed, of=letter: self._take(of, computed))
            engine.told.connect(lambda told, of=letter: self._take_told(of, told))
            engine.failed.connect(lambda why, of=letter: self._fail(of, why))
            self.engines[letter] = engine
            try:
                engine.start()
            except OSError as error:
                self._fail(letter, f"its engine cannot be started: {error}")
                return
        self._draw_states()

    def cancel(self) -> None:
        """Stop computing; what was shown before stays."""
        for engine in self.engines.values():
            engine.end()
            self.ended.append(engine)
        self.engines = {}
        self._comparing.stop()
        self.working = {}
        self._draw_states()

    def _take(self, letter: str, computed: Computed) -> None:
        self.ended.append(self.engines.pop(letter))
        self.computed[letter] = computed
        self.working[letter] = Working(finished=True)
        if len(self.computed) == len(_LETTERS):
            sides = [
                Side(label=f"{of}: {own.label}", document=self.computed[of].document)
                for of, own in zip(_LETTERS, self.asked, strict=True)
            ]
            self._comparing.start(_comparing(*sides))
        self._draw_states()

    def _take_told(self, letter: str, told: object) -> None:
        if isinstance(told, Progress):
            self.working[letter] = Working(done=told.done, of=told.of)
            self._draw_states()
        elif isinstance(told, Refused):
            self._fail(letter, told.text)

    def _fail(self, letter: str, why: str) -> None:
        self.cancel()
        self.working = {letter: Working(failure=why)}
        self._draw_states()
        self.tell(State(sign="✕", word=f"{letter}: {why}", tone=Tone.ALERT))

    def _show(self, comparison: object) -> None:
        if isinstance(comparison, Comparison):
            self.working = {}
            self.found.draw(comparison, self.computed["A"].snapshot, self.computed["B"].snapshot)
            self.pages.setCurrentWidget(self.found)
            self._draw_states()

    def _compared(self, why: str) -> None:
        if why:
            self._fail("A and B", f"they cannot be compared: {why}")
        self._draw_states()

    # -- writing -----------------------------------------------------------------------------------------------

    def write(self, folder: str, identified: bool) -> None:
        """Write what is shown into a folder, as ``holmia compare --out`` does."""
        if self.found.comparison is None or self._writing.busy:
            return
        sides = [
            SideToWrite(file=own.task.path, document=self.computed[letter].document, details=own.details)
            for letter, own in zip(_LETTERS, self.asked, strict=True)
            if own.task is not None
        ]
        self.tell(State(sign="●", word=f"writing to {folder}", tone=Tone.ACTIVE))
        self._writing.start(writing(sides, Path(folder).expanduser(), identified=identified))
        self._draw_states()

    def _written(self, why: str) -> None:
        words = "written, with the patients' names" if self.export.identified.isChecked() else "written, de-identified"
        self.tell(State(sign="✕", word=why, tone=Tone.ALERT) if why else State(sign="✓", word=words, tone=Tone.GOOD))
        self._draw_states()

    # -- drawing -----------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        self.judged = tuple(judged(side.choice, self.snapshot, self.services.record) for side in self.sides)
        self._draw_states()

    def _draw_states(self) -> None:
        busy, choosing = self.busy, self.pages.currentWidget() is not self.found
        for letter, side, own in zip(_LETTERS, self.sides, self.judged, strict=True):
            side.draw(side_state(letter, own, self.working.get(letter)))
            side.set_editable(not busy)
        fault = fault_of_both(*self.judged)
        self.why.setText("" if busy else fault)
        self.start_button.setVisible(choosing)
        self.start_button.setEnabled(choosing and not busy and not fault)
        self.cancel_button.setVisible(choosing)
        self.cancel_button.setEnabled(busy)
        self.change_button.setVisible(not choosing)
        self.export.setVisible(not choosing)
        self.export.allow(not choosing and not self._writing.busy)

    def _choose_again(self) -> None:
        self.pages.setCurrentWidget(self.choosing)
        self._draw_states()

    # -- Qt ----------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Open nearly as large as the window: what is compared stands side by side."""
        super().showEvent(event)
        parent = self.parentWidget()
        if parent is not None:
            window = parent.window()
            self.resize(QSize(round(_OF_WINDOW[0] * window.width()), round(_OF_WINDOW[1] * window.height())))
        self.sides[1].settings.setFocus()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Compute nothing for a dialog that nobody looks at."""
        super().hideEvent(event)
        if not event.spontaneous():
            self.cancel()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Scale with the window."""
        super().resizeEvent(event)
        parent = self.parentWidget()
        room = parent.window().size() if parent is not None else self.size()
        self.found.set_scale(min(max(min(room.width() / _FULL_HD[0], room.height() / _FULL_HD[1]), 0.6), 3.0))

    def _connect(self) -> None:
        for side in self.sides:
            side.changed.connect(self._judge)
        self.start_button.clicked.connect(self.compute)
        self.cancel_button.clicked.connect(self.cancel)
        self.change_button.clicked.connect(self._choose_again)
        self.export.asked.connect(self.write)
        self._comparing.told.connect(self._show)
        self._comparing.ended.connect(self._compared)
        self._writing.ended.connect(self._written)

    def _lay_out(self) -> None:
        self.choosing = QWidget()
        about, self.why = plain(_ABOUT), plain("")
        for label in (about, self.why):
            label.setWordWrap(True)
        both = QHBoxLayout()
        both.setSpacing(24)
        both.addWidget(self.sides[0], 1, Qt.AlignmentFlag.AlignTop)
        between = QFrame()
        between.setFrameShape(QFrame.Shape.VLine)
        both.addWidget(between)
        both.addWidget(self.sides[1], 1, Qt.AlignmentFlag.AlignTop)
        page = QVBoxLayout(self.choosing)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(14)
        page.addWidget(about)
        page.addLayout(both)
        page.addWidget(self.why)
        page.addStretch(1)
        self.pages.addWidget(self.choosing)
        self.pages.addWidget(self.found)
        buttons = QHBoxLayout()
        for button in (self.cancel_button, self.change_button):
            button.setAutoDefault(False)
        buttons.addWidget(self.start_button)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.change_button)
        buttons.addWidget(self.export, 1)
        buttons.addStretch(0)
        buttons.addWidget(self.close_button)
        self.body.addWidget(self.pages, 1)
        self.body.addLayout(buttons)
        # Nothing is recorded here, so nobody need be named.
        self.operator.hide()
        self.operator_label.hide()


def _comparing(a: Side, b: Side) -> Callable[[Callable[[], bool]], Generator[object, None, None]]:
    """Work that yields the comparison: of many fractions it takes longer than a frame."""

    def work(_stopped: Callable[[], bool]) -> Generator[object, None, None]:
        yield compare(a, b)

    return work
