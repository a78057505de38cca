"""Work that takes longer than a frame: on a thread of its own, what it tells on the GUI thread, and nothing after."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator

from PySide6.QtCore import QObject, Qt, Signal

Work = Callable[[Callable[[], bool]], Generator[object, None, None]]
"""Given what tells whether it is to stop, yields what it has to tell."""


class Background(QObject):
    """Does one piece of work at a time; a new one, or `stop`, silences the one before.

    `told` brings what the work yields and `ended` why it ended ("" in order), both on the GUI thread.
    """

    told = Signal(object)
    ended = Signal(str)
    _arrived = Signal(int, object, bool)

    def __init__(self, parent: QObject, name: str) -> None:
        super().__init__(parent)
        self._name, self._run = name, 0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.busy = False
        """Whether there is more to come."""
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def start(self, work: Work) -> None:
        """Begin; returns at once."""
        self.stop()
        self._run += 1
        self._stopped = threading.Event()
        self.busy = True
        arguments = (work, self._run, self._stopped)
        self._thread = threading.Thread(target=self._do, args=arguments, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing more; the thread ends with the step that it is at."""
        self._stopped.set()
        self._run += 1
        self.busy = False

    def wait(self, timeout_s: float) -> bool:
        """Whether the thread has ended within that time."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    def _do(self, work: Work, run: int, stopped: threading.Event) -> None:
        why = ""
        steps = work(stopped.is_set)
        try:
            for step in steps:
                if stopped.is_set():
                    return
                self._tell(run, step, last=False)
        except Exception as error:  # noqa: BLE001 - whatever it was, the dialog must not wait for ever
            why = str(error) or type(error).__name__
        finally:
            with contextlib.suppress(Exception):
                steps.close()
        self._tell(run, why, last=True)

    def _tell(self, run: int, what: object, *, last: bool) -> None:
        with contextlib.suppress(RuntimeError):  # the window was destroyed meanwhile
            self._arrived.emit(run, what, last)

    def _deliver(self, run: int, what: object, last: bool) -> None:
        if run != self._run:
            return
        if last:
            self.busy = False
            self.ended.emit(str(what))
        else:
            self.told.emit(what)
