"""What the listener owes everybody else: an echo within a second while an attack goes on and after it, and a store."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass

from benchmarks.soak.attacks import Attack, Battle
from benchmarks.soak.instances import ROOT, image
from benchmarks.soak.raw_pdu import ASSOCIATE_AC, ASSOCIATE_RJ, TEMPORARY_LIMIT, Peer

ECHO_LIMIT_S = 1.0
_ATTACK_PATIENCE_S = 90.0
_PAUSE_S = 0.05
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Seconds that each echo took: connection, association, C-ECHO, release. Infinity: none came."""

    name: str
    during_s: tuple[float, ...]
    after_s: tuple[float, ...]
    stored_uid: str


def echo_seconds(port: int, *, may_be_full: bool = False) -> float:
    """How long a real echo takes, from the connection to the answer of its release.

    Raises
    ------
    PeerGoneError, TimeoutError
        If it is not answered; where all associations may be taken, a rejection for that reason is an answer.
    """
    start = time.perf_counter()
    with Peer(port) as peer:
        kind, body = peer.associate()
        if may_be_full and (kind, tuple(body[1:4])) == (ASSOCIATE_RJ, TEMPORARY_LIMIT):
            return time.perf_counter() - start
        if kind != ASSOCIATE_AC or peer.echo() != 0:
            raise AssertionError(f"The echo was answered with PDU {kind}, {body[:4].hex()}.")
        peer.release()
    return time.perf_counter() - start


def store_one(port: int, uid: str | None = None) -> str:
    """Store an instance of its own; return its UID.

    Raises
    ------
    AssertionError
        If it is not acknowledged.
    """
    uid = uid or f"{ROOT}.2.{next(_numbers)}"
    with Peer(port) as peer:
        status = peer.associated().store(uid, image(uid))
        if status != 0:
            raise AssertionError(f"A sound instance was answered with {status:#06x}.")
        peer.release()
    return uid


def under_attack(port: int, attack: Attack, *, seconds: float, echoes: int = 3) -> Outcome:
    """Attack for `seconds`, at least for so many `echoes`, with echoes beside it; then echoes and a store.

    Raises
    ------
    AttackError
        If the listener does not do what it owes the attacker.
    AssertionError
        If an echo or the store is not answered as it should be.
    """
    battle = Battle(port=port, under_way=threading.Event(), stop=threading.Event())
    failures: list[BaseException] = []

    def run() -> None:
        try:
            attack.run(battle)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asked for the attack
            failures.append(error)
        finally:
            battle.under_way.set()

    thread = threading.Thread(target=run, name=attack.name, daemon=True)
    thread.start()
    during: list[float] = []
    try:
        battle.under_way.wait(_ATTACK_PATIENCE_S)
        until = time.monotonic() + seconds
        while len(during) < echoes or time.monotonic() < until:
            during.append(echo_seconds(port, may_be_full=attack.fills))
            time.sleep(_PAUSE_S)
    finally:
        battle.stop.set()
        thread.join(_ATTACK_PATIENCE_S)
    if failures:
        raise failures[0]
    if thread.is_alive():
        raise AssertionError(f"The attack did not end: {attack.name}.")
    if attack.fills:
        _until_free(port)
    after = tuple(echo_seconds(port) for _ in range(echoes))
    return Outcome(name=attack.name, during_s=tuple(during), after_s=after, stored_uid=store_one(port))


def _until_free(port: int) -> None:
    # The listener learns only by reading that the associations are gone.
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            echo_seconds(port)
        except AssertionError:
            time.sleep(_PAUSE_S)
        else:
            return
    raise AssertionError("Ended associations are still counted after 10 s.")
