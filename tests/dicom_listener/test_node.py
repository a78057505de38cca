"""The node among peers that are slow, greedy, strange or many: the limits hold, and whoever behaves is served."""

from __future__ import annotations

import errno
import random
import socket
import struct
import threading
import time
from contextlib import ExitStack

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from pynetdicom import AE
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.sop_class import MRImageStorage, Verification

from config.settings import SiteSettings
from console.reaching import keep_answers
from dicom_listener.access import Ration
from dicom_listener.admission import Admission
from dicom_listener.connections import WaitingRoom
from dicom_listener.events import Kind
from dicom_listener.instance_header import read_header
from dicom_listener.listener import ListenerError, check_address
from dicom_listener.messages import DataBudget
from dicom_listener.record import Record
from dicom_listener.services import PRIVATE_STORAGE, STORAGE, address_error, transfer_syntaxes

from .raw_peer import RELEASE_RQ, PeerGoneError, RawPeer, associate_rq, p_data, store_command
from .test_listener import SERIES, Node, association, instance, part10, send

pytestmark = pytest.mark.network


@pytest.fixture
def node(tmp_path, request):
    made = Node(tmp_path, **getattr(request, "param", {}))
    yield made
    made.stop()


def encoded(number: int, **changes: object) -> tuple[str, bytes]:
    data = part10(instance(number, **changes))
    return f"{SERIES}.{number}", data[read_header(data).dataset_offset :]


def echo(node: Node) -> int | None:
    with association(node, Verification) as made:
        return made.send_c_echo().Status if made.is_established else None


def test_the_busiest_address_gives_way_when_the_waiting_room_is_full():
    room = WaitingRoom(3)
    pairs = [socket.socketpair() for _ in range(5)]
    with ExitStack() as places:
        for (ours, _), address in zip(pairs, ["one", "two", "two", "three", "four"], strict=True):
            places.enter_context(room.place(ours, address))
        for number, (_, theirs) in enumerate(pairs):
            theirs.settimeout(0.05)
            if number in (1, 0):  # the older of "two", then the oldest where all have one each
                assert theirs.recv(1) == b""
            else:
                with pytest.raises(TimeoutError):
                    theirs.recv(1)
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_closed_waiting_room_shuts_whoever_waits_and_comes():
    room = WaitingRoom()
    (waiting, one), (late, other) = socket.socketpair(), socket.socketpair()
    with room.place(waiting, "a"):
        room.close()
        with room.place(late, "b"):
            assert one.recv(1) == other.recv(1) == b""
    for end in (waiting, one, late, other):
        end.close()


def test_what_the_budget_gives_it_takes_back():
    budget = DataBudget(10)
    asked = [("a", 6), ("b", 5), ("b", 4), ("a", 1)]
    assert [budget.take(holder, amount) for holder, amount in asked] == [True, False, True, False]
    budget.give_back("a")
    budget.give_back("a")  # as both threads of an association do: it does not count twice
    assert budget.left_bytes == 6
    assert budget.take("c", 6)


@pytest.mark.parametrize("node", [{"maximum_dataset_mb": 1}], indirect=True)
def test_all_associations_together_hold_twice_the_largest_data_set(node):
    uid, data = encoded(1, pixels=b"\1\2" * 450_000)
    part = p_data(0, data[:900_000])
    with RawPeer(node.port).associated() as first, RawPeer(node.port).associated() as second:
        for peer in (first, second):
            peer.send(store_command(uid))
            for start in range(0, 900_000, 90_000):
                peer.send(p_data(0, data[start : start + 90_000]))
        budget = node.listener._server.budget
        for _ in range(500):
            if budget.left_bytes == 200_000:
                break
            time.sleep(0.01)
        assert budget.left_bytes == 200_000
        with RawPeer(node.port).associated() as third:
            third.send(store_command(uid) + part + p_data(2, data[900_000:]))
            assert third.status()[0] == 0xA700
            assert node.wait_for(Kind.INSTANCE_REFUSED)[0]["comment"] == "Too much is being received at once"
            first.socket.close()
            node.wait_for(Kind.ASSOCIATION_CLOSED)
            third.send(store_command(uid) + part + p_data(2, data[900_000:]))
            assert third.status()[0] == 0
    node.wait_for(Kind.ASSOCIATION_CLOSED, 3)
    for _ in range(500):
        if budget.left_bytes == 2_000_000:
            break
        time.sleep(0.01)
    assert budget.left_bytes == 2_000_000


