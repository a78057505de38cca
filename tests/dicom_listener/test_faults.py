"""Disk, memory and processes fail at any step: what was acknowledged is kept, the sender is told, all goes on."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.soak.instances import element, image, text
from benchmarks.soak.raw_pdu import ASSOCIATE_AC, Peer, PeerGoneError
from config.plan import PatientPlan
from config.settings import SiteSettings
from dicom_listener import failpoints, owed_events
from dicom_listener.admission import Admission, Fate
from dicom_listener.events import Kind
from dicom_listener.listener import Listener
from dicom_listener.owed_events import OwedEvents
from dicom_listener.record import Record, RecordError, RecordFullError, quarantine_path

pytestmark = pytest.mark.network

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("listener_process.py")
ROOT = "1.2.826.0.1.3680043.10.7.4"
PATIENT = PatientPlan(id="EM1-004")
PATIENCE_S = 20.0
QUARANTINE_POINTS = [point for point in failpoints.POINTS if "quarantine" in point]

FAULTS = {
    "no_space": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "database": lambda: sqlite3.OperationalError("disk I/O error"),
    "memory": MemoryError,
    "unforeseen": lambda: RuntimeError("a fault of the program"),
}


def uid_of(number: int) -> str:
    return f"{ROOT}.{number}"


def instance(number: int, *, of_another: bool = False, pixels: int = 128) -> bytes:
    """A data set; `of_another` patient goes to the quarantine."""
    changed = {"e00100020": text(0x00100020, "LO", "OTHER")} if of_another else {}
    if pixels != 128:
        noise = random.Random(number).randbytes(pixels)
        changed["e00091002"] = element(0x00091002, "UN", noise)
    return image(uid_of(number), **changed)


def part10(number: int, *, of_another: bool = False, pixels: int = 128) -> bytes:
    syntax = b"1.2.840.10008.1.2.1\0"
    meta = b"\x02\0\x10\0UI" + len(syntax).to_bytes(2, "little") + syntax
    head = b"\x02\0\0\0UL\x04\0" + len(meta).to_bytes(4, "little")
    return bytes(128) + b"DICM" + head + meta + instance(number, of_another=of_another, pixels=pixels)


def opened(path: Path) -> Record:
    return Record.open(path) if path.exists() else Record.create(path)


def events_of(path: Path, kind: Kind) -> list[dict]:
    with Record.open(path, read_only=True) as record:
        record.verify()
        return [event.payload for event in record.events(limit=100_000) if event.kind == kind]


def stored_in(path: Path) -> Counter[str]:
    """How often each SOP Instance UID is in the file, which is sound."""
    return Counter(payload["sop_instance_uid"] for payload in events_of(path, Kind.INSTANCE_STORED))


def eventually(condition) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def request(peer: Peer) -> None:
    kind, body = peer.associate()
    if kind != ASSOCIATE_AC:
        raise PeerGoneError(f"no association, but PDU {kind} with {body.hex()}")


@contextlib.contextmanager
def associated(port: int) -> Iterator[Peer]:
    with Peer(port, timeout_s=PATIENCE_S) as peer:
        request(peer)
        yield peer


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.armed.clear()


class Node:
    """A listener in this process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.holmia"
        self.record = opened(self.path)
        self.listener = Listener(
            self.record,
            lambda: opened(quarantine_path(self.path)),
            SiteSettings(host="127.0.0.1", port=0, minimum_free_disk_mb=1.0),
            PATIENT,
            lambda: datetime.now(UTC),
        )
        self.port = self.listener.start()

    def of(self, kind: Kind) -> list[dict]:
        return [event.payload for event in self.record.events(limit=100_000) if event.kind == kind]

    def pages(self, more: int | None) -> None:
        """Let the file grow by so many pages of 4 kB at most."""
        count = self.record._connection.execute("PRAGMA page_count").fetchone()[0]
        limit = 1_000_000_000 if more is None else count + more
        self.record._connection.execute(f"PRAGMA max_page_count={limit}").fetchone()

    def stop(self) -> None:
        self.listener.stop()
        self.record.close()


