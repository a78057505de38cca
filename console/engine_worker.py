"""The engine's process: ``python -m console.engine_worker``, told over stdin what to do (`console.engine_process`).

It ends when it is told to, or at once when whoever started it is gone: a restarted console must not find an older
one still recording what nobody sees.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from queue import SimpleQueue

from config.errors import ConfigurationError
from console.computed import NoSuchVersionError, computed
from console.draft import Draft, Overrides
from console.engine import Engine
from console.machine import machine_alarms
from console.provenance import provenance
from console.reader import RememberingReader
from console.replaying import Replay, ReplayOrders
from console.resumption import as_shown
from console.session import Session
from console.snapshot import ImagedSeries, Snapshot
from console.tasks import (
    GO_ON,
    JUMP,
    LAY_OVER,
    PAUSE,
    SPEED,
    STOP,
    Computing,
    Following,
    Progress,
    Refused,
    Replaying,
    Tuning,
    Verifying,
)
from console.transfer import Sender
from console.verify import verification
from dicom_listener.decoding import DecodingProcess
from dicom_listener.decoding_frames import Channel, EndedError
from dicom_listener.record import Record

_COMMAND_BYTES = 1 << 20
_BETWEEN_S = 0.1
"""Snapshots follow each other no faster: while images arrive the screen need not tell each of them."""
_PROGRESS_S = 0.2
_NICENESS = 10
"""The window comes first when the processor is short."""
_NICENESS_OF_DRAFTS = 12
"""Then the treatment in force, then what is only tried."""
_GRACE_S = 2.0
_EXIT_FAILED = 1


@dataclass
class _Orders:
    """What the window asks for, set by the thread that listens to it."""

    stopping: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)
    drafts: SimpleQueue[Overrides] = field(default_factory=SimpleQueue)
    replay: ReplayOrders = field(init=False)

    def __post_init__(self) -> None:
        self.replay = ReplayOrders(stopping=self.stopping, paused=self.paused)


class _Outbox:
    """Sends snapshots, the latest one only where they follow each other too fast."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._waiting: Snapshot | None = None
        self._imaged: tuple[ImagedSeries, ...] = ()
        self._sent_at = 0.0

    def put(self, snapshot: Snapshot) -> None:
        """Send now, or at a later `flush`."""
        before = self._waiting
        self._waiting = snapshot
        # What is computed next takes long: it is told before it begins.
        if snapshot.computing or (before is not None and before.computing):
            self.flush(at_once=True)
        else:
            self.flush()

    def flush(self, *, at_once: bool = False) -> None:
        """Send what waits, if it is time."""
        if self._waiting is not None and (at_once or time.monotonic() - self._sent_at >= _BETWEEN_S):
            snapshot, self._waiting = self._waiting, None
            if snapshot.imaged != self._imaged:
                # The dose does not wait for the echoes behind it: those are half of what has to cross.
                self._sender.send(replace(snapshot, imaged=self._imaged))
                self._imaged = snapshot.imaged
            self._sender.send(snapshot)
            self._sent_at = time.monotonic()