def test_requests_that_do_not_wait_for_answers_are_served_one_after_the_other(node):
    messages = b""
    for number in range(1, 9):
        uid, data = encoded(number)
        messages += store_command(uid, message_id=number) + p_data(2, data)
    with RawPeer(node.port).associated() as peer:
        peer.send(messages)
        assert [peer.status()[0] for _ in range(8)] == [0] * 8
    assert [event["sop_instance_uid"] for event in node.events(Kind.INSTANCE_STORED)] == [
        f"{SERIES}.{number}" for number in range(1, 9)
    ]


@pytest.mark.parametrize("node", [{"maximum_dataset_mb": 1}], indirect=True)
def test_a_message_is_in_hand_also_while_it_is_fetched(node, monkeypatch):
    fetch = DIMSEServiceProvider.get_msg

    def slowly(provider, block=False):
        fetched = fetch(provider, block)
        if fetched[1] is not None:
            time.sleep(0.05)  # long enough for the other thread to begin with the next message
        return fetched

    monkeypatch.setattr(DIMSEServiceProvider, "get_msg", slowly)
    large, (uid, data) = encoded(1, pixels=b"\1\2" * 600_000)[1], encoded(2)
    with RawPeer(node.port).associated() as peer:
        peer.send(store_command(f"{SERIES}.1"))
        for start in range(0, len(large), 100_000):
            last = start + 100_000 >= len(large)
            peer.send(p_data(2 if last else 0, large[start : start + 100_000]))
        peer.send(store_command(uid, message_id=2) + p_data(2, data))
        assert [peer.status()[0], peer.status()[0]] == [0xA700, 0]
    assert node.events(Kind.INSTANCE_REFUSED)[0]["comment"] == "The data set is larger than 1 MB"


@pytest.mark.parametrize("node", [{"network_timeout_s": 0.4}], indirect=True)
@pytest.mark.parametrize("fragment", [p_data(0, b"\1"), p_data(1, b"\1"), b"\x04\x00\x00\x00\x00\x00"], ids=str)
def test_many_small_pdus_that_make_no_message_do_not_keep_an_association(node, fragment):
    with RawPeer(node.port).associated() as peer:
        peer.socket.settimeout(0.05)
        began = time.monotonic()
        with pytest.raises(PeerGoneError):  # noqa: PT012 - the peer that goes on until it is stopped
            while time.monotonic() - began < 10:
                peer.send(fragment)
                time.sleep(0.02)
    assert node.wait_for(Kind.ASSOCIATION_CLOSED)
    assert echo(node) == 0


def test_a_large_data_set_may_take_longer_than_the_timeout(node, monkeypatch):
    monkeypatch.setattr("dicom_listener.messages._SLOWEST_BYTES_PER_S", 1)
    uid, data = encoded(1)
    with RawPeer(node.port).associated() as peer:
        peer.send(store_command(uid) + p_data(0, data[:-8]))
        (state,) = node.listener._associations.all_open()
        for _ in range(500):
            if state.association.dimse._received_bytes == len(data) - 8:
                break
            time.sleep(0.01)
        state.association.dimse._began_s -= 200  # the timeout is 60 s; the bytes at 1 B/s are more than 200 s
        peer.send(p_data(2, data[-8:]))
        assert peer.status()[0] == 0


@pytest.mark.parametrize("node", [{"network_timeout_s": 0.4}], indirect=True)
def test_half_an_association_request_is_closed_in_time(node):
    with RawPeer(node.port) as peer:
        peer.send(associate_rq()[:50])
        assert peer.answer() == b""
    assert echo(node) == 0
    assert node.events(Kind.ASSOCIATION_REFUSED) == []  # who asks for nothing is in the log only


def test_a_peer_that_releases_and_stays_does_not_keep_its_place(node):
    with ExitStack() as peers:
        for _ in range(20):
            peer = peers.enter_context(RawPeer(node.port)).associated()
            peer.send(RELEASE_RQ)
            assert peer.answer()[0] == 0x06
        assert echo(node) == 0


