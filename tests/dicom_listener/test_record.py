"""The treatment file: durable, one unbroken chain, nothing changed or removed without being seen."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from dicom_listener.events import Kind
from dicom_listener.record import (
    Head,
    Record,
    RecordCorruptError,
    RecordError,
    RecordNewerError,
    quarantine_path,
)
from dicom_listener.record_schema import file_system_of

from .tampering import tampered

REPOSITORY = Path(__file__).resolve().parents[2]
OBJECT = f"x'{(b'object 3' * 50).hex()}'"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def note(record: Record, text: str, data: bytes | None = None):
    return record.append(Kind.NOTE, {"text": text}, actor="test", utc=NOON, data=data)


def filled(path: Path, n: int = 5) -> Path:
    with Record.create(path) as record:
        for i in range(n):
            note(record, f"event {i}", f"object {i}".encode() * 50)
    return path


def python(script: str, *arguments: object, stdout=subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=stdout, stderr=subprocess.PIPE, text=True)


WRITER = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from dicom_listener.record import Record
    path, name, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with Record.open(path) as record:
        for i in range(n):
            data = f"{name} {i} ".encode() * 300
            event = record.append("note", {"text": f"{name} {i}"}, actor=name, utc=datetime.now(UTC), data=data)
            print(event.seq, event.hash, flush=True)
"""


