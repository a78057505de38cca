"""kill −9 of the listener at random moments while senders send: is every acknowledged instance in the file?"""

from __future__ import annotations

import contextlib
import hashlib
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soak.attack import associated
from benchmarks.soak.fork_server import ForkServer
from benchmarks.soak.instances import ROOT, element, image
from benchmarks.soak.raw_pdu import PeerGoneError
from dicom_listener.events import Kind
from dicom_listener.record import Record, RecordError

KILLS_PER_FILE = 10
"""So that checking a whole file stays cheap."""
_LATEST_S = 0.3
_STARTING_SHARE = 0.1
"""Of the kills, those that come while the listener is still starting."""
_STARTING_S = 0.05
_LARGEST_BYTES = 150_000

Progress = Callable[[float], None]


@dataclass(kw_only=True)
class Tally:
    """What came of the kills."""

    kills: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    lost: int = 0
    altered: int = 0
    broken_files: int = 0
    messages: list[str] = field(default_factory=list)


def run(kills: int, seed: int, progress: Progress) -> Tally:
    """Kill so many times; every file is checked after every kill."""
    rng, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory(prefix="holmia-soak-") as name, ForkServer() as server:
        path, acknowledged = Path(name), dict[str, str]()
        for number in range(kills):
            if number % KILLS_PER_FILE == 0:
                path, acknowledged = Path(name) / f"{number}.holmia", {}
            _one_kill(server, path, number, rng, acknowledged, tally)
            _check(path, acknowledged, tally)
            if number % KILLS_PER_FILE == KILLS_PER_FILE - 1:
                for used in Path(name).iterdir():
                    used.unlink()
            tally.kills += 1
            progress((number + 1) / kills)
    return tally


def _one_kill(
    server: ForkServer, path: Path, number: int, rng: random.Random, acknowledged: dict[str, str], tally: Tally
) -> None:
    pid = server.start(path)
    if rng.random() < _STARTING_SHARE:
        time.sleep(rng.uniform(0.0, _STARTING_S))
        server.kill(pid)
        return
    port = server.port()
    before, unanswered = len(acknowledged), list[str]()
    senders = []
    for sender in range(rng.randint(1, 3)):
        what = (port, f"{ROOT}.8.{number}.{sender}", rng.random(), acknowledged, unanswered)
        senders.append(threading.Thread(target=_send, args=what, daemon=True))
    for thread in senders:
        thread.start()
    time.sleep(rng.uniform(0.0, _LATEST_S))
    server.kill(pid)
    for thread in senders:
        thread.join(30.0)
    tally.acknowledged += len(acknowledged) - before
    tally.unanswered += len(unanswered)


def _send(port: int, root: str, seed: float, acknowledged: dict[str, str], unanswered: list[str]) -> None:
    """Send until the listener is gone; an answer of 0x0000 is what counts."""
    rng = random.Random(seed)
    noise = rng.randbytes(_LARGEST_BYTES)
    with contextlib.suppress(PeerGoneError, OSError), associated(port) as peer:
        for number in range(100_000):
            uid = f"{root}.{number}"
            data = image(uid, e7FE00010=element(0x7FE00010, "OW", noise[: 2 * rng.randint(64, _LARGEST_BYTES // 2)]))
            try:
                if peer.store(uid, data) == 0:
                    acknowledged[uid] = hashlib.sha256(data).hexdigest()
            except (PeerGoneError, OSError):
                unanswered.append(uid)
                return


def _check(path: Path, acknowledged: dict[str, str], tally: Tally) -> None:
    """Every acknowledged instance is there with its bytes, and the chain is whole."""
    if not path.exists():
        tally.lost += len(acknowledged)
        return
    try:
        with Record.open(path, read_only=True) as record:
            record.verify()
            held = _held(record)
    except RecordError as error:
        tally.broken_files += 1
        tally.messages.append(str(error))
        return
    for uid, digest in acknowledged.items():
        if uid not in held:
            tally.lost += 1
            tally.messages.append(f"{uid} was acknowledged and is not in {path.name}")
        elif held[uid] != digest:
            tally.altered += 1
            tally.messages.append(f"{uid} is in {path.name} with other bytes")


def _held(record: Record) -> dict[str, str]:
    held: dict[str, str] = {}
    for event in record.events(limit=1_000_000):
        if event.kind == Kind.INSTANCE_STORED and event.object_sha256 is not None:
            data = record.object_bytes(event.object_sha256)
            # The data set begins after the group of the file's own head, whose length its first element tells.
            offset = 144 + int.from_bytes(data[140:144], "little")
            held[event.payload["sop_instance_uid"]] = hashlib.sha256(data[offset:]).hexdigest()
    return held