@pytest.mark.parametrize("node", [{"maximum_associations": 3}], indirect=True)
def test_requests_at_once_do_not_exceed_the_limit(node):
    peers = [RawPeer(node.port) for _ in range(12)]
    for peer in peers:
        peer.send(associate_rq())
    answers = [peer.answer()[0] for peer in peers]
    assert answers.count(0x02) == 3
    assert answers.count(0x03) == 9
    for peer in peers:
        peer.socket.close()


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        (associate_rq(called=b"OTHER"), (1, 1, 7)),
        (associate_rq(version=2), (1, 2, 2)),
        (associate_rq(calling=b""), (1, 1, 3)),
        (associate_rq(calling=b"A\nB"), (1, 1, 3)),
        (associate_rq(calling=b"\xff\xfe"), (1, 1, 3)),
        (associate_rq(calling=b"A\\B"), (1, 1, 3)),
    ],
    ids=["called", "version", "no_calling", "newline", "not_ascii", "backslash"],
)
@pytest.mark.parametrize("node", [{"calling_ae_titles": ("RAW",)}], indirect=True)
def test_a_rejection_says_why_in_the_standards_numbers(node, request_pdu, answer):
    with RawPeer(node.port) as peer:
        peer.send(request_pdu)
        pdu = peer.answer()
    assert (pdu[0], tuple(pdu[7:10])) == (0x03, answer)
    assert node.events(Kind.ASSOCIATION_OPENED) == []


def test_any_mutilated_request_leaves_no_trace_and_no_traceback(node, capfd):
    chance = random.Random(20260304)
    whole = associate_rq()
    for _ in range(80):
        mutilated = bytearray(whole)
        for _ in range(chance.choice([1, 3, 9])):
            mutilated[chance.randrange(6, len(whole))] = chance.randrange(256)
        if chance.random() < 0.3:
            mutilated = mutilated[: chance.randrange(80, len(whole))]
            mutilated[2:6] = struct.pack(">L", len(mutilated) - 6)
        with RawPeer(node.port) as peer:
            peer.send(bytes(mutilated))
            peer.answer()
    assert echo(node) == 0
    for _ in range(500):
        if node.listener._associations.present == 0:
            break
        time.sleep(0.01)
    assert node.listener._associations.present == 0
    assert "Traceback" not in "".join(capfd.readouterr())


def test_what_else_a_peer_may_negotiate_is_let_pass(node):
    role, identity = SCP_SCU_RoleSelectionNegotiation(), UserIdentityNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = MRImageStorage, True, True
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"user", b"password"
    identity.positive_response_requested = True
    window, extended = AsynchronousOperationsWindowNegotiation(), SOPClassExtendedNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    extended.sop_class_uid, extended.service_class_application_information = MRImageStorage, b"\x02\x00\x03\x00\x01\x00"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = MRImageStorage, "1.2.840.10008.4.2"
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(MRImageStorage)
    made = entity.associate(
        "127.0.0.1", node.port, ae_title="HOLMIA", ext_neg=[role, identity, window, extended, common]
    )
    assert made.is_established
    keep_answers(made)
    assert made.send_c_store(instance()).Status == 0
    made.release()


def test_private_classes_of_mr_vendors_are_stored(node):
    assert not set(PRIVATE_STORAGE) & set(STORAGE)
    for number, sop_class in enumerate(PRIVATE_STORAGE, 1):
        uid, data = encoded(number, SOPClassUID=sop_class)
        with RawPeer(node.port).associated(sop_class=sop_class) as peer:
            peer.send(store_command(uid, sop_class=sop_class) + p_data(2, data))
            assert peer.status()[0] == 0
    assert len(node.objects()) == len(PRIVATE_STORAGE)