@pytest.fixture
def node(tmp_path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.stop()


class Armed:
    """What a failpoint does: it fails, as often as it is reached."""

    def __init__(self, fault: Callable[[], Exception]) -> None:
        self.fault = fault
        self.reached = 0

    def __call__(self) -> None:
        self.reached += 1
        raise self.fault()


class Killable:
    """Listeners in processes of their own, one at a time."""

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, path: Path, point: str = "") -> tuple[int, int]:
        """Start one; return its process id and port."""
        self.server.stdin.write(f"{path}\t{point}\n")
        self.server.stdin.flush()
        pid, port = self.server.stdout.readline().split()
        return int(pid), int(port)

    @contextlib.contextmanager
    def running(self, path: Path) -> Iterator[tuple[int, int]]:
        """One that is killed at the end."""
        pid, port = self.start(path)
        try:
            yield pid, port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def killable() -> Iterator[Killable]:
    made = Killable()
    yield made
    made.server.stdin.close()
    made.server.wait(timeout=PATIENCE_S)
    made.server.stdout.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_step_is_answered_and_made_good_by_sending_again(node, fault):
    numbers = itertools.count(1)
    acknowledged, refused = [], 0
    with associated(node.port) as peer:

        def sent(number: int, of_another: bool) -> tuple[int, str]:
            peer.send_store(uid_of(number), instance(number, of_another=of_another))
            answer = peer.status()
            if answer[0] == 0:
                acknowledged.append(uid_of(number))
            return answer

        for point, of_another in itertools.product(failpoints.POINTS, (False, True)):
            if point in QUARANTINE_POINTS and not of_another:
                continue
            number, armed = next(numbers), Armed(FAULTS[fault])
            failpoints.armed[point] = armed
            status, comment = sent(number, of_another)
            failpoints.armed.clear()
            assert armed.reached, point
            assert status == 0xA700, point
            assert 0 < len(comment) <= 64
            refused += 1
            assert sent(number, of_another) == (0, ""), point
            assert sent(next(numbers), of_another) == (0, ""), point
        peer.release()
    node.stop()
    kept = stored_in(node.path) + stored_in(quarantine_path(node.path))
    assert set(kept) == set(acknowledged)
    assert set(kept.values()) == {1}
    quarantined = [payload["sha256"] for payload in events_of(node.path, Kind.INSTANCE_QUARANTINED)]
    assert len(quarantined) == len(set(quarantined)) == len(stored_in(quarantine_path(node.path)))
    # Every refusal is accounted for, those too that could not be recorded when they happened. What fails after its
    # commit is recorded twice.
    assert len(events_of(node.path, Kind.INSTANCE_REFUSED)) >= refused
    said = {payload["first_utc"]: payload["instances"] for payload in events_of(node.path, Kind.STORAGE_FAILED)}
    assert sum(said.values()) == refused


def test_a_kill_at_any_step_loses_nothing_that_was_acknowledged(killable, tmp_path):
    path = tmp_path / "a.holmia"
    acknowledged = set()
    numbers = itertools.count(1)
    steps = [(point, point in QUARANTINE_POINTS) for point in failpoints.POINTS]
    for point, of_another in steps:
        number = next(numbers)
        _, port = killable.start(path, point)
        with associated(port) as peer, pytest.raises(PeerGoneError):
            peer.store(uid_of(number), instance(number, of_another=of_another))
        with killable.running(path) as (_, port), associated(port) as peer:
            for each, other in ((number, of_another), (next(numbers), not of_another)):
                assert peer.store(uid_of(each), instance(each, of_another=other)) == 0, point
                acknowledged.add(uid_of(each))
    kept = stored_in(path) + stored_in(quarantine_path(path))
    assert set(kept) == acknowledged
    assert set(kept.values()) == {1}
    assert len(events_of(path, Kind.INSTANCE_QUARANTINED)) == len(stored_in(quarantine_path(path)))


