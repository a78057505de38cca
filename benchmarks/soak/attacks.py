"""What somebody can do to a port on a hospital's network: every attack is a function that goes on until it is stopped.

Each checks what the listener owes *it* (an answer, a rejection with its reason, an end) and raises `AttackError` if
that does not come; what the listener owes *everybody else* is measured beside it, in `probe`.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.soak.instances import ROOT, image, zeros_header
from benchmarks.soak.raw_pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_FIND_RQ,
    C_GET_RQ,
    C_MOVE_RQ,
    C_STORE_RQ,
    COMMAND,
    DATA_SET,
    ECHO_CONTEXT,
    IMPLICIT,
    LAST,
    MR_IMAGE,
    NO_DATA_SET,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    STORE_CONTEXT,
    TEMPORARY_LIMIT,
    VERIFICATION,
    Peer,
    PeerGoneError,
    associate_rq,
    command,
    fragments,
    item,
    pdu,
    pdv,
    presentation_context,
    user_information,
)

_PATIENCE_S = 10.0
_PAUSE_S = 0.02
UNLIKELY_UID = f"{ROOT}.666"


class AttackError(AssertionError):
    """The listener did not do what it owes even to an attacker."""


@dataclass(kw_only=True)
class Battle:
    """Where an attack takes place, and its signals: it sets `under_way` in full swing and ends after `stop`."""

    port: int
    under_way: threading.Event
    stop: threading.Event

    def rounds(self) -> Iterator[int]:
        """Count rounds until the attack is stopped, the first one in any case; the attack is under way after it."""
        number = 0
        while number == 0 or not self.stop.is_set():
            number += 1
            yield number
            self.under_way.set()

    def hold(self) -> None:
        """Wait, in full swing, until the attack is stopped."""
        self.under_way.set()
        self.stop.wait()

    def peer(self) -> Peer:
        """A new connection."""
        return Peer(self.port)

    def associated(self) -> Peer:
        """A new connection with an association."""
        return associated(self.port)


def associated(port: int) -> Peer:
    """A connection with an association, asked for again while the listener says that it has no more of them."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        peer = Peer(port)
        try:
            kind, body = peer.associate()
        except BaseException:
            peer.socket.close()
            raise
        if kind == ASSOCIATE_AC:
            return peer
        peer.socket.close()
        if (kind, tuple(body[1:4])) != (ASSOCIATE_RJ, TEMPORARY_LIMIT) or time.monotonic() > deadline:
            raise PeerGoneError(f"no association, but PDU {kind} with {body.hex()}")
        time.sleep(_PAUSE_S)


