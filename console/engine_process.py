"""The engine in a process of its own: the window never waits for it, and outlives it.

Computing holds Python's lock for longer than a frame may take, and libraries that compute can end a process. So the
window's process only draws; snapshots come over a socket (`console.transfer`), each map once.
"""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from console.snapshot import Snapshot
from console.transfer import Receiver
from dicom_listener.decoding_frames import Channel, EndedError, NonsenseError

STOP, PAUSE, GO_ON = b"stop", b"pause", b"go on"
_ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds this very package, so that both sides are of one version."""
_STOP_TIMEOUT_S = 20.0
_RESTARTS = 3
"""One that ends by itself is started again so often; then something is wrong that starting does not cure."""


@dataclass(frozen=True, kw_only=True)
class Following:
    """Follow a file as the operator's console: what is shown and alarmed is recorded."""

    path: Path
    minimum_free_mb: float


@dataclass(frozen=True, kw_only=True)
class Replaying:
    """Feed a file's events with their own pauses, `speed` times faster, without the long ones; record nothing."""

    path: Path
    speed: float


Task = Following | Replaying


class EngineProcess:
    """Runs a task in a process of its own and hands on what it tells.

    Parameters
    ----------
    task
        What to do with which file.
    on_snapshot, on_moment
        Called in a thread of this class with every snapshot, and in replay with the time of the recording.
    """

    def __init__(
        self,
        task: Task,
        *,
        on_snapshot: Callable[[Snapshot], None],
        on_moment: Callable[[datetime], None] | None = None,
    ) -> None:
        self._task = task
        self._on_snapshot = on_snapshot
        self._on_moment = on_moment or (lambda _: None)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holmia-engine", daemon=True)
        self.failure = ""
        """Why nothing more is computed, or that the engine had to be started again; empty while all is well."""

    @property
    def pid(self) -> int | None:
        """Number of the process that runs now."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process; returns at once."""
        self._begin()
        self._thread.start()

    def pause(self, paused: bool) -> None:
        """Halt a replay, or let it go on."""
        self._tell(PAUSE if paused else GO_ON)

    def stop(self) -> None:
        """End the process and wait for it; what it is computing is lost, what it recorded is not."""
        self._stopping.set()
        if self._process is None:
            return
        self._tell(STOP)
        self._end()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "console.engine_worker"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libraries write of what they meet there; sentences come over the socket
                cwd=_ROOT,
                start_new_session=True,  # Ctrl-C in the terminal is not meant for it
            )
        finally:
            theirs.close()
        self._channel = Channel(ours)
        self._channel.send([pickle.dumps(self._task)])

    def _tell(self, command: bytes) -> None:
        if self._channel is not None:
            try:
                self._channel.send([command])
            except EndedError:
                return  # it has ended already: there is nobody to tell

    def _end(self) -> int:
        """Wait for the process, which has been told or has ended by itself; returns its exit status."""
        if self._process is None:
            return 0
        try:
            status = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return status

    def _run(self) -> None:
        for _ in range(1 + _RESTARTS):
            self._receive()
            status = self._end()
            if self._channel is not None:
                self._channel.close()
            if self._stopping.is_set() or status == 0:
                return
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            self.failure = f"The engine ended ({how}) and was started again; nothing that was received is lost."
            self._begin()
        self._tell(STOP)
        self._end()
        self.failure = (
            f"The engine ended {1 + _RESTARTS} times: nothing more is computed. The treatment file is safe; run "
            "`holmia check` and restart the console."
        )

    def _receive(self) -> None:
        if self._channel is None:
            return
        receiver = Receiver(self._channel)
        while True:
            try:
                message: Any = receiver.receive()
            except (EndedError, NonsenseError):
                return
            if isinstance(message, Snapshot):
                self._on_snapshot(message)
            elif isinstance(message, datetime):
                self._on_moment(message)
            else:
                self.failure = str(message)