def test_30_kills_at_random_moments_lose_nothing_that_was_acknowledged(killable, tmp_path):
    path, rng = tmp_path / "a.holmia", random.Random(30)
    acknowledged: list[str] = []
    number = 1
    for _ in range(30):
        pid, port = killable.start(path)
        # So many instances, whatever the machine's speed, and then a moment that may fall anywhere.
        before, until = rng.randrange(6), threading.Timer(rng.uniform(0.0, 0.03), os.kill, (pid, signal.SIGKILL))
        with contextlib.suppress(PeerGoneError, ConnectionError), Peer(port, timeout_s=PATIENCE_S) as peer:
            if before == 0:
                until.start()
            request(peer)
            for count in itertools.count(1):
                pixels = (128, 5_000, 60_000)[number % 3]
                assert peer.store(uid_of(number), instance(number, of_another=number % 4 == 0, pixels=pixels)) == 0
                acknowledged.append(uid_of(number))
                number += 1
                if count == before:
                    until.start()
        until.join(PATIENCE_S)
        kept = stored_in(path) + (stored_in(quarantine_path(path)) if quarantine_path(path).exists() else Counter())
        assert set(acknowledged) <= set(kept)
        assert set(kept.values()) <= {1}
        assert len(kept) <= len(acknowledged) + 1
    assert len(acknowledged) > 60


def fill(node: Node) -> None:
    """Take what room is left in the file, to the last byte that an event needs."""
    node.pages(2)

    def note(size: int) -> None:
        node.record.append(Kind.NOTE, {"text": "x" * size}, actor="test", utc=datetime.now(UTC))

    for size in (2000, 100):
        with contextlib.suppress(RecordFullError):
            for _ in range(1000):
                note(size)
    with pytest.raises(RecordFullError, match="its disk is full; make room"):
        note(100)


def test_a_full_file_refuses_with_a_comment_alarms_and_recovers_by_itself(node):
    node.pages(8)
    with associated(node.port) as peer:
        for number in (1, 2, 3):
            peer.send_store(uid_of(number), instance(number, pixels=100_000))
            assert peer.status() == (0xA700, "The disk of the treatment file is full")
        (said,) = node.of(Kind.STORAGE_FAILED)  # at once: there is room for an event
        assert (said["status"], said["instances"]) == (0xA700, 1)
        assert peer.store(uid_of(4), instance(4)) == 0  # what fits is taken
        node.pages(None)
        for number in (1, 2, 3):
            assert peer.store(uid_of(number), instance(number, pixels=100_000)) == 0
        peer.release()
    node.stop()
    assert set(stored_in(node.path).values()) == {1}
    assert len(stored_in(node.path)) == 4
    assert [payload["instances"] for payload in events_of(node.path, Kind.STORAGE_FAILED)] == [1, 3]


def test_what_a_full_file_could_not_take_is_written_when_there_is_room_without_anything_arriving(node):
    with associated(node.port) as peer:
        assert peer.store(uid_of(1), instance(1)) == 0
        fill(node)
        began = datetime.now(UTC)
        for number in (2, 3):
            peer.send_store(uid_of(number), instance(number))
            assert peer.status() == (0xA700, "The disk of the treatment file is full")
        assert peer.echo() == 0
        peer.release()
    assert node.of(Kind.INSTANCE_REFUSED) == node.of(Kind.STORAGE_FAILED) == []
    node.record.verify()
    ended = datetime.now(UTC)
    node.pages(None)
    assert eventually(lambda: node.of(Kind.ASSOCIATION_CLOSED))
    (said,) = node.of(Kind.STORAGE_FAILED)
    assert said["instances"] == 1
    assert began <= datetime.fromisoformat(said["first_utc"]) <= ended
    assert [payload["status"] for payload in node.of(Kind.INSTANCE_REFUSED)] == [0xA700] * 2
    assert node.of(Kind.ASSOCIATION_CLOSED)[0]["instances"] == 1
    for event in node.record.events(limit=1000):
        if event.kind in (Kind.INSTANCE_REFUSED, Kind.STORAGE_FAILED):
            assert began <= event.utc <= ended  # when it happened, not when it was written
    with associated(node.port) as peer:
        assert peer.store(uid_of(2), instance(2)) == 0
    assert eventually(lambda: len(node.of(Kind.STORAGE_FAILED)) == 2)
    assert node.of(Kind.STORAGE_FAILED)[-1]["instances"] == 2


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit is Linux's")
def test_a_listener_whose_log_cannot_grow_survives_and_recovers_by_itself(killable, tmp_path):
    path = tmp_path / "a.holmia"
    with killable.running(path) as (pid, port), associated(port) as peer:
        assert peer.store(uid_of(1), instance(1)) == 0
        size = path.with_name("a.holmia-wal").stat().st_size
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for number in (2, 3):
            peer.send_store(uid_of(number), instance(number))
            assert peer.status() == (0xA700, "The instance could not be written to disk")
        assert peer.echo() == 0
        assert events_of(path, Kind.STORAGE_FAILED) == []
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        assert eventually(lambda: len(events_of(path, Kind.INSTANCE_REFUSED)) == 2)
        assert [payload["instances"] for payload in events_of(path, Kind.STORAGE_FAILED)] == [1]
        assert peer.store(uid_of(2), instance(2)) == 0
    assert stored_in(path) == {uid_of(1): 1, uid_of(2): 1}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read as Linux tells it")
