"""The connection wizard: what to enter on the scanner, whether its echo reaches us, and whether ours reaches it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from console.dashboard.desk.connection import (
    ConnectionScreen,
    Heard,
    Line,
    connection_screen,
    last_caller,
    port_in_use,
    title_in_use,
)
from console.dashboard.desk.connection_echo import (
    ECHO_FIELDS,
    HOST,
    TITLE,
    echo_form,
    echo_outcome,
    step_state,
)
from console.dashboard.dialogs.background import Background
from console.dashboard.dialogs.form_view import FormView
from console.dashboard.dialogs.tool_dialog import Services, ToolDialog, plain, touch_button
from console.dashboard.panels import theme
from console.dashboard.screen.model import State, Tone
from console.own_addresses import host_name, own_addresses
from console.reaching import reach
from console.readiness import Finding
from dicom_listener.locks import FileLock

TIMEOUT_S = 10.0
"""For each step of an echo."""
_ENDS_S = 0.2
"""How long closing waits for a thread; what is left of a step ends by itself, unheard."""
_ALL = ("0.0.0.0", "::", "")


class ConnectionDialog(ToolDialog):
    """Three steps on one page; nothing of it is recorded, and no setting is changed."""

    def __init__(self, parent: QWidget, services: Services) -> None:
        super().__init__(parent, services, "Connection to the scanner")
        self._addresses: tuple[str, ...] = ()
        self._findings: list[Finding] = []
        self._whom = ""
        self._typed: dict[str, str] = {}
        self._looking = Background(self, "holmia-addresses")
        self._looking.told.connect(self._found_addresses)
        self._echoing = Background(self, "holmia-echo")
        self._echoing.told.connect(self._step)
        self._echoing.ended.connect(self._echoed)
        left, right = QVBoxLayout(), QVBoxLayout()
        left.addWidget(self._entered())
        left.addStretch(1)
        right.addWidget(self._from_the_scanner(), 1)
        right.addWidget(self._to_the_scanner(), 1)
        columns = QHBoxLayout()
        columns.setSpacing(12)
        columns.addLayout(left, 10)
        columns.addLayout(right, 11)
        held = QWidget()
        columns.setContentsMargins(0, 0, 0, 0)
        held.setLayout(columns)
        scrolled = QScrollArea()
        scrolled.setWidgetResizable(True)
        scrolled.setFrameShape(QFrame.Shape.NoFrame)
        scrolled.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scrolled.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scrolled.setWidget(held)
        self.body.addWidget(scrolled, 1)
        self._check()

    # -- the three steps -------------------------------------------------------------------------------------------

    def _entered(self) -> QWidget:
        panel, rows = _step_panel("① ENTER THIS ON THE SCANNER, as a new DICOM destination")
        self.listening = _wrapped()
        rows.addWidget(self.listening)
        self._lines = QGridLayout()
        self._lines.setColumnStretch(1, 1)
        self._lines.setVerticalSpacing(4)
        rows.addLayout(self._lines)
        self.values: dict[str, QLabel] = {}
        self._notes: dict[str, QLabel] = {}
        self.copies: dict[str, QPushButton] = {}
        rows.addWidget(
            _wrapped("Settings such as site.port stand in the site's settings file; this dialog changes none of them.")
        )
        return panel

    def _from_the_scanner(self) -> QWidget:
        panel, rows = _step_panel("② ECHO FROM THE SCANNER")
        self.waiting = _wrapped()
        self.waiting.setStyleSheet(f"color: {theme.TONES[Tone.ACTIVE]}; font-weight: bold;")
        rows.addWidget(self.waiting)
        self._heard = QVBoxLayout()
        self._heard.setSpacing(2)
        rows.addLayout(self._heard)
        rows.addStretch(1)
        self.heard: list[tuple[QLabel, QLabel]] = []
        return panel

    def _to_the_scanner(self) -> QWidget:
        panel, rows = _step_panel("③ ECHO TO THE SCANNER")
        self.form = FormView()
        self.form.changed.connect(self._type)
        rows.addWidget(self.form)
        self.go, self.ourselves = touch_button("Echo"), touch_button("Echo to ourselves")
        self.go.setDefault(True)
        self.ourselves.setAutoDefault(False)
        self.ourselves.setToolTip("Asks this node's own listener, by its own address: does the listener answer?")
        self.go.clicked.connect(self.echo)
        self.ourselves.clicked.connect(self.echo_to_ourselves)
        buttons = QHBoxLayout()
        buttons.addWidget(self.go)
        buttons.addWidget(self.ourselves)
        buttons.addStretch(1)
        rows.addLayout(buttons)
        self.steps = _wrapped()
        self._step_labels: list[QLabel] = []
        self._steps = QVBoxLayout()
        self._steps.setSpacing(2)
        self._steps.addWidget(self.steps)
        rows.addLayout(self._steps)
        rows.addStretch(1)
        return panel

    # -- drawing ---------------------------------------------------------------------------------------------------

    def screen_now(self) -> ConnectionScreen:
        """What there is to show."""
        return connection_screen(
            self.snapshot,
            self.services.settings.site,
            name=host_name(),
            addresses=self._addresses,
            port=self.services.port,
            listening=FileLock.is_held(self.services.record, "listener"),
            now=self.now,
        )

    def draw(self) -> None:
        """Show what is known of this node and of whoever called."""
        shown = self.screen_now()
        _show(self.listening, shown.listening)
        for row, line in enumerate(shown.lines):
            self._draw_line(row, line)
        if self.waiting.text() != shown.waiting:
            self.waiting.setText(shown.waiting)
        for at, heard in enumerate(shown.heard):
            self._draw_heard(at, heard)
        address, title = last_caller(self.snapshot)
        for key, text in ((HOST, address), (TITLE, title)):
            if text and key not in self._typed:
                self._typed[key] = text
                self._check()

    def _draw_line(self, row: int, line: Line) -> None:
        if line.label not in self.values:
            value, note, copy = plain(""), _wrapped(), touch_button("Copy")
            value.setObjectName("patient")
            value.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
            value.setWordWrap(True)
            copy.setAutoDefault(False)
            copy.setAccessibleName(f"Copy {line.label}")
            copy.clicked.connect(partial(self._copy, line.label))
            copy.setVisible(line.copied)
            label = plain(line.label)
            label.setObjectName("title")
            self._lines.addWidget(label, 3 * row, 0, 1, 2)
            self._lines.addWidget(value, 3 * row + 1, 0, 1, 2)
            self._lines.addWidget(copy, 3 * row, 2, 2, 1)
            self._lines.addWidget(note, 3 * row + 2, 0, 1, 3)
            self.values[line.label], self._notes[line.label], self.copies[line.label] = value, note, copy
        self.copies[line.label].setVisible(line.copied)
        _show(self._notes[line.label], State(sign="", word=line.note, tone=_MUTED.get(line.tone, line.tone)))
        _show(self.values[line.label], State(sign="", word=line.value, tone=line.tone))

    def _draw_heard(self, at: int, heard: Heard) -> None:
        while len(self.heard) <= at:
            words, advice = _wrapped(), _wrapped()
            self._heard.addWidget(words)
            self._heard.addWidget(advice)
            self.heard.append((words, advice))
        words, advice = self.heard[at]
        _show(words, State(sign=heard.state.sign, word=f"{heard.state.word} · {heard.words}", tone=heard.state.tone))
        # Of the latest call what to change stands at length; those before it are history.
        _show(advice, State(sign="→", word=heard.advice) if heard.advice and at == 0 else State(sign="", word=""))
        advice.setVisible(bool(advice.text()))

    def _copy(self, label: str) -> None:
        QGuiApplication.clipboard().setText(self.values[label].text())
        self.tell(State(sign="✓", word=f"{label} copied: {self.values[label].text()}", tone=Tone.GOOD))

    # -- echo ------------------------------------------------------------------------------------------------------

    def _type(self, key: str, text: str) -> None:
        self._typed[key] = text
        self._check()

    def _check(self) -> None:
        form = echo_form(self._typed, title_in_use(self.snapshot, self.services.settings.site))
        self.form.draw(form)
        self.go.setEnabled(form.ready and not self._echoing.busy)
        self.ourselves.setEnabled(not self._echoing.busy)

    def echo(self) -> None:
        """Ask the scanner, by what was typed."""
        host, port, title = (self._typed.get(field.key, "").strip() for field in ECHO_FIELDS)
        self._begin(host, int(port), title)

    def echo_to_ourselves(self) -> None:
        """Ask this node's own listener, by the address that the scanner would use."""
        site = self.services.settings.site
        host = site.host if site.host not in _ALL else next(iter(self._addresses), "127.0.0.1")
        title = title_in_use(self.snapshot, site)
        self._begin(host, port_in_use(self.snapshot, site, self.services.port), title)

    def _begin(self, host: str, port: int, called: str) -> None:
        site = self.services.settings.site
        calling = title_in_use(self.snapshot, site)
        self._findings, self._whom = [], f"{called} at {host}:{port}"

        def work(stopped: Callable[[], bool]) -> Generator[object, None, None]:
            del stopped  # asked after every step by whoever runs this
            yield from reach(host, port, site, called=called, calling=calling, timeout_s=TIMEOUT_S)

        self._echoing.start(work)
        self._draw_steps()
        self._check()

    def _step(self, finding: object) -> None:
        if isinstance(finding, Finding):
            self._findings.append(finding)
            self._draw_steps()

    def _echoed(self, fault: str) -> None:
        self._draw_steps()
        self.tell(
            State(sign="✕", word=fault, tone=Tone.ALERT) if fault else echo_outcome(self._findings, whom=self._whom)
        )
        self._check()

    def _draw_steps(self) -> None:
        asking = f"asking {self._whom}, up to {TIMEOUT_S:g} s for each step …" if self._echoing.busy else self._whom
        _show(self.steps, State(sign="●" if self._echoing.busy else "", word=asking, tone=Tone.ACTIVE))
        while len(self._step_labels) < len(self._findings):
            label = _wrapped()
            self._steps.addWidget(label)
            self._step_labels.append(label)
        for at, label in enumerate(self._step_labels):
            known = at < len(self._findings)
            _show(label, step_state(self._findings[at]) if known else State(sign="", word=""))
            label.setVisible(known)

    # -- opening and closing ---------------------------------------------------------------------------------------

    def _found_addresses(self, addresses: object) -> None:
        if isinstance(addresses, tuple):
            self._addresses = addresses
            self.draw()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Look up this machine's addresses: a name server may take its time."""

        def work(stopped: Callable[[], bool]) -> Generator[object, None, None]:
            del stopped
            yield own_addresses()

        self._looking.start(work)
        super().showEvent(event)
        self.form.editors[HOST].setFocus()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Hear nothing more of an echo that is under way."""
        if event.spontaneous():
            return  # the window was minimised; it comes back
        for work in (self._looking, self._echoing):
            work.stop()
            work.wait(_ENDS_S)
        self._findings, self._whom = [], ""
        self._draw_steps()
        self._check()
        super().hideEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter echoes only where it may: an incomplete form does nothing."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not self.go.isEnabled():
            return
        super().keyPressEvent(event)


_MUTED = {Tone.NORMAL: Tone.MUTED}


def _step_panel(title: str) -> tuple[QFrame, QVBoxLayout]:
    panel = QFrame()
    panel.setObjectName("panel")
    panel.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
    rows = QVBoxLayout(panel)
    rows.setContentsMargins(14, 10, 14, 10)
    heading = _wrapped(title)
    heading.setObjectName("finding")
    rows.addWidget(heading)
    return panel, rows


def _wrapped(text: str = "") -> QLabel:
    label = plain(text)
    label.setWordWrap(True)
    return label


def _show(label: QLabel, state: State) -> None:
    if label.text() != state.text:
        label.setText(state.text)
    theme.restyle(label, f"color: {theme.TONES[state.tone]};")