def test_named_types_are_preferred_to_implicit_ones_and_those_to_compression():
    offered = transfer_syntaxes(SiteSettings(compressed_transfer_syntaxes=True))
    assert offered[:2] == [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    assert RLELossless in offered
    assert transfer_syntaxes(SiteSettings()) == offered[:2]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize("uid", ["1." + "2" * 63, "1.2\n3", "x"], ids=["65_characters", "newline", "letter"])
def test_an_invalid_uid_of_the_command_is_answered(node, uid):
    with RawPeer(node.port).associated() as peer:
        peer.send(store_command(uid) + p_data(2, encoded(1)[1]))
        assert peer.status()[0] == 0x0117
        peer.send(store_command(encoded(2)[0]) + p_data(2, encoded(2)[1]))
        assert peer.status()[0] == 0


def test_a_command_that_never_ends_ends_its_association(node):
    with RawPeer(node.port).associated() as peer, pytest.raises(PeerGoneError):  # noqa: PT012 - as above
        for _ in range(50):
            peer.send(p_data(1, bytes(10_000)))
            time.sleep(0.005)
        raise AssertionError("500 kB of command were taken")


@pytest.mark.parametrize("node", [{"maximum_pdu_bytes": 0}], indirect=True)
def test_a_pdu_of_any_length_is_taken_where_the_site_says_so(node):
    uid, data = encoded(1, pixels=b"\1\2" * 1_000_000)
    with RawPeer(node.port).associated() as peer:
        peer.send(store_command(uid) + p_data(2, data))
        assert peer.status()[0] == 0


def test_stop_answers_the_instance_in_hand(tmp_path, monkeypatch):
    node = Node(tmp_path)
    inside, original = threading.Event(), Admission._store

    def slowly(*arguments):
        inside.set()
        time.sleep(0.4)
        return original(*arguments)

    monkeypatch.setattr(Admission, "_store", slowly)
    uid, data = encoded(1)
    with RawPeer(node.port).associated() as peer:
        peer.send(store_command(uid) + p_data(2, data))
        assert inside.wait(5)
        node.listener.stop()
        assert peer.status()[0] == 0
        assert peer.answer()[0] == 0x07  # then the abort
    assert [event.kind for event in node.record.events()][-3:] == [
        "instance_stored",
        "association_closed",
        "listener_stopped",
    ]
    node.record.close()


def test_stop_does_not_wait_for_peers_that_hang(tmp_path, monkeypatch):
    monkeypatch.setattr("dicom_listener.listener._STOP_PATIENCE_S", 0.3)
    node = Node(tmp_path)
    idle = [socket.create_connection(("127.0.0.1", node.port), timeout=5) for _ in range(5)]
    with RawPeer(node.port).associated() as half, RawPeer(node.port).associated():
        half.send(p_data(0, bytes(1000))[:100])
        time.sleep(0.1)
        began = time.monotonic()
        node.stop()
        assert time.monotonic() - began < 5
    for connection in idle:
        connection.close()
    with Record.open(node.path, read_only=True) as record:
        assert [event.kind for event in record.events()].count("association_closed") == 2


def test_stop_does_not_wait_for_an_instance_that_takes_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr("dicom_listener.listener._STOP_PATIENCE_S", 0.2)
    node, inside, go_on = Node(tmp_path), threading.Event(), threading.Event()

    def hanging(*_arguments, **_options):
        inside.set()
        return go_on.wait(20)

    monkeypatch.setattr("dicom_listener.admission.same_content", hanging)
    (uid, data), (_, other) = encoded(1), encoded(1, pixels=bytes(128))
    with RawPeer(node.port).associated() as peer:
        peer.send(store_command(uid) + p_data(2, data) + store_command(uid) + p_data(2, other))
        assert inside.wait(5)
        began = time.monotonic()
        node.listener.stop()
        assert time.monotonic() - began < 10
        assert node.kinds()[-2:] == ["instance_stored", "listener_stopped"]
        go_on.set()
        node.wait_for(Kind.ASSOCIATION_CLOSED)  # the end is never recorded before what becomes of its last instance
    node.stop()


def test_a_failure_between_associations_does_not_end_the_listener(node, monkeypatch, caplog):
    server, silence = node.listener._server, node.listener._silence
    original, failed = (server.service_actions, silence.fallen_quiet), [threading.Event(), threading.Event()]

    def once(number):
        def fails(*arguments):
            if not failed[number].is_set():
                failed[number].set()
                raise MemoryError
            return original[number](*arguments)

        return fails

    monkeypatch.setattr(server, "service_actions", once(0))
    monkeypatch.setattr(silence, "fallen_quiet", once(1))
    assert all(event.wait(5) for event in failed)
    assert echo(node) == 0
    silence.heard("1.2.3", time.monotonic() - 3600)
    assert node.wait_for(Kind.SERIES_QUIET)[0]["series_instance_uid"] == "1.2.3"
    assert caplog.text.count("The listener failed and goes on: MemoryError") == 2


def test_a_request_longer_than_any_is_refused_before_it_is_read(node, caplog):
    with RawPeer(node.port) as peer:
        peer.send(b"\x01\x00" + struct.pack(">L", 1 << 19))
        assert peer.answer() == b""
    for _ in range(500):
        if caplog.records:
            break
        time.sleep(0.01)
    assert "declared longer than any is" in caplog.records[0].fields["why"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EADDRINUSE, "another program listens there"),
        (errno.EACCES, "ports below 1024 need a privilege"),
        (errno.EADDRNOTAVAIL, "no network interface of this machine has that address"),
        (errno.ENETDOWN, "down"),
    ],
)
def test_what_is_wrong_with_an_address_is_one_sentence(number, sentence):
    settings = SiteSettings(host="10.0.0.1", port=104)
    text = address_error(settings, OSError(number, "The network is down"))
    assert text.startswith("The listener cannot use 10.0.0.1 port 104: ")
    assert sentence in text
    assert text.count(". ") == 0


