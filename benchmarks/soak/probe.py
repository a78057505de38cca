"""What the listener owes everybody else: an echo within a second while an attack goes on and after it, and a store."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass

from benchmarks.soak.attack import Attack, Battle, associated
from benchmarks.soak.instances import PIXELS, ROOT, image, rle, text
from benchmarks.soak.raw_pdu import ASSOCIATE_AC, ASSOCIATE_RJ, RLE_CONTEXT, TEMPORARY_LIMIT, Peer

ECHO_LIMIT_S = 1.0
_ATTACK_PATIENCE_S = 90.0
_PATIENCE_S = 10.0
_PAUSE_S = 0.05
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Seconds that each echo took (`echo_seconds`), and the UID of the instance that was stored afterwards."""

    name: str
    during_s: tuple[float, ...]
    after_s: tuple[float, ...]
    stored_uid: str


def echo_seconds(port: int, *, may_be_full: bool = False) -> float:
    """How long a real echo takes, from the connection to the answer of its release.

    A rejection because all associations are taken is transient (PS3.8, table 9-21): it is asked again, and the time
    goes on. Where an attack holds all associations for good (`may_be_full`) the rejection is the answer.

    Raises
    ------
    AssertionError
        If it is answered with anything else.
    PeerGoneError, TimeoutError
        If it is not answered.
    """
    start = time.perf_counter()
    while True:
        with Peer(port) as peer:
            kind, body = peer.associate()
            if kind == ASSOCIATE_AC and peer.echo() == 0:
                peer.release()
                break
            full = (kind, tuple(body[1:4])) == (ASSOCIATE_RJ, TEMPORARY_LIMIT)
        if full and may_be_full:
            break
        if not full or time.perf_counter() - start > _PATIENCE_S:
            raise AssertionError(f"The echo was answered with PDU {kind}, {body[:4].hex()}.")
        time.sleep(_PAUSE_S)
    return time.perf_counter() - start


def store_one(port: int, uid: str | None = None) -> str:
    """Store an instance of its own; return its UID.

    Raises
    ------
    AssertionError
        If it is not acknowledged.
    """
    uid = uid or f"{ROOT}.2.{next(_numbers)}"
    with associated(port) as peer:
        status = peer.store(uid, image(uid))
        if status != 0:
            raise AssertionError(f"A sound instance was answered with {status:#06x}.")
        peer.release()
    return uid


def warm_up(port: int) -> None:
    """Make the listener open and load what it keeps from then on: it is measured afterwards.

    Echoes, stores, an instance for the quarantine, and the same instance compressed, which has to be decoded.
    """
    for _ in range(3):
        echo_seconds(port)
        store_one(port)
    uid = store_one(port)
    with associated(port) as peer:
        other, same = image(uid, e00100020=text(0x00100020, "LO", "B")), image(uid, e7FE00010=rle(PIXELS))
        answers = peer.store(uid, other), peer.store(uid, same, context=RLE_CONTEXT)
        peer.release()
    if answers != (0, 0):
        raise AssertionError(f"Sound instances were answered with {answers}.")


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
    after = tuple(echo_seconds(port) for _ in range(echoes))
    return Outcome(name=attack.name, during_s=tuple(during), after_s=after, stored_uid=store_one(port))
