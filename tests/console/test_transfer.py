"""What crosses between processes is equal, read-only, and the same object for as long as it is named."""

from __future__ import annotations

import socket
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from console.snapshot import Snapshot
from console.transfer import Receiver, Sender
from dicom_listener.decoding_frames import Channel, EndedError, NonsenseError

sys.path.insert(0, str(Path(__file__).parent / "dashboard"))

import treatments


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    sender, receiver = Sender(Channel(ours)), Receiver(Channel(theirs))
    yield sender, receiver, ours
    ours.close()
    theirs.close()


def crossed(ends, *values):
    sender, receiver, _ = ends
    sending = threading.Thread(target=lambda: [sender.send(value) for value in values])
    sending.start()
    got = [receiver.receive() for _ in values]
    sending.join(timeout=30)
    return got


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    made = treatments.treatment(2)
    # Plan and settings of the made-up treatment are stand-ins that the real classes do not know.
    return replace(made, plan=None, settings=None)


def test_a_snapshot_arrives_equal_and_its_arrays_read_only(ends, snapshot):
    (got,) = crossed(ends, snapshot)
    for field in fields(Snapshot):
        if field.name not in ("reference", "anatomy", "volumes", "results"):
            assert getattr(got, field.name) == getattr(snapshot, field.name), field.name
    for before, after in zip(snapshot.results, got.results, strict=True):
        assert after == before
        np.testing.assert_array_equal(after.maps.dose.values, before.maps.dose.values)
        assert not after.maps.dose.values.flags.writeable
    np.testing.assert_array_equal(got.reference.signal, snapshot.reference.signal)


def test_what_is_named_again_is_the_same_object_and_crosses_once(ends, snapshot):
    first, second = crossed(ends, snapshot, replace(snapshot, head_seq=9))
    assert second.head_seq == 9
    assert second.volumes[0] is first.volumes[0]
    assert second.results[1].maps.dose is first.results[1].maps.dose
    assert second.results[0].maps.dose.grid is second.anatomy.grid


def test_what_nothing_names_any_more_is_forgotten_on_both_sides(ends, snapshot):
    sender, receiver, _ = ends
    crossed(ends, snapshot, Snapshot())
    assert receiver._held == {}
    assert sender._known == {}


def test_the_time_that_is_told_between_two_snapshots_forgets_nothing(ends, snapshot):
    first, _, second = crossed(ends, snapshot, treatments.START, replace(snapshot, head_seq=9))
    assert second.results[1].maps.dose is first.results[1].maps.dose


def test_what_cannot_be_read_is_nonsense_and_no_other_error(ends):
    _, receiver, ours = ends
    for message in ([], [b"value"], [b"value", b"", b"no pickle"], [b"object", b"1", b"no pickle"]):
        Channel(ours).send(message)
        with pytest.raises(NonsenseError):
            receiver.receive()


def test_a_sender_that_is_gone_is_told(ends):
    _, receiver, ours = ends
    ours.close()
    with pytest.raises(EndedError):
        receiver.receive()
