"""Draws one dialog to a picture: by itself, as large as it stands over a window of the size that is asked for."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

from config.settings import Settings
from console.dashboard.app import Dashboard
from console.dashboard.dialogs import connection_dialog
from console.dashboard.dialogs.comparison_dialog import ComparisonDialog
from console.dashboard.dialogs.connection_dialog import ConnectionDialog
from console.dashboard.dialogs.start_dialog import StartDialog
from console.dashboard.dialogs.tool_dialog import Replayed, Services, ToolDialog
from console.dashboard.dialogs.tuning_dialog import TuningDialog
from console.dashboard.dialogs.verification_dialog import VerificationDialog
from console.dashboard.screen.view import Tool
from console.dashboard.tools import make_tool
from console.readiness import ok
from console.snapshot import Mode, Snapshot
from dicom_listener.locks import FileLock
from screens.course import PROMOTER, Moment
from screens.drawing import Size, with_fewer_colours

_OPERATOR, _PORT = "M. Visser", 11112
_ADDRESS, _NAME = "192.0.2.20", "console-1"
"""Of this machine, in the pictures (RFC 5737)."""
_ROUNDS, _WAIT_S = 6, 20.0
_NOTHING: dict[str, object] = {}
_TREATMENTS = ("EM1-003.holmia", "EM1-002.holmia")


@dataclass(frozen=True, kw_only=True)
class DialogPicture:
    """One state of a dialog: which, on what, and what somebody has done in it."""

    name: str
    tool: Tool
    moment: Moment
    done: Callable[[Any], None] = lambda _: None
    """Types and presses, in the dialog that is shown."""
    until: Callable[[Any], bool] = lambda _: True
    """Whether everything stands there that was to come by itself."""
    listening: bool = True
    mode: Mode = Mode.LIVE
    make_engine: Callable[..., Any] | None = None
    """Makes what stands for the engine of a dialog that computes; None for its own."""


class Told:
    """Stands for an engine: what it would have computed is told when it is started."""

    failure = ""

    def __init__(self, tell: Callable[[], object] = lambda: None) -> None:
        self._tell = tell

    def start(self) -> None:
        """Tell it."""
        self._tell()

    def lay_over(self, _overrides: object) -> None:
        """It is computed already."""

    def stop(self) -> None:
        """Nothing runs."""


def draw_dialog(picture: DialogPicture, target: Path, size: Size, *, small: bool) -> None:
    """Draw a dialog over a window of that size and write it, `small` with fewer colours."""
    moment = picture.moment
    dashboard = Dashboard(mode=picture.mode, clock=lambda: moment.at, on_operator_action=lambda _: None)
    dashboard.receive(moment.snapshot)
    dashboard.stop()
    dashboard.window.resize(*size)
    # A window takes its size, and with it that of its letters, only when it is shown.
    dashboard.window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen, True)
    dashboard.window.show()
    settle()
    with _machine(moment.file, listening=picture.listening):
        dialog = _made(picture, dashboard.window)
        dialog.receive(moment.snapshot, moment.at)
        dialog.show()
        settle()
        picture.done(dialog)
        ends = time.monotonic() + _WAIT_S
        while not picture.until(dialog) and time.monotonic() < ends:
            settle()
        settle()
        _save(dialog, target, small=small)
        dialog.close()
    dashboard.window.close()
    dashboard.window.deleteLater()
    settle()


def draw_start(folder: Path, at: datetime, target: Path, *, small: bool) -> None:
    """Draw the dialog that asks which treatment to open or to begin."""
    treatments = folder / "treatments"
    treatments.mkdir(exist_ok=True)
    for days, name in enumerate(_TREATMENTS, start=1):
        file = treatments / name
        file.touch()
        changed = (at - timedelta(days=7 * days, minutes=40 * days)).timestamp()
        os.utime(file, (changed, changed))
    # The folder is told as it was given: a name without the place of this machine.
    with contextlib.chdir(folder):
        dialog = StartDialog(Path(treatments.name), at)
        dialog.show()
        settle()
        _save(dialog, target, small=small)
        dialog.close()
    dialog.deleteLater()
    settle()


def settle() -> None:
    """Let everything that was asked for be laid out and drawn."""
    for _ in range(_ROUNDS):
        QApplication.processEvents()


def echo(dialog: ConnectionDialog) -> None:
    """Ask the scanner."""
    dialog.form.changed.emit("port", "104")
    dialog.echo()


def tune(draft: Snapshot, typed: dict[str, object]) -> Callable[[TuningDialog], None]:
    """Unlock the panel, type, and let the draft's engine tell what it has computed."""

    def done(dialog: TuningDialog) -> None:
        dialog.lock_row.field.setText(PROMOTER)
        dialog.unlock()
        for path, value in typed.items():
            dialog.type(path, f"{value:g}" if isinstance(value, float) else str(value))
        dialog.take(draft)

    return done


def _made(picture: DialogPicture, window: QWidget) -> ToolDialog:
    replayed = Replayed(
        at_end=lambda: True, go_to_end=lambda: None, compute_with=lambda _: "", overrides=lambda: _NOTHING
    )
    services = Services(
        operate=lambda _: "",
        settings=Settings(),
        record=picture.moment.file,
        port=_PORT,
        operator=lambda: _OPERATOR,
        mode=picture.mode,
        replayed=replayed if picture.mode is Mode.REPLAY else None,
    )
    match picture.tool, picture.make_engine:
        case Tool.TUNING, _:  # what a draft's engine tells is handed to the panel by the picture
            return TuningDialog(window, services, make_engine=lambda *_: Told())
        case Tool.VERIFICATION, make if make is not None:
            return VerificationDialog(window, services, make)
        case Tool.COMPARISON, make if make is not None:
            return ComparisonDialog(window, services, make)
    return make_tool(picture.tool, window, services)


@contextlib.contextmanager
def _machine(file: Path, *, listening: bool) -> Iterator[None]:
    """A machine that is the same everywhere, whose listener runs or not; a scanner that answers an echo."""
    answers = (
        ok("name", "192.0.2.10 is 192.0.2.10"),
        ok("connection", "192.0.2.10:104 accepts, 2 ms"),
        ok("association", "MR3T accepts HOLMIA, 6 ms"),
        ok("echo", "answered, 3 ms"),
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(connection_dialog, "host_name", lambda: _NAME))
        stack.enter_context(patch.object(connection_dialog, "own_addresses", lambda: (_ADDRESS,)))
        stack.enter_context(patch.object(connection_dialog, "reach", lambda *_, **__: iter(answers)))
        if listening:
            stack.enter_context(FileLock.acquire(file, "listener"))
        yield


def _save(dialog: QWidget, target: Path, *, small: bool) -> None:
    """Write it with a rim: its own frame is the system's, and a page may be as dark as the dialog."""
    shown = dialog.grab()
    rim = 2
    whole = QPixmap(shown.width() + 2 * rim, shown.height() + 2 * rim)
    whole.fill("#5a6472")
    painter = QPainter(whole)
    painter.drawPixmap(QPoint(rim, rim), shown)
    painter.end()
    if not whole.save(str(target), "PNG"):
        raise OSError(f"{target} could not be written; check that the folder is writable.")
    if small:
        with_fewer_colours(target)