Run = Callable[[Battle], None]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack by name. `fills`: it takes all associations, so a rejection for that reason is a proper answer."""

    name: str
    run: Run
    fills: bool = False


ATTACKS: list[Attack] = []


def _attack(name: str, *, fills: bool = False) -> Callable[[Run], Run]:
    def register(run: Run) -> Run:
        ATTACKS.append(Attack(name=name, run=run, fills=fills))
        return run

    return register


def _require(law: bool, what: str) -> None:
    if not law:
        raise AttackError(what)


def _ends(peer: Peer, what: str) -> list[int]:
    """The listener has to end this connection."""
    try:
        return peer.until_ended()
    except TimeoutError:
        raise AttackError(f"{what}: the connection was not ended.") from None


# -- floods ------------------------------------------------------------------------------------------------------------


@_attack("a PDU that declares 4 GiB, and sends on")
def pdu_of_4_gib(battle: Battle) -> None:
    for number in battle.rounds():
        with battle.peer() as peer, contextlib.suppress(PeerGoneError):
            if number % 2:
                peer.associate()
            peer.send(pdu(P_DATA if number % 2 else ASSOCIATE_RQ, b"", declared=0xFFFFFFF0))
            for _ in range(256):
                peer.send(bytes(65_536))
            _require(battle.stop.is_set(), "16 MiB of a PDU of 4 GiB were taken.")


@_attack("endless small PDUs without an association")
def small_pdus_unassociated(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.peer() as peer, contextlib.suppress(PeerGoneError):
            for _ in range(2_000):
                peer.send(pdu(P_DATA, b"") * 8)


@_attack("endless small fragments, one byte each")
def small_fragments(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.associated() as peer, contextlib.suppress(PeerGoneError):
            peer.send(_store_command())
            burst = pdu(P_DATA, pdv(STORE_CONTEXT, 0, b"\0")) * 64
            battle.under_way.set()
            while not battle.stop.is_set():
                peer.send(burst)


@_attack("fragments of a command that never ends")
def endless_command(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.associated() as peer, contextlib.suppress(PeerGoneError):
            battle.under_way.set()
            while not battle.stop.is_set():
                peer.send(pdu(P_DATA, pdv(ECHO_CONTEXT, COMMAND, bytes(65_536))))


@_attack("P-DATA without a last fragment")
def endless_data_set(battle: Battle) -> None:
    fragment = pdu(P_DATA, pdv(STORE_CONTEXT, 0, bytes(100_000)))
    for _ in battle.rounds():
        with battle.associated() as peer, contextlib.suppress(PeerGoneError):
            peer.send(_store_command())
            battle.under_way.set()
            while not battle.stop.is_set():
                peer.send(fragment)


@_attack("an endless stream of association requests")
def repeated_requests(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.peer() as peer:
            with contextlib.suppress(PeerGoneError):
                peer.send(associate_rq() * 50)
            _ends(peer, "A second association request within an association")


@_attack("echo requests whose answers are never read")
def deaf_peer(battle: Battle) -> None:
    request = pdu(P_DATA, pdv(ECHO_CONTEXT, COMMAND | LAST, command(C_ECHO_RQ)))
    with battle.associated() as peer, contextlib.suppress(PeerGoneError, TimeoutError):
        peer.socket.settimeout(0.2)
        while not battle.stop.is_set():
            battle.under_way.set()
            with contextlib.suppress(PeerGoneError):
                peer.send(request * 16)
            battle.stop.wait(0.01)


# -- presentation data values ------------------------------------------------------------------------------------------


@_attack("PDV lengths beyond the PDU, zero, one, and short headers")
def pdv_overflow(battle: Battle) -> None:
    wrong = (
        pdv(ECHO_CONTEXT, 3, b"abcd", declared=0xFFFFFFF0),
        pdv(ECHO_CONTEXT, 3, b"abcd", declared=7),
        pdv(ECHO_CONTEXT, 3, b"abcd", declared=0),
        pdv(ECHO_CONTEXT, 3, b"abcd", declared=1),
        pdv(ECHO_CONTEXT, 3, b"abcd", declared=2),
        b"\0\0\0",
        b"\0\0\0\2\1",
        pdv(ECHO_CONTEXT, 3, b""),
        pdv(ECHO_CONTEXT, 0xFF, b"noise"),
    )
    for number in battle.rounds():
        for body in wrong if number == 1 else wrong[:1]:
            with battle.associated() as peer:
                peer.send(pdu(P_DATA, body))
                _ends(peer, f"P-DATA with {body.hex()}")


@_attack("presentation contexts that are even, 0, 255 or were not negotiated")
def foreign_contexts(battle: Battle) -> None:
    for _ in battle.rounds():
        for context in (0, 2, 7, 255):
            with battle.associated() as peer:
                peer.send(pdu(P_DATA, pdv(context, COMMAND | LAST, command(C_ECHO_RQ))))
                _answered_or_ended(peer, f"An echo in the context {context}")


# -- slowness and silence ----------------------------------------------------------------------------------------------


@_attack("one byte a second, in the association request, in a PDU, and as many tiny PDUs")
def slow_drip(battle: Battle) -> None:
    request, inside = associate_rq(), pdu(P_DATA, pdv(STORE_CONTEXT, 0, bytes(64)))
    with contextlib.ExitStack() as stack:
        drips = [(stack.enter_context(battle.peer()), [request[i : i + 1] for i in range(40)]) for _ in range(4)]
        for chunks in ([inside[i : i + 1] for i in range(40)], [pdu(P_DATA, pdv(STORE_CONTEXT, 0, b"\0"))] * 40):
            peer = stack.enter_context(battle.associated())
            peer.send(_store_command())
            drips.append((peer, chunks))
        ended = set[Peer]()
        for step in range(40):
            for peer, chunks in drips:
                try:
                    peer.send(chunks[step])
                except PeerGoneError:
                    ended.add(peer)
            battle.under_way.set()
            if battle.stop.wait(1.0):
                return
        _require(len(ended) == len(drips), "One byte a second was listened to for 40 s.")


@_attack("500 idle sockets")
def idle_sockets(battle: Battle) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(battle.peer())
        battle.hold()


@_attack("half an association request, then silence, 50 times")
def half_requests(battle: Battle) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(battle.peer()).send(associate_rq()[:40])
        battle.hold()


# -- other protocols, strangers ----------------------------------------------------------------------------------------


@_attack("HTTP on the DICOM port")
def http_bytes(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.peer() as peer:
            peer.send(b"GET /../../etc/passwd HTTP/1.1\r\nHost: holmia\r\n\r\n")
            _ends(peer, "HTTP")


@_attack("a TLS handshake on the plain port")
def tls_bytes(battle: Battle) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    handshake = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="holmia")
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    hello = outgoing.read()
    for _ in battle.rounds():
        with battle.peer() as peer:
            peer.send(hello)
            _ends(peer, "TLS")


@_attack("unknown AE titles, called and calling")
def unknown_titles(battle: Battle) -> None:
    for _ in battle.rounds():
        for request, reason in (
            (associate_rq(called=b"STRANGER"), 7),
            (associate_rq(calling=b"STRANGER"), 3),
        ):
            with battle.peer() as peer:
                kind, body = peer.associate(request)
                refused = (kind, tuple(body[1:4]))
                _require(refused == (ASSOCIATE_RJ, (1, 1, reason)), f"A stranger was answered with {refused}.")
        with battle.peer() as peer:
            kind, _ = peer.associate(associate_rq(calling=b"HOL\nMIA\x1b[2J"))
            _require(kind in (ASSOCIATE_RJ, ABORT), f"A title of control characters was answered with PDU {kind}.")


# -- broken associations -----------------------------------------------------------------------------------------------


@_attack("abort, reset and silence in mid-transfer")
def abort_in_mid_transfer(battle: Battle) -> None:
    for number in battle.rounds():
        with battle.associated() as peer:
            peer.send(_store_command() + pdu(P_DATA, pdv(STORE_CONTEXT, 0, image(UNLIKELY_UID)[:200])))
            if number % 3 == 0:
                peer.abort()
                _ends(peer, "An abort")
            elif number % 3 == 1:
                peer.reset()
            else:
                peer.send(pdu(P_DATA, bytes(100), declared=60_000))  # cut off within a PDU


@_attack("releases and aborts before anything, and answers that nobody asked for")
def out_of_order(battle: Battle) -> None:
    accepted = pdu(ASSOCIATE_AC, associate_rq()[6:])
    first = (
        pdu(RELEASE_RQ, bytes(4)),
        pdu(RELEASE_RP, bytes(4)),
        pdu(ABORT, bytes(4)),
        pdu(ABORT, b""),
        pdu(P_DATA, pdv(1, 3, command(C_ECHO_RQ))),
        accepted,
        pdu(ASSOCIATE_RJ, bytes(4)),
        pdu(0, b""),
        pdu(99, bytes(30)),
        pdu(RELEASE_RQ, b""),
        pdu(RELEASE_RQ, bytes(5_000)),
    )
    for _ in battle.rounds():
        for data in first:
            with battle.peer() as peer:
                peer.send(data)
                _ends(peer, f"PDU {data[:6].hex()} before an association")
        for data in (accepted, pdu(ASSOCIATE_RJ, bytes(4)), pdu(RELEASE_RP, bytes(4)), pdu(99, b"x"), pdu(ABORT, b"")):
            with battle.associated() as peer:
                peer.send(data)
                _ends(peer, f"PDU {data[:6].hex()} within an association")


@_attack("malformed association requests")
def malformed_requests(battle: Battle) -> None:
    requests = malformed_association_requests()
    for _ in battle.rounds():
        for name, request in requests.items():
            with battle.peer() as peer:
                peer.send(request)
                try:
                    kind = peer.receive()[0]
                except PeerGoneError:
                    continue
                except TimeoutError:
                    raise AttackError(f"An association request with {name} was neither answered nor ended.") from None
                _require(kind in (ASSOCIATE_AC, ASSOCIATE_RJ, ABORT), f"{name}: answered with PDU {kind}.")
                if kind == ASSOCIATE_AC:
                    peer.abort()
            if battle.stop.is_set() and battle.under_way.is_set():
                break


def malformed_association_requests() -> dict[str, bytes]:
    """Association requests that no sane program sends, by what is wrong with them."""
    many = b"".join(presentation_context((2 * n + 1) & 0xFF, MR_IMAGE, [IMPLICIT]) for n in range(200))
    twice = presentation_context(1, VERIFICATION, [IMPLICIT]) * 2
    role = item(0x54, struct.pack(">H", 60_000) + b"1.2.3\1\1")
    identity = item(0x58, struct.pack(">BBH", 9, 1, 60_000) + b"name")
    extended = item(0x56, struct.pack(">H", 500) + b"1.2")
    window = item(0x53, b"\0")
    whole = associate_rq()
    return {
        "no presentation context": associate_rq(contexts=b""),
        "200 presentation contexts": associate_rq(contexts=many),
        "one context twice": associate_rq(contexts=twice),
        "an even context": associate_rq(contexts=presentation_context(2, VERIFICATION, [IMPLICIT])),
        "no transfer syntax": associate_rq(contexts=presentation_context(1, VERIFICATION, [])),
        "no abstract syntax": associate_rq(contexts=item(0x20, b"\1\0\0\0")),
        "UIDs of garbage": associate_rq(contexts=presentation_context(1, "../../\0\n", ["\0", "x" * 5_000])),
        "AE titles of 16 kB": associate_rq(called=b"A" * 16_384, calling=b"B" * 16_384),
        "empty AE titles": associate_rq(called=b"", calling=b""),
        "AE titles of NUL": associate_rq(called=bytes(16), calling=bytes(16)),
        "AE titles of 0xFF": associate_rq(called=b"\xff" * 16, calling=b"\xff" * 16),
        "protocol version 0": associate_rq(version=0),
        "protocol version 2": associate_rq(version=2),
        "protocol version 65535": associate_rq(version=65_535),
        "another application context": associate_rq(application=b"1.2.3"),
        "no application context": associate_rq(application=b""),
        "no user information": associate_rq(users=b""),
        "garbage as user information": associate_rq(users=item(0x50, b"\xde\xad\xbe\xef" * 20)),
        "user information that ends within an item": associate_rq(users=item(0x50, b"\x51\0\0\4\0")),
        "a maximum length of zero bytes": associate_rq(users=item(0x50, item(0x51, b""))),
        "a maximum length of 1": associate_rq(users=item(0x50, item(0x51, struct.pack(">L", 1)))),
        "roles beyond the item": associate_rq(users=user_information(role)),
        "an unknown identity beyond the item": associate_rq(users=user_information(identity)),
        "extended negotiation beyond the item": associate_rq(users=user_information(extended)),
        "half an asynchronous window": associate_rq(users=user_information(window)),
        "an unknown item": associate_rq(users=user_information(item(0x99, b"x" * 100))),
        "an implementation UID of garbage": associate_rq(users=item(0x50, item(0x52, b"\xff\0../" * 20))),
        "a version name of 300 bytes": associate_rq(users=user_information(item(0x55, b"V" * 300))),
        "an item beyond the PDU": associate_rq(contexts=item(0x20, b"\1\0\0\0", declared=60_000)),
        "the end within its head": pdu(ASSOCIATE_RQ, whole[6:30]),
        "nothing in it": pdu(ASSOCIATE_RQ, b""),
        "9,000 empty items": associate_rq(users=user_information(*[item(0x99, b"")] * 9_000)),
    }


# -- commands ----------------------------------------------------------------------------------------------------------


@_attack("commands of other services, unknown ones, and half ones")
def foreign_commands(battle: Battle) -> None:
    commands = [
        *(command(c, data_set=NO_DATA_SET) for c in (C_FIND_RQ, C_MOVE_RQ, C_GET_RQ, C_CANCEL_RQ, 0x7777, 0, 0xFFFF)),
        *(command(c) for c in (0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150)),  # the N services
        *(command(c | 0x8000) for c in (C_STORE_RQ, C_ECHO_RQ, C_FIND_RQ)),  # answers
        command(None),
        command(C_ECHO_RQ)[:30],
        command(C_ECHO_RQ, e0100=b""),
        command(C_ECHO_RQ, e0110=b"\1\2\3\4\5\6"),
        command(C_ECHO_RQ, e0800=b""),
        command(C_ECHO_RQ, e0002=b"\xff" * 400),
        b"",
        b"\xff" * 64,
    ]
    for _ in battle.rounds():
        for body in commands:
            with battle.associated() as peer:
                peer.send(pdu(P_DATA, pdv(ECHO_CONTEXT, COMMAND | LAST, body)))
                _echo_or_end(peer, f"The command {body[:40].hex()}")
            if battle.stop.is_set() and battle.under_way.is_set():
                break


@_attack("C-STORE without a data set, with a wrong flag, with a message number used twice, two at once")
def broken_stores(battle: Battle) -> None:
    asked = {"data_set": DATA_SET, "uid": UNLIKELY_UID}
    data = b"".join(fragments(STORE_CONTEXT, image(UNLIKELY_UID)))
    half = pdu(P_DATA, pdv(STORE_CONTEXT, 0, image(UNLIKELY_UID)[:60]))
    store = _store_command()
    sequences = {
        "without a data set": _as_command(command(C_STORE_RQ, data_set=NO_DATA_SET, uid=UNLIKELY_UID)),
        "flag: no data set, but one follows": _as_command(command(C_STORE_RQ, uid=UNLIKELY_UID)) + data,
        "flag: garbage": _as_command(command(C_STORE_RQ, **{**asked, "data_set": 0x4242})) + data,
        "without SOP Instance UID": _as_command(command(C_STORE_RQ, **asked, e1000=b"")) + data,
        "without SOP Class UID": _as_command(command(C_STORE_RQ, **asked, e0002=b"")) + data,
        "without a priority": _as_command(command(C_STORE_RQ, **asked, e0700=b"")) + data,
        "with a garbage priority": _as_command(command(C_STORE_RQ, **asked, e0700=b"\xff\xff")) + data,
        "the command twice": store + store + data,
        "a second command within the data": store + half + store + data,
        "an echo within the data": store + half + _as_command(command(C_ECHO_RQ, message=9), ECHO_CONTEXT) + data,
        "data before the command": data + store + data,
        "an empty data set": store + pdu(P_DATA, pdv(STORE_CONTEXT, LAST, b"")),
        "data in another context": store + b"".join(fragments(ECHO_CONTEXT, image(UNLIKELY_UID))),
        "an echo with a data set": _as_command(command(C_ECHO_RQ, data_set=DATA_SET), ECHO_CONTEXT) + data,
        "one message number three times": (store + data) * 3,
    }
    for _ in battle.rounds():
        for name, sequence in sequences.items():
            with battle.associated() as peer:
                peer.send(sequence)
                _echo_or_end(peer, f"C-STORE {name}")
            if battle.stop.is_set() and battle.under_way.is_set():
                break


@_attack("a data set of 300 MiB, of zeros")
def data_set_of_300_mib(battle: Battle) -> None:
    send_zeros(battle, 300 << 20)
    battle.hold()


def send_zeros(battle: Battle, pixel_bytes: int, *, uid: str = UNLIKELY_UID) -> None:
    """Send one data set that is too large: it has to be answered with 0xA700 (or the association aborted)."""
    fragment = pdu(P_DATA, pdv(STORE_CONTEXT, 0, bytes(131_000)))
    with battle.associated() as peer:
        peer.socket.settimeout(60.0)
        peer.send(_store_command(uid=uid) + pdu(P_DATA, pdv(STORE_CONTEXT, 0, zeros_header(uid, pixel_bytes))))
        battle.under_way.set()
        for _ in range(pixel_bytes // 131_000):
            peer.send(fragment)
        rest = pixel_bytes % 131_000
        peer.send(pdu(P_DATA, pdv(STORE_CONTEXT, LAST, bytes(rest))))
        status, comment = peer.status()
        _require(status == 0xA700, f"{pixel_bytes >> 20} MiB were answered with {status:#06x}.")
        _require("MiB" in comment or "MB" in comment, f"0xA700 with the comment {comment!r} does not tell the limit.")
        _require(peer.echo() == 0, "There was no echo after a data set that was too large.")


# -- numbers -----------------------------------------------------------------------------------------------------------


@_attack("40 associations at once, held", fills=True)
def crowd(battle: Battle) -> None:
    for _ in battle.rounds():
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(battle.peer()) for _ in range(40)]
            for peer in peers:
                peer.send(associate_rq())
            admitted = 0
            for peer in peers:
                kind, body = peer.receive()
                admitted += kind == ASSOCIATE_AC
                proper = kind == ASSOCIATE_AC or (kind, tuple(body[1:4])) == (ASSOCIATE_RJ, TEMPORARY_LIMIT)
                _require(proper, f"One of 40 associations at once was answered with PDU {kind}, {body[1:4].hex()}.")
            _require(admitted >= 1, "None of 40 associations at once was admitted.")
            battle.under_way.set()
            battle.stop.wait(0.5)


def _store_command(uid: str = UNLIKELY_UID) -> bytes:
    return _as_command(command(C_STORE_RQ, data_set=DATA_SET, uid=uid))


def _as_command(body: bytes, context: int = STORE_CONTEXT) -> bytes:
    return pdu(P_DATA, pdv(context, COMMAND | LAST, body))


def _answered_or_ended(peer: Peer, what: str) -> None:
    try:
        with contextlib.suppress(PeerGoneError):
            peer.receive()
    except TimeoutError:
        raise AttackError(f"{what} was neither answered nor ended.") from None


def _echo_or_end(peer: Peer, what: str) -> None:
    """Afterwards the association must still answer an echo, or have been ended: it must not hang."""
    deadline = time.monotonic() + 10.0
    try:
        with contextlib.suppress(PeerGoneError):
            peer.send(_as_command(command(C_ECHO_RQ, message=4242), ECHO_CONTEXT))
            while True:  # other answers may come first
                kind, body = peer.receive()
                if kind != P_DATA or struct.pack("<H", 4242) in body:
                    return
                _require(time.monotonic() < deadline, f"{what}: answers without end.")
    except TimeoutError:
        raise AttackError(f"{what}: the association neither answers an echo nor was it ended.") from None
