"""Attacks on the upper layer: other protocols, strangers, broken PDUs and associations."""

from __future__ import annotations

import contextlib
import ssl
import struct

from benchmarks.soak.attack import (
    UNLIKELY_UID,
    Attack,
    AttackError,
    Battle,
    attack,
    must_answer_or_end,
    must_end,
    require,
    store_command,
)
from benchmarks.soak.instances import image
from benchmarks.soak.raw_pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    C_ECHO_RQ,
    COMMAND,
    ECHO_CONTEXT,
    IMPLICIT,
    LAST,
    MR_IMAGE,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    STORE_CONTEXT,
    VERIFICATION,
    PeerGoneError,
    associate_rq,
    command,
    item,
    pdu,
    pdv,
    presentation_context,
    user_information,
)

BROKEN_PEERS: list[Attack] = []


@attack("PDV lengths beyond the PDU, zero, one, and short headers", BROKEN_PEERS)
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
                must_end(peer, f"P-DATA with {body.hex()}")


@attack("presentation contexts that are even, 0, 255 or were not negotiated", BROKEN_PEERS)
def foreign_contexts(battle: Battle) -> None:
    for _ in battle.rounds():
        for context in (0, 2, 7, 255):
            with battle.associated() as peer:
                peer.send(pdu(P_DATA, pdv(context, COMMAND | LAST, command(C_ECHO_RQ))))
                must_answer_or_end(peer, f"An echo in the context {context}")


@attack("HTTP on the DICOM port", BROKEN_PEERS)
def http_bytes(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.peer() as peer:
            peer.send(b"GET /../../etc/passwd HTTP/1.1\r\nHost: holmia\r\n\r\n")
            must_end(peer, "HTTP")


@attack("a TLS handshake on the plain port", BROKEN_PEERS)
def tls_bytes(battle: Battle) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    handshake = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="holmia")
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    hello = outgoing.read()
    for _ in battle.rounds():
        with battle.peer() as peer:
            peer.send(hello)
            must_end(peer, "TLS")


@attack("unknown AE titles, called and calling", BROKEN_PEERS)
def unknown_titles(battle: Battle) -> None:
    for _ in battle.rounds():
        for request, reason in (
            (associate_rq(called=b"STRANGER"), 7),
            (associate_rq(calling=b"STRANGER"), 3),
        ):
            with battle.peer() as peer:
                kind, body = peer.associate(request)
                refused = (kind, tuple(body[1:4]))
                require(refused == (ASSOCIATE_RJ, (1, 1, reason)), f"A stranger was answered with {refused}.")
        with battle.peer() as peer:
            kind, _ = peer.associate(associate_rq(calling=b"HOL\nMIA\x1b[2J"))
            require(kind in (ASSOCIATE_RJ, ABORT), f"A title of control characters was answered with PDU {kind}.")


@attack("abort, reset and silence in mid-transfer", BROKEN_PEERS)
def abort_in_mid_transfer(battle: Battle) -> None:
    for number in battle.rounds():
        with battle.associated() as peer:
            peer.send(store_command() + pdu(P_DATA, pdv(STORE_CONTEXT, 0, image(UNLIKELY_UID)[:200])))
            if number % 3 == 0:
                peer.abort()
                must_end(peer, "An abort")
            elif number % 3 == 1:
                peer.reset()
            else:
                peer.send(pdu(P_DATA, bytes(100), declared=60_000))  # cut off within a PDU


@attack("releases and aborts before anything, and answers that nobody asked for", BROKEN_PEERS)
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
                must_end(peer, f"PDU {data[:6].hex()} before an association")
        for data in (accepted, pdu(ASSOCIATE_RJ, bytes(4)), pdu(RELEASE_RP, bytes(4)), pdu(99, b"x"), pdu(ABORT, b"")):
            with battle.associated() as peer:
                peer.send(data)
                must_end(peer, f"PDU {data[:6].hex()} within an association")


@attack("malformed association requests", BROKEN_PEERS)
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
                require(kind in (ASSOCIATE_AC, ASSOCIATE_RJ, ABORT), f"{name}: answered with PDU {kind}.")
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
