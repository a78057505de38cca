"""The soak's peer as the tests of the node use it: one presentation context, and answers as whole PDUs."""

from __future__ import annotations

from typing import Self

from benchmarks.soak import raw_pdu
from benchmarks.soak.raw_pdu import (
    C_STORE_RQ,
    DATA_SET,
    EXPLICIT,
    MR_IMAGE,
    P_DATA,
    Peer,
    PeerGoneError,
    command,
    pdu,
    pdv,
    presentation_context,
)

RELEASE_RQ = pdu(raw_pdu.RELEASE_RQ, bytes(4))
_CONTEXT = 1


def associate_rq(
    *, calling: bytes = b"RAW", called: bytes = b"HOLMIA", version: int = 1, sop_class: str = MR_IMAGE
) -> bytes:
    contexts = presentation_context(_CONTEXT, sop_class, [EXPLICIT])
    return raw_pdu.associate_rq(called=called, calling=calling, version=version, contexts=contexts)


def p_data(control: int, data: bytes) -> bytes:
    return pdu(P_DATA, pdv(_CONTEXT, control, data))


def store_command(uid: str, *, message_id: int = 1, sop_class: str = MR_IMAGE) -> bytes:
    named = sop_class.encode() + b"\0" * (len(sop_class) % 2)
    return p_data(3, command(C_STORE_RQ, message=message_id, data_set=DATA_SET, uid=uid, more={0x0002: named}))


class RawPeer(Peer):
    """A connection to a node; use it in a ``with`` block."""

    def associated(self, *, sop_class: str = MR_IMAGE) -> Self:
        self.send(associate_rq(sop_class=sop_class))
        assert self.answer()[0] == 0x02
        return self

    def answer(self) -> bytes:
        """Return the next whole PDU; empty at the end of the connection."""
        try:
            return pdu(*self.receive())
        except PeerGoneError:
            return b""
