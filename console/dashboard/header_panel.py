"""The head of the window: who, research use only, which mode, what time; under it, where the procedure stands."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QWidget

from console.dashboard import theme
from console.dashboard.screen_model import DISCLAIMER, RESEARCH_USE, Guide, Header, Tone
from console.snapshot import Mode


def _label(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
    return label


class HeaderPanel(QWidget):
    """Identity, research-use notice, mode and clock: always visible."""

    def __init__(self) -> None:
        super().__init__()
        self.patient, self.details = _label("patient"), _label("details")
        self.research, self.mode = _label("research"), _label("mode")
        self.clock, self.clock_note = _label("clock"), _label("details")
        self.research.setText(RESEARCH_USE)
        self.research.setToolTip(DISCLAIMER)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 4, 10, 4)
        row.setSpacing(14)
        for widget in (self.patient, self.details, None, self.research, None, self.mode, self.clock, self.clock_note):
            if widget is None:
                row.addStretch(1)
            else:
                row.addWidget(widget)

    def draw(self, header: Header) -> None:
        """Show the header; another mode than live stands on purple."""
        self.patient.setText(header.patient)
        self.details.setText(header.patient_details)
        self.mode.setText(header.mode_words)
        live = header.mode is Mode.LIVE
        ink, ground = ("#06130b", theme.TONES[Tone.GOOD]) if live else ("#ffffff", theme.NOT_LIVE)
        theme.restyle(self.mode, f"QLabel#mode {{ color: {ink}; background: {ground}; }}")
        self.clock.setText(header.clock)
        self.clock_note.setText(header.clock_note)


class GuidePanel(QWidget):
    """The five steps, the sentence, and the progress of the arriving series."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = QLabel()
        self.steps.setTextFormat(Qt.TextFormat.RichText)
        self.sentence = QLabel()
        self.sentence.setObjectName("sentence")
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.progress = QProgressBar()
        self.progress.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 2, 10, 2)
        row.setSpacing(18)
        row.addWidget(self.steps)
        row.addWidget(self.sentence)
        row.addStretch(1)
        row.addWidget(self.progress, 3)
        self._scale = 1.0

    def set_scale(self, scale: float) -> None:
        """Scale the letters from 1920 × 1080."""
        self._scale = scale
        self.progress.setFixedHeight(max(16, round(28 * scale)))

    def draw(self, guide: Guide) -> None:
        """Show where the procedure stands."""
        size = max(10, round(17 * self._scale))
        parts = []
        for step in guide.steps:
            weight = "bold" if step.current else "normal"
            ink = theme.TONES[step.state.tone]
            words = f"{step.number}&nbsp;{_escaped(step.words)}&nbsp;{step.state.sign}"
            parts.append(f"<span style='color:{ink};font-weight:{weight};font-size:{size}px'>{words}</span>")
        self.steps.setText("&nbsp;&nbsp;&nbsp;".join(parts))
        self.sentence.setText(guide.sentence)
        progress = guide.progress
        self.progress.setVisible(progress is not None)
        if progress is not None:
            self.progress.setRange(0, progress.expected)
            self.progress.setValue(min(progress.received, progress.expected) if progress.expected else 0)
            self.progress.setFormat(progress.words)


def _escaped(text: str) -> str:
    """Return text that cannot be read as markup, its spaces kept together."""
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), (" ", "&nbsp;")):
        text = text.replace(sign, name)
    return text
