"""Torn and altered treatment files: nobody writes on, and everything up to the last sound event can still be read."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_listener.events import Event
from dicom_listener.record import Head, Record, RecordCorruptError, RecordError, RecordNewerError

from .tampering import tampered

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
EVENTS = 60
PAGE_BYTES = 4096


class Whole:
    """A sound file, and what is in it."""

    def __init__(self, path: Path) -> None:
        rng = random.Random(4)
        with Record.create(path) as record:
            for i in range(EVENTS):
                data = rng.randbytes(rng.choice((50, 3000, 9000))) if i % 2 else None
                payload = {"text": f"event {i} " * 20}
                record.append("note", payload, actor="test", utc=NOON, data=data)
            self.events = record.events()
            self.objects = {
                event.object_sha256: record.object_bytes(event.object_sha256)
                for event in self.events
                if event.object_sha256 is not None
            }
        self.bytes = path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Whole:
    return Whole(tmp_path_factory.mktemp("whole") / "a.holmia")


@pytest.fixture
def path(tmp_path, whole) -> Path:
    path = tmp_path / "a.holmia"
    path.write_bytes(whole.bytes)
    return path


def read_all(record: Record) -> list[Event]:
    """Every event by `events`, with its object read, which is verified."""
    found: list[Event] = []
    while batch := record.events(len(found), limit=7):
        found.extend(batch)
    for event in found:
        if event.object_sha256 is not None:
            record.object_bytes(event.object_sha256)
    return found


def end_of(path: Path, whole: Whole) -> tuple[int, str | None]:
    """How many events `salvage` gives, all of them as they were, and its damage; -1 if it cannot be opened at all."""
    try:
        record = Record.salvage(path)
    except RecordError as error:
        return -1, str(error)
    with record:
        found = read_all(record)
        assert found == whole.events[: len(found)]
        assert record.head() == (Head(seq=found[-1].seq, hash=found[-1].hash) if found else Head())
        if record.damage is None:
            assert len(found) == EVENTS
        else:
            assert f"the last sound event is {len(found)}." in record.damage
            assert path.name in record.damage
            assert str(path.parent) not in record.damage, "outputs state it"
        return len(found), record.damage


def test_a_sound_file_is_opened_as_ever(path, whole):
    with Record.salvage(path) as record:
        assert record.damage is None
        assert record.events() == whole.events
        assert record.read_only
        assert record.verify().seq == EVENTS
        with Record.open(path) as writer:
            writer.append("note", {"text": "live"}, actor="test", utc=NOON)
            assert record.changed()
            assert record.events(EVENTS)[0].payload == {"text": "live"}
    assert [file.name for file in path.parent.iterdir()] == ["a.holmia"]


def test_a_file_that_is_being_written_is_sound(path):
    with Record.open(path) as writer:
        writer.append("note", {"text": "in the log only"}, actor="test", utc=NOON, data=b"x" * 10_000)
        with Record.salvage(path) as record:
            assert record.damage is None
            assert record.head().seq == EVENTS + 1


@pytest.mark.parametrize("length", [100, 500, 1500, 4000])
def test_a_file_cut_within_its_first_page_is_no_whole_file_rather_than_a_fault_of_the_disk(path, whole, length):
    path.write_bytes(whole.bytes[:length])
    with pytest.raises(RecordCorruptError, match="use a copy"):
        Record.open(path)
    end, damage = end_of(path, whole)
    assert end <= 0
    assert "use a copy" in damage


def test_a_file_cut_anywhere_gives_what_is_before_the_cut_and_takes_nothing(path, whole):
    rng = random.Random(1)
    pages = len(whole.bytes) // PAGE_BYTES
    lengths = [PAGE_BYTES * rng.randrange(1, pages) for _ in range(15)]
    lengths += [rng.randrange(1, len(whole.bytes)) for _ in range(15)] + [len(whole.bytes) - 1]
    ends = {}
    for length in sorted(lengths):
        path.write_bytes(whole.bytes[:length])
        ends[length], damage = end_of(path, whole)
        assert damage is not None, length
        assert path.read_bytes() == whole.bytes[:length]
        if length // PAGE_BYTES < pages - 1:  # the content of an object is verified when it is read
            with pytest.raises(RecordCorruptError, match=re.escape(str(path))):
                Record.open(path)
    assert len({end for end in ends.values() if end > 0}) > 5  # the later the cut, the more there is
    assert list(ends.values()) == sorted(ends.values())


def test_any_flipped_bit_is_found_or_changes_nothing(path, whole):
    rng = random.Random(2)
    found = 0
    for page in range(len(whole.bytes) // PAGE_BYTES):
        at, bit = page * PAGE_BYTES + rng.randrange(PAGE_BYTES), 1 << rng.randrange(8)
        data = bytearray(whole.bytes)
        data[at] ^= bit
        path.write_bytes(data)
        end, damage = end_of(path, whole)  # where nothing is found, all is as it was
        found += damage is not None
        assert damage is not None or end == EVENTS
    assert found > 20


def test_a_sector_of_zeros_anywhere_is_found_or_changes_nothing(path, whole):
    """512 bytes are what a disk loses at least. Within a page they leave events that only a walk still finds."""
    rng = random.Random(3)
    sectors = {rng.randrange(len(whole.bytes) // 512) for _ in range(40)} | {75776 // 512, 112640 // 512}
    for sector in sectors:
        data = bytearray(whole.bytes)
        data[512 * sector : 512 * (sector + 1)] = bytes(512)
        path.write_bytes(data)
        end, damage = end_of(path, whole)
        assert damage is not None or end == EVENTS


@pytest.mark.parametrize(
    ("statement", "last_sound"),
    [
        ("DELETE FROM event WHERE seq = 30", 29),
        ("DELETE FROM event WHERE seq = 1", 0),
        ("UPDATE event SET payload = replace(payload, 'event 9', 'event X') WHERE seq = 10", 9),
        ("UPDATE event SET payload = CAST(x'ff7b7d' AS TEXT) WHERE seq = 10", 9),
        ("UPDATE event SET hash = replace(hash, substr(hash, 1, 4), 'beef') WHERE seq = 60", 59),
        ("UPDATE event SET hash = replace(hash, substr(hash, 1, 4), 'beef') WHERE seq = 20", 19),
        ("UPDATE event SET seq = 100 WHERE seq = 60", 59),
        ("UPDATE event SET payload = NULL || x'00' WHERE seq = 10", None),
        ("UPDATE object SET bytes = zeroblob(9) WHERE sha256 = (SELECT object FROM event WHERE seq = 40)", 39),
        ("DELETE FROM object WHERE sha256 = (SELECT object FROM event WHERE seq = 40)", 39),
    ],
)
def test_what_was_altered_or_removed_ends_the_file_before_it(path, whole, statement, last_sound):
    if last_sound is None:
        with pytest.raises(sqlite3.IntegrityError):
            tampered(path, statement)
        return
    tampered(path, statement)
    assert end_of(path, whole)[0] == last_sound


def test_a_fork_of_the_chain_ends_the_file_at_the_fork(path, whole):
    """Two events that both follow number 20: the file of one branch, the later event of the other."""
    other = path.with_name("other.holmia")
    with Record.create(other) as record:
        for event in whole.events[:20]:
            record.append(
                event.kind, event.payload, actor=event.actor, utc=event.utc, data=whole.objects.get(event.object_sha256)
            )
        stranger = record.append("note", {"text": "another branch"}, actor="test", utc=NOON)
        assert stranger.previous_hash == whole.events[20].previous_hash
    row = (
        22,
        f"{NOON.isoformat(timespec='microseconds')}",
        "test",
        "note",
        '{"text":"x"}',
        None,
        stranger.hash,
        "0" * 64,
    )
    tampered(path, "DELETE FROM event WHERE seq = 22")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.close()
    end, damage = end_of(path, whole)
    assert end == 21
    assert "lacks an event between 21 and 22" in damage


def test_a_writer_is_refused_with_one_sentence_that_says_where_and_what_to_do(path):
    tampered(path, "UPDATE event SET actor = 'other' WHERE seq = 31")
    before = path.read_bytes()
    with pytest.raises(
        RecordCorruptError, match=r"altered event 31.*last sound event is 30\. Nothing can be added"
    ) as caught:
        Record.open(path)
    assert caught.value.last_sound_seq == 30
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.holmia"]


def test_a_damaged_file_is_only_read(path):
    tampered(path, "DELETE FROM event WHERE seq = 30")
    before = path.read_bytes()
    with Record.salvage(path) as record:
        assert record.read_only
        assert not record.changed()
        assert record.events(29) == record.events(40) == []
        assert [len(batch) for batch in record.follow(20, stop=iter([False, False, True]).__next__, poll_s=0.0)] == [
            9,
            0,
        ]
        with pytest.raises(RecordError):
            record.append("note", {}, actor="test", utc=NOON)
        with pytest.raises(RecordCorruptError, match="last sound event is 29") as caught:
            record.verify()
        assert caught.value.last_sound_seq == 29
    assert path.read_bytes() == before


def test_the_copy_of_a_damaged_file_is_sound_and_goes_on_from_its_last_sound_event(path, whole):
    tampered(path, "UPDATE object SET bytes = x'00' WHERE sha256 = (SELECT object FROM event WHERE seq = 40)")
    target = path.with_name("copy.holmia")
    with Record.salvage(path) as record:
        record.copy_to(target)
        head = record.head()
    with Record.open(target) as copy:
        assert copy.verify() == head
        assert read_all(copy) == whole.events[:39]
        copy.append("note", {"text": "on it goes"}, actor="test", utc=NOON)
        assert copy.verify().seq == 40


def test_a_live_file_copied_without_its_log_is_older_and_only_the_head_tells(path, whole):
    copy = path.with_name("copy.holmia")
    with Record.open(path) as writer:
        event = writer.append("note", {"text": "in the log only"}, actor="test", utc=NOON)
        printed = writer.head()
        shutil.copy(path, copy)  # of another file: no descriptor of this one is closed meanwhile
        assert event.seq == EVENTS + 1
    with Record.salvage(copy) as record:
        assert record.damage is None
        assert record.head().seq == EVENTS
        assert record.head() != printed


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_torn_log_gives_the_events_before_the_tear(path, whole, part):
    copy = path.with_name("copy.holmia")
    with Record.open(path) as writer:
        for i in range(10):
            writer.append("note", {"text": f"log {i}"}, actor="test", utc=NOON, data=bytes([i]) * 5000)
        log = path.with_name("a.holmia-wal").read_bytes()
        copy.write_bytes(whole.bytes[:18] + b"\2\2" + whole.bytes[20:])  # in WAL mode, as the live file is
        copy.with_name("copy.holmia-wal").write_bytes(log[: int(part * len(log))])
    with Record.salvage(copy) as record:
        assert record.damage is None
        assert EVENTS + 10 * part - 2 <= record.head().seq <= EVENTS + 10 * part
    with Record.open(copy) as record:
        record.append("note", {}, actor="test", utc=NOON)
        record.verify()


def other_program(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE a(b)")
    connection.close()


@pytest.mark.parametrize(
    ("made", "error", "said"),
    [
        (lambda path: path.write_bytes(b""), RecordCorruptError, "is not a treatment file"),
        (lambda path: path.write_bytes(b"holmium" * 999), RecordCorruptError, "not a sound treatment file"),
        (other_program, RecordCorruptError, "not a treat"),
        (lambda path: path.mkdir(), RecordError, "is no file"),
        (lambda path: None, RecordError, "does not exist"),
    ],
    ids=["empty", "text", "other_program", "directory", "missing"],
)
def test_what_is_no_treatment_file_has_nothing_to_salvage(tmp_path, made, error, said):
    path = tmp_path / "b.holmia"
    made(path)
    with pytest.raises(error, match=said):
        Record.salvage(path)


def test_a_newer_file_is_not_taken_for_a_damaged_one(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(RecordNewerError):
        Record.salvage(path)


def test_a_file_without_its_triggers_is_damaged_but_all_there(path, whole):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DROP TRIGGER event_no_delete")
    connection.close()
    end, damage = end_of(path, whole)
    assert end == EVENTS
    assert "triggers" in damage


def test_salvage_hashes_every_object(path, whole):
    """The last byte of the last object, which no structure of the database covers."""
    data = bytearray(whole.bytes)
    last = whole.objects[whole.events[-1].object_sha256]
    tail = whole.bytes.rindex(last[-20:]) + 19
    data[tail] ^= 1
    path.write_bytes(data)
    assert end_of(path, whole)[0] == EVENTS - 1
    with Record.open(path) as record, pytest.raises(RecordCorruptError, match="other bytes"):
        record.object_bytes(hashlib.sha256(last).hexdigest())