@pytest.mark.parametrize("room_mb", [5, 20, 35])
def test_a_listener_short_of_memory_says_so_and_stores_the_next(killable, tmp_path, room_mb):
    path, huge = tmp_path / "a.holmia", image(uid_of(1), e00091002=element(0x00091002, "UN", bytes(30_000_000)))
    with killable.running(path) as (pid, port):
        with associated(port) as peer:
            assert peer.store(uid_of(2), instance(2)) == 0
        size = re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        limit = int(size[1]) * 1024 + room_mb * 1_000_000
        _, hard = resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        answer = None
        with contextlib.suppress(PeerGoneError), associated(port) as peer:
            peer.send_store(uid_of(1), huge)
            answer = peer.status()[0]  # or it is aborted: it could not even be received
        assert answer in ((None, 0xA700) if room_mb == 5 else (None, 0xA700, 0))
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, hard))
        with associated(port) as peer:
            assert peer.store(uid_of(3), instance(3)) == 0
    assert stored_in(path) == {uid_of(number): 1 for number in ((1, 2, 3) if answer == 0 else (2, 3))}


def test_a_log_that_cannot_be_moved_into_the_file_still_takes_what_fits_it(tmp_path):
    path, limit = tmp_path / "a.holmia", 5_000_000
    with Record.create(path) as record:

        def note(size: int) -> None:
            record.append(Kind.NOTE, {}, actor="test", utc=datetime.now(UTC), data=os.urandom(size))

        while path.stat().st_size < limit:
            note(500_000)
        before, limits = record.head().seq, resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            with contextlib.suppress(RecordError):
                for _ in range(100):
                    note(500_000)
            with pytest.raises(RecordError, match="cannot be written"):
                note(500_000)
            full_at = record.head().seq
            assert full_at >= before + 5
            record.verify()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        note(500_000)
    with Record.open(path) as record:
        assert record.verify().seq == full_at + 1


def admission_of(record: Record, **options: object) -> Admission:
    quarantine = lambda: opened(quarantine_path(record.path))  # noqa: E731
    return Admission(record, quarantine, PATIENT, lambda: datetime.now(UTC), actor="test", **options)


def test_memory_that_is_short_for_one_instance_is_there_for_the_next(tmp_path, monkeypatch):
    with Record.create(tmp_path / "a.holmia") as record:
        admission = admission_of(record)
        with monkeypatch.context() as patch:

            def too_large(data: bytes) -> None:
                raise MemoryError

            patch.setattr("dicom_listener.admission.read_header", too_large)
            admitted = admission.admit(part10(1), association="a")
        assert admitted.status.code == 0xA700
        assert "memory" in admitted.status.comment
        assert admission.admit(part10(2), association="a").fate is Fate.STORED
        admission.close()


def test_who_compares_for_long_keeps_nobody_from_storing(tmp_path, monkeypatch):
    comparing, go_on = threading.Event(), threading.Event()

    def slowly(*_: object, **__: object) -> bool:
        comparing.set()
        return go_on.wait(PATIENCE_S)

    monkeypatch.setattr("dicom_listener.admission.same_content", slowly)
    with Record.create(tmp_path / "a.holmia") as record:
        admission, fates = admission_of(record), []
        admission.admit(part10(1), association="a")
        again = part10(1, pixels=10)
        thread = threading.Thread(target=lambda: fates.append(admission.admit(again, association="a").fate))
        thread.start()
        assert comparing.wait(PATIENCE_S)
        assert admission.admit(part10(2), association="b").fate is Fate.STORED
        assert fates == []
        go_on.set()
        thread.join(PATIENCE_S)
        assert fates == [Fate.DUPLICATE]
        admission.close()