def test_an_address_of_another_machine_is_one_sentence(tmp_path):
    with pytest.raises(ListenerError, match=r"192\.0\.2\.1 port 0: no network interface"):
        Node(tmp_path, host="192.0.2.1")  # of no machine (RFC 5737)


def test_whether_an_address_is_free_is_known_without_a_listener(node):
    check_address(SiteSettings(host="127.0.0.1", port=0))
    with pytest.raises(ListenerError, match="another program listens there"):
        check_address(SiteSettings(host="127.0.0.1", port=node.port))
    with pytest.raises(ListenerError, match="no network interface"):
        check_address(SiteSettings(host="192.0.2.1", port=0))
    with pytest.raises(ListenerError, match=r"TLS needs site\.tls_authorities"):
        check_address(SiteSettings(host="127.0.0.1", port=0, tls=True))


def test_a_message_in_tiny_pieces_ends_its_association(node):
    with RawPeer(node.port).associated() as peer:
        peer.send(store_command("1.2.3") + p_data(0, b"\1") * 1500)
        assert peer.answer()[0] == 0x07
    assert node.wait_for(Kind.ASSOCIATION_CLOSED)
    assert echo(node) == 0


def test_what_can_be_no_name_is_one_sentence(tmp_path):
    with pytest.raises(ListenerError, match=r"the name \.\. is not known"):
        Node(tmp_path, host="..")


def test_refusals_are_recorded_up_to_a_ration_and_logged_beyond_it(node, monkeypatch, caplog):
    node.listener._refusals = Ration(3, 1000.0)
    for _ in range(5):
        with RawPeer(node.port) as peer:
            peer.send(associate_rq(called=b"OTHER"))
            assert peer.answer()[0] == 0x03
    assert len(node.wait_for(Kind.ASSOCIATION_REFUSED, 3)) == 3
    assert len([record for record in caplog.records if record.msg == "association_refused"]) == 5


def test_a_ration_refills_with_time():
    ration = Ration(2, 10.0)
    assert [ration.take(now_s) for now_s in (0, 0, 0, 9, 10, 11, 100, 100, 100)] == [
        *(True, True, False, False, True, False, True, True, False)
    ]


def test_a_name_that_is_not_known_is_one_sentence(tmp_path, monkeypatch):
    def unknown(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(ListenerError, match=r"the name nowhere\.example is not known \(site\.host\)"):
        Node(tmp_path, host="nowhere.example")


def test_a_sender_that_behaves_is_served_among_those_that_do_not(node):
    with RawPeer(node.port) as half, RawPeer(node.port).associated() as silent:
        half.send(b"\x01\x00\x00")
        silent.send(b"\x04\x00\x00\x00")
        assert send(node, instance(1), instance(2)) == [(0, "")] * 2