def test_what_was_appended_is_read_back(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        written = [note(record, "first"), note(record, "second é\ud800", b"bytes \x00\xff")]
        assert record.events() == written
        assert record.events(after_seq=1) == written[1:]
        assert record.events(limit=1) == written[:1]
        assert written[1].object_sha256 == hashlib.sha256(b"bytes \x00\xff").hexdigest()
        assert record.object_bytes(written[1].object_sha256) == b"bytes \x00\xff"
        assert record.head() == Head(seq=2, hash=written[1].hash)
    with Record.open(tmp_path / "a.holmia", read_only=True) as record:
        assert record.events() == written
        assert record.verify() == Head(seq=2, hash=written[1].hash)


def test_an_empty_file_has_head_zero(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        assert record.head() == Head(seq=0, hash="0" * 64)
        assert record.verify() == Head()
        assert record.events() == []


def test_times_are_kept_as_utc(tmp_path):
    amsterdam = timezone(timedelta(hours=1))
    with Record.create(tmp_path / "a.holmia") as record:
        record.append("note", {}, actor="a", utc=datetime(2026, 3, 4, 13, tzinfo=amsterdam))
        assert record.events()[0].utc == NOON
        assert record.events()[0].utc.utcoffset() == timedelta(0)


def test_the_same_object_is_kept_once(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        note(record, "one", b"same")
        note(record, "two", b"same")
        assert record.verify().seq == 2
    connection = sqlite3.connect(tmp_path / "a.holmia")
    assert connection.execute("SELECT count(*) FROM object").fetchone() == (1,)
    connection.close()


def test_keys_that_are_not_text_survive_the_chain(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        event = record.append("note", {10: 1.0, 9: [1, None, True]}, actor="a", utc=NOON)
        assert event.payload == {"10": 1.0, "9": [1, None, True]}
        assert record.verify().seq == 1


@pytest.mark.parametrize(
    ("payload", "utc"),
    [({"dose_Gy": math.nan}, NOON), ({"x": object()}, NOON), ({}, datetime(2026, 3, 4, 12))],
    ids=["nan", "not_json", "naive_time"],
)
def test_what_has_no_one_meaning_is_refused(tmp_path, payload, utc):
    with Record.create(tmp_path / "a.holmia") as record:
        with pytest.raises((ValueError, TypeError)):
            record.append("note", payload, actor="a", utc=utc)
        assert record.head().seq == 0


def test_files_are_for_their_owner_only(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        note(record, "x")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_create_refuses_an_existing_name_and_leaves_nothing_behind(tmp_path):
    path = filled(tmp_path / "a.holmia")
    before = path.read_bytes()
    with pytest.raises(RecordError, match="exists already"):
        Record.create(path)
    with pytest.raises(RecordError, match="cannot be created"):
        Record.create(tmp_path / "no folder" / "a.holmia")
    assert [file.name for file in tmp_path.iterdir()] == ["a.holmia"]
    assert path.read_bytes() == before


def test_close_leaves_one_file(tmp_path):
    path = tmp_path / "a.holmia"
    with Record.create(path) as record, Record.open(path, read_only=True):
        note(record, "x", b"y" * 10_000)
        assert len(list(tmp_path.iterdir())) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["a.holmia"]
    assert path.read_bytes()[18:20] == b"\x01\x01"  # rollback journal, not WAL: opens from read-only media


def test_a_follower_that_is_last_leaves_one_file(tmp_path):
    path = tmp_path / "a.holmia"
    record = Record.create(path)
    follower = Record.open(path, read_only=True)
    note(record, "x")
    record.close()
    assert len(follower.events()) == 1
    follower.close()
    follower.close()
    assert [file.name for file in tmp_path.iterdir()] == ["a.holmia"]
    assert path.read_bytes()[18:20] == b"\x01\x01"


def test_a_follower_that_came_first_sees_a_later_writer(tmp_path):
    path = filled(tmp_path / "a.holmia", 1)
    with Record.open(path, read_only=True) as follower:
        assert not follower.changed()
        with Record.open(path) as record:
            note(record, "later")
            assert follower.changed()
            assert not follower.changed()
            assert len(follower.events()) == 2


def test_reading_does_not_change_the_file(tmp_path):
    path = filled(tmp_path / "a.holmia")
    before = path.read_bytes()
    with Record.open(path, read_only=True) as record:
        record.verify()
        with pytest.raises(RecordError):
            note(record, "not allowed")
    assert path.read_bytes() == before


def test_own_appends_count_as_changes(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        assert not record.changed()
        note(record, "x")
        assert record.changed()
        assert not record.changed()


@pytest.mark.parametrize("verb", ["UPDATE event SET actor = 'other'", "DELETE FROM event", "DELETE FROM object"])
def test_update_and_delete_are_refused(tmp_path, verb):
    path = filled(tmp_path / "a.holmia")
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="only ever appended"):
        connection.execute(verb)
    connection.close()
    with Record.open(path) as record:
        assert record.verify().seq == 5


def test_the_chain_cannot_fork(tmp_path):
    path = filled(tmp_path / "a.holmia")
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        connection.execute(
            "INSERT INTO event SELECT 6, utc, "
            " actor, kind, payload, object, previous_hash, hash FROM event WHERE seq = 5"
        )
    connection.close()


@pytest.mark.parametrize(
    ("statement", "last_sound"),
    [
        ("UPDATE event SET payload = replace(payload, 'event 2', 'event X') WHERE seq = 3", 2),
        ("UPDATE event SET payload = replace(payload, ':', ': ') WHERE seq = 3", 2),
        ("UPDATE event SET actor = 'other' WHERE seq = 1", 0),
        ("UPDATE event SET utc = replace(utc, '12:', '13:') WHERE seq = 5", 4),
        ("UPDATE event SET object = (SELECT object FROM event WHERE seq = 1) WHERE seq = 4", 3),
        ("UPDATE event SET utc = 'yesterday' WHERE seq = 4", 3),
        ("DELETE FROM event WHERE seq = 3", 2),
        ("DELETE FROM event WHERE seq = 5", 4),
        ("UPDATE object SET bytes = CAST(replace(bytes, 'object 3', 'object X') AS BLOB) WHERE bytes = " + OBJECT, 3),
        ("DELETE FROM object WHERE bytes = " + OBJECT, 3),
    ],
    ids=[
        "payload",
        "spaces",
        "actor",
        "time",
        "object_swapped",
        "time_unreadable",
        "row_gone",
        "tail_gone",
        "object_altered",
        "object_gone",
    ],
)
def test_what_was_altered_or_removed_is_found_and_the_last_sound_event_named(tmp_path, statement, last_sound):
    path = tampered(filled(tmp_path / "a.holmia"), statement)
    with (
        Record.open(path, read_only=True) as record,
        pytest.raises(RecordCorruptError, match=rf"last sound event is {last_sound}\.") as caught,
    ):
        record.verify()
    assert caught.value.last_sound_seq == last_sound


def test_one_altered_byte_of_an_object_is_found_when_it_is_read(tmp_path):
    path = filled(tmp_path / "a.holmia")
    with Record.open(path) as record:
        digest = record.events()[2].object_sha256
    data = path.read_bytes()
    at = data.index(b"object 2object 2")
    path.write_bytes(data[:at] + b"X" + data[at + 1 :])
    with Record.open(path) as record:
        with pytest.raises(RecordCorruptError, match="other bytes"):
            record.object_bytes(digest)
        with pytest.raises(RecordCorruptError, match="last sound event is 2"):
            record.verify()


def test_a_missing_object_is_named(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record, pytest.raises(RecordCorruptError, match="lacks the object"):
        record.object_bytes("0" * 64)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"holmium" * 1000,
        lambda data: data[: len(data) // 2],
        lambda data: data[:100],
        lambda data: data[:68] + b"\0\0\0\0" + data[72:],
    ],
    ids=["empty", "text", "half", "header_only", "other_application"],
)
def test_what_is_no_treatment_file_is_refused_with_a_sentence(tmp_path, damage):
    path = filled(tmp_path / "a.holmia", 50)
    path.write_bytes(damage(path.read_bytes()))
    for read_only in (False, True):
        with pytest.raises(RecordCorruptError, match="treatment file"):
            Record.open(path, read_only=read_only)


def test_a_file_without_its_triggers_is_refused(tmp_path):
    path = filled(tmp_path / "a.holmia")
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER event_no_delete")
    connection.commit()
    connection.close()
    with pytest.raises(RecordCorruptError, match="triggers"):
        Record.open(path)


def test_a_newer_file_is_refused_by_name(tmp_path):
    path = filled(tmp_path / "future.holmia")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(RecordNewerError, match=r"future\.holmia was written by a newer Holmia"):
        Record.open(path)


def test_a_missing_file_is_not_created(tmp_path):
    with pytest.raises(RecordError, match="does not exist"):
        Record.open(tmp_path / "a.holmia")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_copy_of_a_live_file_verifies(tmp_path, read_only):
    path = filled(tmp_path / "a.holmia", 20)
    target = tmp_path / "copy 'quoted' ?#.holmia"
    with Record.open(path) as writer, Record.open(path, read_only=read_only) as record:
        note(writer, "live")
        record.copy_to(target)
        note(writer, "after the copy")
        with pytest.raises(RecordError, match="exists already"):
            record.copy_to(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with Record.open(target, read_only=True) as copy:
        assert copy.verify().seq == 21
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.holmia", target.name]


def test_it_opens_from_a_folder_that_cannot_be_written(tmp_path):
    folder = Path("/tmp") / f"holmia-read-only-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        shutil.copy(filled(tmp_path / "a.holmia"), folder)
        wal = folder / "wal.holmia"
        shutil.copy(tmp_path / "a.holmia", wal)
        connection = sqlite3.connect(wal)
        connection.execute("PRAGMA journal_mode=WAL")  # as left behind when two close at the same moment
        connection.close()
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        script = """
            import os
            import sys
            from pathlib import Path
            from dicom_listener.locks import FileLock, LockHeldError
            from dicom_listener.record import Record, RecordError
            if os.geteuid() == 0:  # who may write anywhere
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            for path in map(Path, sys.argv[1:]):
                with Record.open(path, read_only=True) as record:
                    print(record.verify().seq, sum(len(batch) for batch in [record.events()]))
                try:
                    Record.open(path)
                except RecordError as error:
                    print(type(error).__name__)
                with Record.salvage(path) as record:
                    print(record.damage, record.head().seq)
                try:
                    FileLock.acquire(path, "listener").__enter__()
                except LockHeldError as error:
                    print("choose a folder that exists and can be written" in str(error))
        """
        process = python(script, folder / "a.holmia", wal)
        out, err = process.communicate(timeout=60)
        assert (out.split("\n")[:-1], err) == (["5 5", "RecordError", "None 5", "True"] * 2, "")
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_two_writers_and_a_follower_make_one_unbroken_chain_in_order(tmp_path):
    path, n, names = tmp_path / "a.holmia", 1000, ("listener", "console")
    Record.create(path).close()
    seen, rounds = [], itertools.count()
    with ExitStack() as stack, Record.open(path, read_only=True) as follower:
        outputs = [stack.enter_context((tmp_path / name).open("w+")) for name in names]
        writers = [python(WRITER, path, name, n, stdout=out) for name, out in zip(names, outputs, strict=True)]
        done = lambda: len(seen) >= 2 * n or next(rounds) > 6000  # noqa: E731
        for batch in follower.follow(0, stop=done, poll_s=0.01):
            seen.extend(batch)
            for event in batch[:3]:
                assert follower.object_bytes(event.object_sha256).startswith(event.payload["text"].encode())
        assert [(writer.communicate(timeout=60)[1], writer.returncode) for writer in writers] == [("", 0)] * 2
    acknowledged = dict(line.split() for name in names for line in (tmp_path / name).read_text().splitlines())
    assert [event.seq for event in seen] == list(range(1, 2 * n + 1))
    assert {str(event.seq): event.hash for event in seen} == acknowledged
    for name in names:
        assert [e.payload["text"] for e in seen if e.actor == name] == [f"{name} {i}" for i in range(n)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.holmia", "console", "listener"]
    with Record.open(path, read_only=True) as record:
        assert record.verify() == Head(seq=2 * n, hash=seen[-1].hash)


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path):
    path = tmp_path / "a.holmia"
    Record.create(path).close()
    acknowledged = 0
    for _ in range(3):
        writer = python(WRITER, path, "listener", 1_000_000)
        lines = list(itertools.islice(writer.stdout, 150))
        writer.send_signal(signal.SIGKILL)
        lines += writer.communicate(timeout=30)[0].splitlines()
        last = [line for line in lines if len(line.split()) == 2 and len(line.split()[1]) == 64][-1]
        with Record.open(path) as record:
            head = record.verify()
            assert head.seq >= int(last.split()[0]) > acknowledged
            assert record.events(int(last.split()[0]) - 1, 1)[0].hash == last.split()[1]
            acknowledged = head.seq


def test_threads_may_share_a_record(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        threads = [
            threading.Thread(target=lambda i=i: [note(record, f"{i} {j}", b"%d" % i) for j in range(50)])
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert record.verify().seq == 200


def test_follow_yields_an_empty_batch_when_idle_and_ends_when_told(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        for i in range(5):
            note(record, str(i))
        batches, stop = [], [False]
        for batch in record.follow(2, stop=lambda: stop[0], poll_s=0.001):
            batches.append([event.seq for event in batch])
            if len(batches) == 2:
                note(record, "by the follower itself")
            stop[0] = len(batches) == 4
        assert batches == [[3, 4, 5], [], [6], []]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/", "ext4"), ("/home/a", "ext4"), ("/mnt/ward files/x", "nfs4"), ("/mnt/wardx", "ext4"), ("/mnt/twice", "cifs")],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(folder, kind):
    mountinfo = textwrap.dedent(
        """\
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
        30 22 0:40 / /mnt/ward\\040files rw master:3 - nfs4 server:/x rw
        31 22 0:41 / /mnt/twice rw - ext4 /dev/sdb rw
        32 31 0:42 / /mnt/twice rw - cifs //server/share rw
        """
    )
    assert file_system_of(Path(folder), mountinfo) == kind


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("dicom_listener.record_schema.file_system_of", lambda folder, mountinfo: "nfs4")
    with pytest.raises(RecordError, match=r"network file system \(nfs4\).*local disk"):
        Record.create(tmp_path / "a.holmia")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("a.holmia", "a.quarantine.holmia"), ("no suffix", "no suffix.quarantine.holmia")]
)
def test_the_quarantine_file_lies_beside(name, expected):
    assert quarantine_path(Path("/x") / name) == Path("/x") / expected


def test_events_that_are_appended_together_stand_or_fall_together(tmp_path):
    with Record.create(tmp_path / "a.holmia") as record:
        said = record.append_all([("note", {"n": 1}, b"x"), ("note", {"n": 2}, None)], actor="a", utc=NOON)
        assert [e.seq for e in said] == [1, 2]
        assert said[1].previous_hash == said[0].hash
        with pytest.raises(ValueError, match="JSON"):
            record.append_all([("note", {"n": 3}, None), ("note", {"n": math.nan}, None)], actor="a", utc=NOON)
        assert record.head().seq == 2
        record.verify()
