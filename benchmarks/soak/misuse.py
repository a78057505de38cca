"""Attacks by messages: commands of other services, broken C-STORE requests, data sets that are too large."""

from __future__ import annotations

from benchmarks.soak.attack import (
    UNLIKELY_UID,
    Attack,
    Battle,
    as_command,
    attack,
    must_echo_or_end,
    require,
    store_command,
)
from benchmarks.soak.instances import image, zeros_header
from benchmarks.soak.raw_pdu import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_FIND_RQ,
    C_GET_RQ,
    C_MOVE_RQ,
    C_STORE_RQ,
    COMMAND,
    DATA_SET,
    ECHO_CONTEXT,
    LAST,
    NO_DATA_SET,
    P_DATA,
    STORE_CONTEXT,
    command,
    fragments,
    pdu,
    pdv,
)

MISUSE: list[Attack] = []


@attack("commands of other services, unknown ones, and half ones", MISUSE)
def foreign_commands(battle: Battle) -> None:
    commands = [
        *(command(c, data_set=NO_DATA_SET) for c in (C_FIND_RQ, C_MOVE_RQ, C_GET_RQ, C_CANCEL_RQ, 0x7777, 0, 0xFFFF)),
        *(command(c) for c in (0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150)),  # the N services
        *(command(c | 0x8000) for c in (C_STORE_RQ, C_ECHO_RQ, C_FIND_RQ)),  # answers
        command(None),
        command(C_ECHO_RQ)[:30],
        command(C_ECHO_RQ, more={0x0100: b""}),
        command(C_ECHO_RQ, more={0x0110: b"\1\2\3\4\5\6"}),
        command(C_ECHO_RQ, more={0x0800: b""}),
        command(C_ECHO_RQ, more={0x0002: b"\xff" * 400}),
        b"",
        b"\xff" * 64,
    ]
    for _ in battle.rounds():
        for body in commands:
            with battle.associated() as peer:
                peer.send(pdu(P_DATA, pdv(ECHO_CONTEXT, COMMAND | LAST, body)))
                must_echo_or_end(peer, f"The command {body[:40].hex()}")
            if battle.stop.is_set() and battle.under_way.is_set():
                break


@attack("C-STORE without a data set, with a wrong flag, with a message number used twice, two at once", MISUSE)
def broken_stores(battle: Battle) -> None:
    data = b"".join(fragments(STORE_CONTEXT, image(UNLIKELY_UID)))
    half = pdu(P_DATA, pdv(STORE_CONTEXT, 0, image(UNLIKELY_UID)[:60]))
    store = store_command()
    sequences = {
        "without a data set": as_command(command(C_STORE_RQ, data_set=NO_DATA_SET, uid=UNLIKELY_UID)),
        "flag: no data set, but one follows": as_command(command(C_STORE_RQ, uid=UNLIKELY_UID)) + data,
        "flag: garbage": as_command(command(C_STORE_RQ, data_set=0x4242, uid=UNLIKELY_UID)) + data,
        "without SOP Instance UID": store_command(more={0x1000: b""}) + data,
        "without SOP Class UID": store_command(more={0x0002: b""}) + data,
        "without a priority": store_command(more={0x0700: b""}) + data,
        "with a garbage priority": store_command(more={0x0700: b"\xff\xff"}) + data,
        "the command twice": store + store + data,
        "a second command within the data": store + half + store + data,
        "an echo within the data": store + half + as_command(command(C_ECHO_RQ, message=9), ECHO_CONTEXT) + data,
        "data before the command": data + store + data,
        "an empty data set": store + pdu(P_DATA, pdv(STORE_CONTEXT, LAST, b"")),
        "data in another context": store + b"".join(fragments(ECHO_CONTEXT, image(UNLIKELY_UID))),
        "an echo with a data set": as_command(command(C_ECHO_RQ, data_set=DATA_SET), ECHO_CONTEXT) + data,
        "one message number three times": (store + data) * 3,
    }
    for _ in battle.rounds():
        for name, sequence in sequences.items():
            with battle.associated() as peer:
                peer.send(sequence)
                must_echo_or_end(peer, f"C-STORE {name}")
            if battle.stop.is_set() and battle.under_way.is_set():
                break


@attack("a data set of 300 MiB, of zeros", MISUSE)
def data_set_of_300_mib(battle: Battle) -> None:
    send_zeros(battle, 300 << 20)
    battle.hold()


def send_zeros(battle: Battle, pixel_bytes: int, *, uid: str = UNLIKELY_UID) -> None:
    """Send one data set that is too large: it has to be answered with 0xA700 (or the association aborted)."""
    fragment = pdu(P_DATA, pdv(STORE_CONTEXT, 0, bytes(131_000)))
    with battle.associated() as peer:
        peer.socket.settimeout(60.0)
        peer.send(store_command(uid=uid) + pdu(P_DATA, pdv(STORE_CONTEXT, 0, zeros_header(uid, pixel_bytes))))
        battle.under_way.set()
        for _ in range(pixel_bytes // 131_000):
            peer.send(fragment)
        rest = pixel_bytes % 131_000
        peer.send(pdu(P_DATA, pdv(STORE_CONTEXT, LAST, bytes(rest))))
        status, comment = peer.status()
        require(status == 0xA700, f"{pixel_bytes >> 20} MiB were answered with {status:#06x}.")
        require("MiB" in comment or "MB" in comment, f"0xA700 with the comment {comment!r} does not tell the limit.")
        require(peer.echo() == 0, "There was no echo after a data set that was too large.")