def main() -> None:
    """Do what the window asks until it says stop."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # meant for the window, which ends this process
        signal.signal(ignored, signal.SIG_IGN)
    try:
        channel = Channel(socket.socket(fileno=os.dup(0)))
        (request,) = channel.receive(limit_bytes=_COMMAND_BYTES)
    except (OSError, EndedError):
        raise SystemExit(
            "The engine's process can run here. The console starts it, and asks it over a socket."
        ) from None
    task = pickle.loads(request)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS if isinstance(task, Following | Replaying) else _NICENESS_OF_DRAFTS)
    orders = _Orders()
    threading.Thread(target=_listen, args=(channel, orders), name="holmia-orders", daemon=True).start()
    sender = Sender(channel)
    try:
        with DecodingProcess() as decoding:
            match task:
                case Following():
                    _follow(task, orders, sender, decoding)
                case Tuning():
                    _tune(task, orders, sender, decoding)
                case Verifying():
                    _verify(task, orders, sender, decoding)
                case Computing():
                    _compute(task, orders, sender, decoding)
                case _:
                    _replay(task, orders, sender, decoding)
    except EndedError:
        return
    except Exception as error:  # noqa: BLE001 - the window must say what happened
        with contextlib.suppress(EndedError):
            sender.send(f"The engine stopped: {str(error).rstrip('.') or type(error).__name__}.")
        sys.exit(_EXIT_FAILED)


def _listen(channel: Channel, orders: _Orders) -> None:
    """Take orders; without a window there is nothing to do."""
    while True:
        try:
            order, *brought = channel.receive(limit_bytes=_COMMAND_BYTES)
        except EndedError:
            os._exit(0)
        asked = bytes(order)
        if asked == PAUSE:
            orders.paused.set()
        elif asked == GO_ON:
            orders.paused.clear()
        elif asked == SPEED:
            orders.replay.speed = float(bytes(brought[0]))
        elif asked == JUMP:
            orders.replay.jumps.put(int(bytes(brought[0])))
        elif asked == LAY_OVER:
            orders.drafts.put(pickle.loads(brought[0]))
        elif asked == STOP:
            orders.stopping.set()
            time.sleep(_GRACE_S)
            os._exit(0)  # in the middle of a computation: what is recorded is recorded whole


def _now() -> datetime:
    return datetime.now(UTC)


def _follow(task: Following, orders: _Orders, sender: Sender, decoding: DecodingProcess) -> None:
    with Record.open(task.path) as record:
        outbox = _Outbox(sender)
        session = Session(
            record=record,
            engine=Engine(reader=decoding),
            clock=_now,
            on_snapshot=outbox.put,
            operator=True,
            provenance=provenance().to_mapping(),
            machine=lambda: machine_alarms(task.path, _now(), minimum_free_mb=task.minimum_free_mb),
        )

        def stopping() -> bool:
            outbox.flush()
            return orders.stopping.is_set()

        session.resume(as_shown(record, decoding))
        outbox.flush(at_once=True)
        session.run(stopping)


def _tune(task: Tuning, orders: _Orders, sender: Sender, decoding: DecodingProcess) -> None:
    with Record.open(task.path, read_only=True) as record:
        draft = Draft(record=record, engine=Engine(reader=decoding), drafts=orders.drafts, tell=sender.send)
        draft.run(orders.stopping.is_set)


def _replay(task: Replaying, orders: _Orders, sender: Sender, decoding: DecodingProcess) -> None:
    """Feed the file's events with their own pauses until the window says stop."""
    with Record.salvage(task.path) as record:
        outbox = _Outbox(sender)
        engine = Engine(
            overrides=task.overrides, reader=RememberingReader(decoding), damage=record.damage, read_again=True
        )
        orders.replay.speed = orders.replay.speed or task.speed
        replay = Replay(
            record=record,
            engine=engine,
            orders=orders.replay,
            tell=sender.send,
            on_snapshot=outbox.put,
            flush=lambda: outbox.flush(at_once=True),
        )
        replay.run()
        orders.stopping.wait()


def _verify(task: Verifying, orders: _Orders, sender: Sender, decoding: DecodingProcess) -> None:
    """Compute everything again, tell what came of it, and wait for the window to say stop."""
    with Record.salvage(task.path) as record:
        sender.send(verification(record, here=provenance(), progress=_progress_to(sender), reader=decoding))
    orders.stopping.wait()


def _compute(task: Computing, orders: _Orders, sender: Sender, decoding: DecodingProcess) -> None:
    """Compute the file to its end, tell it, and wait for the window to say stop."""
    with Record.salvage(task.path) as record:
        try:
            snapshot = computed(
                record,
                overrides=task.overrides,
                volumes=task.volumes,
                reader=decoding,
                progress=_progress_to(sender),
            )
        except (ConfigurationError, NoSuchVersionError) as error:
            sender.send(Refused(text=str(error)))
        else:
            sender.send(snapshot)
    orders.stopping.wait()


def _progress_to(sender: Sender) -> Callable[[int, int], None]:
    """Tell how far a file has been read, not too often."""
    told = [0.0]

    def tell(done: int, of: int) -> None:
        if time.monotonic() - told[0] >= _PROGRESS_S or done == of:
            told[0] = time.monotonic()
            sender.send(Progress(done=done, of=of))

    return tell


if __name__ == "__main__":
    main()
