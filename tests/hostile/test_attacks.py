"""Every attack on one listener process: others get their echo within a second, nothing grows, nothing is lost.

The attacks are those of `make soak`; the tests run in order on one listener, and the last ones look at what is left.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.soak.attack import Attack, associated
from benchmarks.soak.attacks import ATTACKS
from benchmarks.soak.instances import ROOT, Hostile, hostile_instances, image, part10
from benchmarks.soak.listener_process import Footprint, ListenerProcess
from benchmarks.soak.probe import ECHO_LIMIT_S, echo_seconds, store_one, under_attack, warm_up
from benchmarks.soak.raw_pdu import ABORT, ASSOCIATE_RJ, Peer
from dicom_listener.events import Kind
from dicom_listener.importing import import_folders
from dicom_listener.record import Record, quarantine_path

pytestmark = pytest.mark.network

GROWTH_LIMIT_MIB = 64.0
NETWORK_TIMEOUT_S = 5.0
SETTINGS = {
    "compressed_transfer_syntaxes": True,
    "calling_ae_titles": ["SENDER"],
    "network_timeout_s": NETWORK_TIMEOUT_S,
}
INSTANCES = hostile_instances(f"{ROOT}.3")


class Victim:
    """The listener that all attacks of this module meet, and what it held before the first."""

    def __init__(self, listener: ListenerProcess) -> None:
        self.listener = listener
        self.port = listener.port
        self.acknowledged: list[str] = []
        warm_up(self.port)
        self.start = settled_footprint(listener)

    def owes_an_echo(self) -> None:
        assert min(echo_seconds(self.port) for _ in range(3)) <= ECHO_LIMIT_S

    def stores_one(self) -> None:
        self.acknowledged.append(store_one(self.port))

    def has_not_grown(self) -> None:
        grown = self.listener.footprint().resident_mib - self.start.resident_mib
        assert grown < GROWTH_LIMIT_MIB, f"grown by {grown:.0f} MiB"

    def events(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        with Record.open(self.listener.path, read_only=True) as record:
            for event in record.events(limit=1_000_000):
                counts[event.kind] = counts.get(event.kind, 0) + 1
        return counts


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "folder"
    folder.mkdir()
    with ListenerProcess(folder / "t.holmia", SETTINGS) as listener:
        yield Victim(listener)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.run.__name__)
def test_during_and_after_an_attack_others_are_served(victim: Victim, attack: Attack) -> None:
    outcome = under_attack(victim.port, attack, seconds=0.3)
    victim.acknowledged.append(outcome.stored_uid)
    assert min(outcome.during_s) <= ECHO_LIMIT_S
    assert min(outcome.after_s) <= ECHO_LIMIT_S
    victim.has_not_grown()


@pytest.mark.parametrize("hostile", INSTANCES, ids=lambda hostile: hostile.name)
def test_a_hostile_instance_is_answered_as_the_standard_says(victim: Victim, hostile: Hostile) -> None:
    with associated(victim.port) as peer:
        if hostile.before is not None:
            assert peer.store(hostile.uid, hostile.before) == 0
            victim.acknowledged.append(hostile.uid)
        peer.send_store(hostile.uid, hostile.data, context=hostile.context)
        status, comment = peer.status()
        assert status == hostile.answer
        assert bool(comment) == (status != 0)
        assert hostile.uid not in comment or not hostile.uid
        assert peer.echo() == 0
        if status == 0 and hostile.before is None:
            victim.acknowledged.append(hostile.uid)
        peer.release()
    victim.owes_an_echo()


def test_300_associations_in_a_row_leave_nothing_behind(victim: Victim) -> None:
    before = settled(victim.listener, victim.start)
    for number in range(300):
        with associated(victim.port) as peer:
            if number % 4 == 0:
                assert peer.echo() == 0
            if number % 4 == 1:
                peer.abort()
            elif number % 4 == 2:
                peer.reset()
            else:
                peer.release()
    after = settled(victim.listener, victim.start)
    assert (after.threads, after.descriptors) <= (before.threads, before.descriptors)
    victim.has_not_grown()


def test_a_full_listener_rejects_with_the_reason_and_recovers(victim: Victim) -> None:
    peers = [associated(victim.port) for _ in range(8)]
    with Peer(victim.port) as ninth:
        kind, body = ninth.associate()
    assert (kind, tuple(body[1:4])) == (ASSOCIATE_RJ, (2, 3, 2))  # transient, presentation: local limit exceeded
    for peer in peers:
        assert peer.echo() == 0
        peer.release()
        peer.socket.close()
    victim.stores_one()


def test_a_peer_that_says_nothing_is_ended(victim: Victim) -> None:
    with Peer(victim.port) as idle, associated(victim.port) as silent:
        for peer in (idle, silent):
            peer.socket.settimeout(NETWORK_TIMEOUT_S + 10)
            assert peer.until_ended() in ([], [ABORT])


def test_nothing_is_left_of_the_attacks(victim: Victim) -> None:
    left = settled(victim.listener, victim.start)
    assert left.threads <= victim.start.threads
    assert left.descriptors <= victim.start.descriptors
    victim.has_not_grown()
    counts = victim.events()
    assert counts[Kind.ASSOCIATION_OPENED] == counts[Kind.ASSOCIATION_CLOSED]


def test_no_peer_made_a_file_a_name_or_a_traceback(victim: Victim) -> None:
    folder, name = victim.listener.path.parent, victim.listener.path.name
    quarantine = quarantine_path(victim.listener.path).name
    running = {f"{base}{end}" for base in (name, quarantine) for end in ("", "-wal", "-shm")}
    assert {path.name for path in folder.iterdir()} <= running | {f"{name}.listener"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    with Record.open(victim.listener.path, read_only=True) as record:
        told = json.dumps([event.payload for event in record.events(limit=1_000_000)])
    assert not [word for word in ("..", "holmia-was-here", "EM1-004", "passwd") if word in told]
    assert not Path("/tmp/holmia-was-here").exists()
    said = victim.listener.said()
    assert "Traceback" not in said
    assert "EM1-004" not in said
    assert "holmia-was-here" not in said


def test_stopped_it_holds_every_acknowledged_instance(victim: Victim) -> None:
    assert victim.listener.stop() == 0
    with Record.open(victim.listener.path, read_only=True) as record:
        record.verify()
        stored = {e.payload["sop_instance_uid"] for e in record.events(limit=1_000_000) if e.kind == "instance_stored"}
    assert set(victim.acknowledged) <= stored
    assert {path.name for path in victim.listener.path.parent.iterdir()} == {
        victim.listener.path.name,
        quarantine_path(victim.listener.path).name,
    }


@pytest.mark.parametrize("preamble", [b"MZ" + bytes(126), b"\x7fELF" + bytes(range(124))], ids=["windows", "linux"])
def test_an_executable_preamble_is_kept_byte_for_byte_and_nothing_else(tmp_path: Path, preamble: bytes) -> None:
    """The network never carries a preamble; a file that is imported does."""
    source, folder = tmp_path / "source", tmp_path / "treatment"
    for made in (source, folder):
        made.mkdir()
    data = part10(f"{ROOT}.4.1", image(f"{ROOT}.4.1"), preamble=preamble)
    (source / "IM1.exe").write_bytes(data)
    with Record.create(folder / "t.holmia") as record:
        report = import_folders(
            record, [source], None, lambda: datetime.now(UTC), quarantine_factory=never, progress=lambda *_: None
        )
        assert report.stored == 1
        stored = [e.object_sha256 for e in record.events() if e.kind == Kind.INSTANCE_STORED]
        assert [record.object_bytes(digest) for digest in stored if digest] == [data]
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600  # nobody can execute it


def never() -> Record:
    raise AssertionError("nothing here is for the quarantine")


def settled_footprint(listener: ListenerProcess) -> Footprint:
    """Its footprint without a thread of the last association."""
    time.sleep(0.5)
    return listener.footprint()


def settled(listener: ListenerProcess, start: Footprint) -> Footprint:
    """Its footprint once the threads of ended associations have gone: at the latest when their time-outs pass."""
    deadline = time.monotonic() + NETWORK_TIMEOUT_S + 10.0
    while True:
        found = listener.footprint()
        if (found.threads <= start.threads and found.descriptors <= start.descriptors) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)
