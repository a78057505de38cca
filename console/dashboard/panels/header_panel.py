"""The head of the window: who, research use only, which mode, what time; under it, where the procedure stands."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.elided_label import ElidedLabel, fitting, has_room, plain
from console.dashboard.screen.model import DISCLAIMER, RESEARCH_USE, Guide, Header, Progress, Tone
from console.snapshot import Mode

_MODE_MEANS = {
    Mode.LIVE: "LIVE: the treatment file is followed as images arrive.",
    Mode.REPLAY: "REPLAY: a recorded treatment is shown as it happened. Nothing here is live, and nothing is recorded.",
    Mode.DEMO: "DEMO: a simulated scanner and a simulated patient. Nothing here is live.",
}


def _label(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
    return label


class HeaderPanel(QWidget):
    """Identity, research-use notice, mode and clocks: always visible. Only the name gives way to a lack of room."""

    def __init__(self) -> None:
        super().__init__()
        self.patient, self.details = ElidedLabel("patient"), _label("details")
        self.patient.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.research, self.mode = _label("research"), _label("mode")
        self.clock, self.clock_note, self.scanner = _label("clock"), _label("details"), _label("details")
        self.research.setText(RESEARCH_USE)
        self.research.setToolTip(plain(DISCLAIMER))
        self.details.setToolTip(
            plain("Patient ID, birth date and sex as in the images; before the first image, the plan.")
        )
        self._drawn: Header | None = None
        notes = QVBoxLayout()
        notes.setContentsMargins(0, 0, 0, 0)
        notes.setSpacing(0)
        notes.addWidget(self.clock_note)
        notes.addWidget(self.scanner)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 4, 10, 4)
        row.setSpacing(14)
        for widget in (self.patient, self.details, None, self.research, None, self.mode, self.clock):
            if widget is None:
                row.addStretch(1)
            else:
                row.addWidget(widget)
        row.addLayout(notes)

    def draw(self, header: Header) -> None:
        """Show the header; another mode than live stands on purple."""
        if header == self._drawn:
            return
        self._drawn = header
        self.patient.show_text(header.patient, "Patient's name as in the images of this treatment.")
        self.details.setText(header.patient_details)
        self.mode.setText(header.mode_words)
        self.mode.setToolTip(plain(_MODE_MEANS[header.mode]))
        live = header.mode is Mode.LIVE
        ink, ground = ("#06130b", theme.TONES[Tone.GOOD]) if live else ("#ffffff", theme.NOT_LIVE)
        theme.restyle(self.mode, f"QLabel#mode {{ color: {ink}; background: {ground}; }}")
        self.clock.setText(header.clock)
        self.clock_note.setText(header.clock_note)
        zone = "Hours, minutes and seconds in the plan's time zone; every time on this screen is told in that zone."
        for label in (self.clock, self.clock_note):
            label.setToolTip(plain(f"{header.clock} {header.clock_note}\n{zone}"))
        self.scanner.setText(header.scanner.text)
        self.scanner.setToolTip(plain(header.scanner.tooltip))
        theme.restyle(self.scanner, f"QLabel#details {{ color: {theme.TONES[header.scanner.tone]}; }}")


class GuidePanel(QWidget):
    """The five steps, the sentence, and the progress of the series."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = QLabel()
        self.steps.setTextFormat(Qt.TextFormat.RichText)
        self.sentence = ElidedLabel("sentence")
        self.sentence.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.progress = QProgressBar()
        self.progress.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 2, 10, 2)
        row.setSpacing(18)
        row.addWidget(self.steps)
        row.addWidget(self.sentence, 1)
        row.addWidget(self.progress)
        self._scale = 1.0
        self._tone = Tone.ACTIVE
        self._texts: list[str] = []
        """The steps whole, and with the words of the current one only."""
        self._widths: list[int] = []
        self._drawn: tuple[Guide, float] | None = None

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self._scale = scale
        self.progress.setFixedHeight(max(16, round(28 * scale)))

    def draw(self, guide: Guide) -> None:
        """Show where the procedure stands."""
        if (guide, self._scale) == self._drawn:
            return
        self._drawn = (guide, self._scale)
        self._draw_steps(guide)
        self.sentence.show_text(guide.sentence)
        self._draw_progress(guide.progress)
        self._fit()

    def _draw_steps(self, guide: Guide) -> None:
        size = max(10, round(17 * self._scale))
        whole, brief = [], []
        for step in guide.steps:
            weight = "bold" if step.current else "normal"
            ink = theme.TONES[step.state.tone]
            style = f"color:{ink};font-weight:{weight};font-size:{size}px"
            words = f"<span style='{style}'>{step.number}&nbsp;{_escaped(step.words)}&nbsp;{step.state.sign}</span>"
            whole.append(words)
            sign = f"<span style='{style}'>{step.number}&nbsp;{step.state.sign}</span>"
            brief.append(words if step.current else sign)
            self._tone = step.state.tone if step.current else self._tone
        texts = ["&nbsp;&nbsp;&nbsp;".join(parts) for parts in (whole, brief)]
        if texts == self._texts:
            return  # while images arrive only the progress changes: rich text is laid out at every call
        self._texts = texts
        self._widths = []
        for text in reversed(texts):
            self.steps.setText(text)
            self._widths.insert(0, self.steps.sizeHint().width())
        self.steps.setToolTip(plain("\n".join(f"{s.number} {s.words}: {s.state.word}" for s in guide.steps)))

    def _draw_progress(self, progress: Progress | None) -> None:
        self.progress.setVisible(progress is not None)
        if progress is not None:
            # Never 0…0: the bar would move by itself. A description may hold what Qt takes for a place holder.
            self.progress.setRange(0, max(1, progress.expected))
            self.progress.setValue(min(progress.received, progress.expected))
            self.progress.setFormat(progress.words.replace("%", "%\u200b"))
            self.progress.setToolTip(plain(f"{progress.words}\nImages received of those that the reference has."))
            self.progress.setMinimumWidth(self._room(progress.words))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Choose the letters for the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Letters shrink a little, then the steps' words go, before the sentence's end is left to the tooltip."""
        if not self._texts:
            return
        bar = self.progress.minimumWidth() + 18 if not self.progress.isHidden() else 0
        room = self.width() - bar - 42
        sentence = self.sentence.whole
        brief = not has_room(sentence, fitting(sentence, 19 * self._scale, 0), room - self._widths[0])
        text, width = self._texts[brief], self._widths[brief]
        pixels = fitting(sentence, 19 * self._scale, room - width)
        if self.steps.text() != text:
            self.steps.setText(text)
        style = f"QLabel#sentence {{ color: {theme.TONES[self._tone]}; font-size: {pixels}px; }}"
        theme.restyle(self.sentence, style)

    def _room(self, words: str) -> int:
        """A width in steps, so that the bar does not creep with every image."""
        letters = self.progress.fontMetrics()
        step = 8 * letters.averageCharWidth()
        return step * (1 + (letters.horizontalAdvance(words) + 24) // step)


def _escaped(text: str) -> str:
    """Return text that cannot be read as markup, its spaces kept together."""
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), (" ", "&nbsp;")):
        text = text.replace(sign, name)
    return text