def test_what_cannot_be_compared_is_kept_as_different(tmp_path):
    def broken(_one: bytes, _other: bytes) -> bool:
        raise RuntimeError("the decoding process cannot be started")

    with Record.create(tmp_path / "a.holmia") as record:
        admission = admission_of(record, same_pixels=broken)
        compressed = part10(1).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
        assert admission.admit(part10(1), association="a").fate is Fate.STORED
        assert admission.admit(compressed, association="a").fate is Fate.QUARANTINED
        admission.close()


def test_owed_events_are_bounded_and_what_is_beyond_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(owed_events, "MAXIMUM_OWED", 3)
    with Record.create(tmp_path / "a.holmia") as record:
        events = OwedEvents(record, lambda: datetime.now(UTC), actor="test")
        failpoints.armed["record.begun"] = Armed(MemoryError)
        for number in range(5):
            events.append(Kind.SERIES_QUIET, {"number": number})
        assert not events.settle()
        failpoints.armed.clear()
        assert events.settle()
        assert [event.payload.get("number") for event in record.events()] == [0, 1, 2, None]
        assert "2 further events" in record.events()[-1].payload["text"]
        assert record.verify().seq == 4


def test_the_count_of_what_was_forgotten_is_owed_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(owed_events, "MAXIMUM_OWED", 1)
    with Record.create(tmp_path / "a.holmia") as record:
        events = OwedEvents(record, lambda: datetime.now(UTC), actor="test")
        failures = iter([True, True, False, True])  # the event twice, then not, then the note

        def failing() -> None:
            if next(failures, False):
                raise MemoryError

        failpoints.armed["record.begun"] = failing
        for number in range(2):
            events.append(Kind.SERIES_QUIET, {"number": number})
        assert not events.settle()
        assert events.settle()
        assert "1 further events" in record.events()[-1].payload["text"]


def test_one_of_many_contents_under_a_uid_is_compared_with_the_latest_only(tmp_path, monkeypatch):
    compared: list[bytes] = []
    monkeypatch.setattr("dicom_listener.admission.same_content", lambda one, *_, **__: bool(compared.append(one)))
    with Record.create(tmp_path / "a.holmia") as record:
        admission = admission_of(record)
        contents = [part10(1, pixels=8 + 2 * number) for number in range(12)]
        fates = [admission.admit(data, association="a").fate for data in contents]
        assert fates == [Fate.STORED] + [Fate.QUARANTINED] * 11
        compared.clear()
        assert admission.admit(part10(1, pixels=100), association="a").fate is Fate.QUARANTINED
        assert sorted(compared) == sorted([contents[0], *contents[-8:]])
        assert [admission.admit(data, association="a").fate for data in contents] == [Fate.DUPLICATE] * 12
        admission.close()


def test_nothing_of_an_instance_is_logged_with_what_it_raised(tmp_path, monkeypatch, caplog):
    def quoting(_data: bytes) -> None:
        raise ValueError("Secret^Name")

    monkeypatch.setattr("dicom_listener.admission.read_header", quoting)
    with Record.create(tmp_path / "a.holmia") as record:
        admission = admission_of(record)
        assert admission.admit(part10(1), association="a").fate is Fate.REFUSED
        admission.close()
    assert "ValueError" in caplog.text
    assert "Secret" not in caplog.text


def test_only_a_test_can_arm_a_failpoint():
    assert failpoints.armed == {}
    sources = {path.name: path.read_text() for path in (REPOSITORY / "dicom_listener").glob("*.py")}
    assert not any(word in sources["failpoints.py"] for word in ("import os", "import sys", "environ[", "getenv"))
    together = "".join(sources.values())
    assert "failpoints.armed" not in together
    assert [point for point in failpoints.POINTS if together.count(f'failpoints.reach("{point}")') != 1] == []
