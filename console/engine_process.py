"""The engine in a process of its own: the window never waits for it, and outlives it.

Computing holds Python's lock for longer than a frame may take, and libraries that compute can end a process. So the
window's process only draws; snapshots come over a socket (`console.transfer`), each map once.
"""

from __future__ import annotations

import contextlib
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from console.draft import DraftRefused
from console.snapshot import Snapshot
from console.tasks import (
    GO_ON,
    JUMP,
    LAY_OVER,
    PAUSE,
    SPEED,
    STOP,
    Reached,
    Task,
)
from console.transfer import Receiver
from dicom_listener.decoding_frames import Channel, EndedError, NonsenseError

_ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds this very package, so that both sides are of one version."""
_STOP_TIMEOUT_S = 20.0
_RESTARTS = 3
"""One that ends by itself is started again so often; then something is wrong that starting does not cure."""


class EngineProcess:
    """Runs a task in a process of its own and hands on what it tells.

    Parameters
    ----------
    task
        What to do with which file.
    on_snapshot, on_moment
        Called in a thread of this class with every snapshot, and in replay with where it stands.
    on_refused
        Called in that thread when settings that were laid over do not go together: those before them stand.
    on_told
        Called in that thread with whatever else the task tells (`console.tasks`): `Progress`, `Refused`, and what came
        of `Verifying`.
    """

    def __init__(
        self,
        task: Task,
        *,
        on_snapshot: Callable[[Snapshot], None],
        on_moment: Callable[[Reached], None] | None = None,
        on_refused: Callable[[DraftRefused], None] | None = None,
        on_told: Callable[[object], None] | None = None,
    ) -> None:
        self._task = replace(task, path=task.path.absolute())  # the process has a working folder of its own
        self._on_snapshot = on_snapshot
        self._on_moment = on_moment or (lambda _: None)
        self._on_refused = on_refused or (lambda _: None)
        self._on_told = on_told or (lambda _: None)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._changing = threading.Lock()
        """Held while the process and its socket are replaced, told something or closed."""
        self._stopping = threading.Event()
        self._paused = False
        self._speed: bytes | None = None
        self._overrides: bytes | None = None
        """What was laid over last, pickled: told again to a process that takes the place of another."""
        self._last = Snapshot()
        self._said = ""
        """By the present process, of itself."""
        self._thread = threading.Thread(target=self._run, name="holmia-engine", daemon=True)
        self.failure = ""
        """Why nothing more is computed, or that the engine had to be started again; empty while all is well."""

    @property
    def pid(self) -> int | None:
        """Number of the process that runs now."""
        return None if self._process is None else self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it was started, and nothing more will come of it though nobody stopped it."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Start the process; returns at once."""
        self._begin()
        self._thread.start()

    def pause(self, paused: bool) -> None:
        """Halt a replay, or let it go on."""
        self._paused = paused
        self._tell(PAUSE if paused else GO_ON)

    def set_speed(self, speed: float) -> None:
        """Let a replay go so many times faster than it happened."""
        self._speed = repr(float(speed)).encode()
        self._tell(SPEED, self._speed)

    def jump(self, seq: int) -> None:
        """Let a replay go to just after the event of that number, back or forth; it goes on from there.

        Returns at once. `on_moment` tells when the snapshot of that moment has been told.
        """
        self._tell(JUMP, str(seq).encode())

    def lay_over(self, overrides: Mapping[str, object]) -> None:
        """Lay these keys over plan and settings (`Tuning`), as ``--set`` does, and none of those before.

        Returns at once. The next snapshots carry them in ``overrides``; or they are refused.
        """
        self._overrides = pickle.dumps(dict(overrides))
        self._tell(LAY_OVER, self._overrides)

    def stop(self) -> None:
        """End the process and wait for it; what it is computing is lost, what it recorded is not."""
        self._stopping.set()
        self._tell(STOP)  # after the process that is just being started, if so: it is told too
        self._wait()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)
        self._close()

    def _begin(self) -> None:
        """Start a process, unless it is all over."""
        with self._changing:
            if not self._stopping.is_set():
                self._said = ""
                self._channel = self._started()
                with contextlib.suppress(EndedError):  # at once: how it ended is told where it is waited for
                    self._channel.send([pickle.dumps(self._task)])
                    if self._paused:
                        self._channel.send([PAUSE])
                    if self._speed is not None:
                        self._channel.send([SPEED, self._speed])
                    if self._overrides is not None:
                        self._channel.send([LAY_OVER, self._overrides])

    def _started(self) -> Channel:
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
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Channel(ours)

    def _tell(self, *command: bytes) -> None:
        with self._changing:
            if self._channel is not None:
                with contextlib.suppress(EndedError):  # it has ended already: there is nobody to tell
                    self._channel.send(command)

    def _close(self) -> None:
        """Close the socket: a process that still runs ends at once."""
        with self._changing:
            if self._channel is not None:
                self._channel.close()

    def _wait(self) -> int:
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
        for endings in range(1, 2 + _RESTARTS):
            self._receive()
            self._close()
            status = self._wait()
            if self._stopping.is_set():
                return
            how = self._said or f"The engine ended ({_how(status)})."
            if self._last.computing:
                self._hand_on(replace(self._last, computing=""))  # that is not being computed any more
            if endings > _RESTARTS:
                self.failure = (
                    f"{how} It ended {endings} times: nothing more is computed, and what is shown grows old. Run "
                    "`holmia check` on the treatment file and restart the console."
                )
                return
            self.failure = f"{how} It was started again; nothing that was received is lost."
            try:
                self._begin()
            except OSError as error:
                self.failure = f"{how} It cannot be started again: {error}. Restart the console."
                return

    def _receive(self) -> None:
        """Hand on what the process tells until it ends."""
        if self._channel is None:
            return
        receiver = Receiver(self._channel)
        while True:
            try:
                self._hand_on(receiver.receive())
            except EndedError:
                return
            except (NonsenseError, MemoryError) as error:
                self._said = f"What the engine told cannot be read ({type(error).__name__}: {error})."
                return

    def _hand_on(self, message: object) -> None:
        try:
            if isinstance(message, Snapshot):
                self._last = message
                self._on_snapshot(message)
            elif isinstance(message, Reached):
                self._on_moment(message)
            elif isinstance(message, DraftRefused):
                if self._overrides == pickle.dumps(dict(message.overrides)):
                    self._overrides = pickle.dumps(dict(self._last.overrides))  # what stands, for another process
                self._on_refused(message)
            elif isinstance(message, str):
                self._said = self.failure = message
            else:
                self._on_told(message)
        except Exception as error:  # noqa: BLE001 - whoever is told must not end the telling
            self.failure = f"What the engine told could not be shown ({type(error).__name__}: {error})."


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
