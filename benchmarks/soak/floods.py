"""Attacks by quantity and by slowness: floods, fragments without end, drips, silence, crowds."""

from __future__ import annotations

import contextlib

from benchmarks.soak.attack import Attack, Battle, attack, must_end, require, store_command
from benchmarks.soak.raw_pdu import (
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    C_ECHO_RQ,
    COMMAND,
    ECHO_CONTEXT,
    LAST,
    P_DATA,
    STORE_CONTEXT,
    TEMPORARY_LIMIT,
    Peer,
    PeerGoneError,
    associate_rq,
    command,
    pdu,
    pdv,
)

FLOODS: list[Attack] = []


@attack("a PDU that declares 4 GiB, and sends on", FLOODS)
def pdu_of_4_gib(battle: Battle) -> None:
    for number in battle.rounds():
        with battle.peer() as peer, contextlib.suppress(PeerGoneError):
            if number % 2:
                peer.associate()
            peer.send(pdu(P_DATA if number % 2 else ASSOCIATE_RQ, b"", declared=0xFFFFFFF0))
            for _ in range(256):
                peer.send(bytes(65_536))
            require(battle.stop.is_set(), "16 MiB of a PDU of 4 GiB were taken.")


@attack("endless small PDUs without an association", FLOODS)
def small_pdus_unassociated(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.peer() as peer, contextlib.suppress(PeerGoneError):
            for _ in range(2_000):
                peer.send(pdu(P_DATA, b"") * 8)


@attack("endless small fragments, one byte each", FLOODS)
def small_fragments(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.associated() as peer, contextlib.suppress(PeerGoneError):
            peer.send(store_command())
            burst = pdu(P_DATA, pdv(STORE_CONTEXT, 0, b"\0")) * 64
            battle.under_way.set()
            while not battle.stop.is_set():
                peer.send(burst)


@attack("fragments of a command that never ends", FLOODS)
def endless_command(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.associated() as peer, contextlib.suppress(PeerGoneError):
            battle.under_way.set()
            while not battle.stop.is_set():
                peer.send(pdu(P_DATA, pdv(ECHO_CONTEXT, COMMAND, bytes(65_536))))


@attack("P-DATA without a last fragment", FLOODS)
def endless_data_set(battle: Battle) -> None:
    fragment = pdu(P_DATA, pdv(STORE_CONTEXT, 0, bytes(100_000)))
    for _ in battle.rounds():
        with battle.associated() as peer, contextlib.suppress(PeerGoneError):
            peer.send(store_command())
            battle.under_way.set()
            while not battle.stop.is_set():
                peer.send(fragment)


@attack("an endless stream of association requests", FLOODS)
def repeated_requests(battle: Battle) -> None:
    for _ in battle.rounds():
        with battle.peer() as peer:
            with contextlib.suppress(PeerGoneError):
                peer.send(associate_rq() * 50)
            must_end(peer, "A second association request within an association")


@attack("echo requests whose answers are never read", FLOODS)
def deaf_peer(battle: Battle) -> None:
    request = pdu(P_DATA, pdv(ECHO_CONTEXT, COMMAND | LAST, command(C_ECHO_RQ)))
    with battle.associated() as peer, contextlib.suppress(PeerGoneError, TimeoutError):
        peer.socket.settimeout(0.2)
        while not battle.stop.is_set():
            battle.under_way.set()
            with contextlib.suppress(PeerGoneError):
                peer.send(request * 16)
            battle.stop.wait(0.01)


@attack("one byte a second, in the association request, in a PDU, and as many tiny PDUs", FLOODS)
def slow_drip(battle: Battle) -> None:
    request, inside = associate_rq(), pdu(P_DATA, pdv(STORE_CONTEXT, 0, bytes(64)))
    with contextlib.ExitStack() as stack:
        drips = [(stack.enter_context(battle.peer()), [request[i : i + 1] for i in range(40)]) for _ in range(4)]
        for chunks in ([inside[i : i + 1] for i in range(40)], [pdu(P_DATA, pdv(STORE_CONTEXT, 0, b"\0"))] * 40):
            peer = stack.enter_context(battle.associated())
            peer.send(store_command())
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
        require(len(ended) == len(drips), "One byte a second was listened to for 40 s.")


@attack("500 idle sockets", FLOODS)
def idle_sockets(battle: Battle) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(battle.peer())
        battle.hold()


@attack("half an association request, then silence, 50 times", FLOODS)
def half_requests(battle: Battle) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(battle.peer()).send(associate_rq()[:40])
        battle.hold()


@attack("40 associations at once, held", FLOODS, fills=True)
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
                require(proper, f"One of 40 associations at once was answered with PDU {kind}, {body[1:4].hex()}.")
            require(admitted >= 1, "None of 40 associations at once was admitted.")
            battle.under_way.set()
            battle.stop.wait(0.5)
