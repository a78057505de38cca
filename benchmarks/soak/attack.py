"""What an attack is, where it takes place, and what the listener owes even to an attacker."""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.soak.instances import ROOT
from benchmarks.soak.raw_pdu import (
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    C_ECHO_RQ,
    C_STORE_RQ,
    COMMAND,
    DATA_SET,
    ECHO_CONTEXT,
    LAST,
    P_DATA,
    STORE_CONTEXT,
    TEMPORARY_LIMIT,
    Peer,
    PeerGoneError,
    command,
    pdu,
    pdv,
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


def attack(name: str, attacks: list[Attack], *, fills: bool = False) -> Callable[[Run], Run]:
    """Decorate a function: under that name it is one of `attacks`."""

    def register(run: Run) -> Run:
        attacks.append(Attack(name=name, run=run, fills=fills))
        return run

    return register


def require(law: bool, what: str) -> None:
    """Raise `AttackError` unless the law holds."""
    if not law:
        raise AttackError(what)


def must_end(peer: Peer, what: str) -> list[int]:
    """The listener has to end this connection."""
    try:
        return peer.until_ended()
    except TimeoutError:
        raise AttackError(f"{what}: the connection was not ended.") from None


def store_command(uid: str = UNLIKELY_UID, more: Mapping[int, bytes] | None = None) -> bytes:
    """A C-STORE request whose data set is to follow; `more` replaces elements of the command."""
    return as_command(command(C_STORE_RQ, data_set=DATA_SET, uid=uid, more=more))


def as_command(body: bytes, context: int = STORE_CONTEXT) -> bytes:
    """The PDU of a whole command set."""
    return pdu(P_DATA, pdv(context, COMMAND | LAST, body))


def must_answer_or_end(peer: Peer, what: str) -> None:
    """The listener has to answer something, or to end the connection: it must not hang."""
    try:
        with contextlib.suppress(PeerGoneError):
            peer.receive()
    except TimeoutError:
        raise AttackError(f"{what} was neither answered nor ended.") from None


def must_echo_or_end(peer: Peer, what: str) -> None:
    """Afterwards the association must still answer an echo, or have been ended: it must not hang."""
    deadline = time.monotonic() + 10.0
    try:
        with contextlib.suppress(PeerGoneError):
            peer.send(as_command(command(C_ECHO_RQ, message=4242), ECHO_CONTEXT))
            while True:  # other answers may come first
                kind, body = peer.receive()
                if kind != P_DATA or struct.pack("<H", 4242) in body:
                    return
                require(time.monotonic() < deadline, f"{what}: answers without end.")
    except TimeoutError:
        raise AttackError(f"{what}: the association neither answers an echo nor was it ended.") from None
