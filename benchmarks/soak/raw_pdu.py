"""DICOM's upper layer by hand (PS3.8, section 9.3): every byte can be made wrong, which no library lets one do."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping

VERIFICATION = "1.2.840.10008.1.1"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
RLE = "1.2.840.10008.1.2.5"
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
COMMAND, LAST = 0x01, 0x02
"""Bits of a fragment's control header (PS3.8, E.2)."""
C_STORE_RQ, C_GET_RQ, C_FIND_RQ, C_MOVE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF
NO_DATA_SET, DATA_SET = 0x0101, 0x0001
_FRAGMENT_BYTES = 65_536
TEMPORARY_LIMIT = (2, 3, 2)
"""Result, source and reason of a rejection for want of a free association (PS3.8, table 9-21)."""


def pdu(kind: int, body: bytes, *, declared: int | None = None) -> bytes:
    """A PDU; `declared` lies about its length."""
    return struct.pack(">BxL", kind, len(body) if declared is None else declared) + body


def item(kind: int, body: bytes, *, declared: int | None = None) -> bytes:
    """An item of an association request; `declared` lies about its length."""
    return struct.pack(">BxH", kind, len(body) if declared is None else declared) + body


def presentation_context(number: int, abstract: str, syntaxes: Iterable[str]) -> bytes:
    """An item that proposes one SOP class in some transfer syntaxes."""
    subitems = item(0x30, abstract.encode()) + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes)
    return item(0x20, struct.pack(">Bxxx", number) + subitems)


def user_information(*more: bytes) -> bytes:
    """The item of the maximum length and implementation, and whatever else."""
    return item(0x50, item(0x51, struct.pack(">L", 131_072)) + item(0x52, b"1.2.826.0.1.3680043.10.1") + b"".join(more))


DEFAULT_CONTEXTS = (
    presentation_context(1, VERIFICATION, [IMPLICIT])
    + presentation_context(3, MR_IMAGE, [EXPLICIT])
    + presentation_context(5, MR_IMAGE, [RLE])
)
ECHO_CONTEXT, STORE_CONTEXT, RLE_CONTEXT = 1, 3, 5


def associate_rq(
    *,
    called: bytes = b"HOLMIA",
    calling: bytes = b"SENDER",
    version: int = 1,
    contexts: bytes = DEFAULT_CONTEXTS,
    users: bytes | None = None,
    application: bytes = _APPLICATION_CONTEXT.encode(),
) -> bytes:
    """An association request. Titles are padded to 16 bytes and never cut: longer ones shift what follows."""
    fixed = struct.pack(">Hxx", version) + called.ljust(16) + calling.ljust(16) + bytes(32)
    items = item(0x10, application) + contexts + (user_information() if users is None else users)
    return pdu(ASSOCIATE_RQ, fixed + items)


def pdv(context: int, control: int, data: bytes, *, declared: int | None = None) -> bytes:
    """A presentation data value: a fragment of a message; `declared` lies about its length."""
    return struct.pack(">LBB", len(data) + 2 if declared is None else declared, context, control) + data


def command(
    field: int | None,
    *,
    message: int = 1,
    data_set: int = NO_DATA_SET,
    uid: str = "",
    more: Mapping[int, bytes] | None = None,
) -> bytes:
    """A command set (PS3.7, 6.3.1); `more` replaces or adds elements of group 0000."""
    elements: dict[int, bytes] = {}
    if field is not None:
        elements[0x0100] = struct.pack("<H", field)
    elements[0x0002] = _even((MR_IMAGE if field == C_STORE_RQ else VERIFICATION).encode())
    elements[0x0110] = struct.pack("<H", message)
    elements[0x0800] = struct.pack("<H", data_set)
    if field == C_STORE_RQ:
        elements[0x0700] = struct.pack("<H", 0)
        elements[0x1000] = _even(uid.encode("latin-1"))
    elements |= more or {}
    body = b"".join(struct.pack("<HHL", 0, number, len(v)) + v for number, v in sorted(elements.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _even(value: bytes) -> bytes:
    return value + b"\0" * (len(value) % 2)


class PeerGoneError(Exception):
    """The listener ended the connection."""


class Peer:
    """A connection to the listener that sends what it is told, right or wrong."""

    def __init__(self, port: int, *, timeout_s: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._messages = itertools.count(1)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises
        ------
        PeerGoneError
            If the listener has ended the connection.
        """
        try:
            self.socket.sendall(data)
        except (ConnectionError, TimeoutError) as error:
            raise PeerGoneError(str(error)) from error

    def receive(self) -> tuple[int, bytes]:
        """Kind and body of the next PDU.

        Raises
        ------
        PeerGoneError
            If the listener ended the connection.
        TimeoutError
            If it says nothing: a hang.
        """
        kind, length = struct.unpack(">BxL", self._exactly(6))
        return kind, self._exactly(length)

    def associate(self, request: bytes | None = None) -> tuple[int, bytes]:
        """Ask for an association; return the answer."""
        self.send(associate_rq() if request is None else request)
        return self.receive()

    def echo(self) -> int:
        """C-ECHO; return the status."""
        self.send(pdu(P_DATA, pdv(ECHO_CONTEXT, COMMAND | LAST, command(C_ECHO_RQ, message=next(self._messages)))))
        return self.status()[0]

    def store(
        self, uid: str, data: bytes, *, context: int = STORE_CONTEXT, more: dict[str, bytes] | None = None
    ) -> int:
        """C-STORE of an MR image; return the status."""
        self.send_store(uid, data, context=context)
        return self.status()[0]

    def send_store(self, uid: str, data: bytes, *, context: int = STORE_CONTEXT) -> None:
        """Send a C-STORE request and its data set, without waiting."""
        asked = command(C_STORE_RQ, message=next(self._messages) & 0xFFFF, data_set=DATA_SET, uid=uid)
        self.send(pdu(P_DATA, pdv(context, COMMAND | LAST, asked)) + b"".join(fragments(context, data)))

    def status(self) -> tuple[int, str]:
        """Status and comment of the next answer."""
        kind, body = self.receive()
        if kind != P_DATA:
            raise PeerGoneError(f"PDU {kind} instead of an answer: {body.hex()}")
        answer = dict(_elements(body[6:]))
        return struct.unpack("<H", answer[0x0900])[0], answer.get(0x0902, b"").decode("ascii").strip()

    def release(self) -> None:
        """End the association as it should be."""
        self.send(pdu(RELEASE_RQ, bytes(4)))
        kind, _ = self.receive()
        if kind != RELEASE_RP:
            raise PeerGoneError(f"PDU {kind} instead of an answer to the release")

    def abort(self) -> None:
        """A-ABORT."""
        self.send(pdu(ABORT, bytes(4)))

    def reset(self) -> None:
        """Drop the connection without a word: the other side gets a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def until_ended(self) -> list[int]:
        """Read until the listener ends the connection or aborts; return the kinds of PDU that came.

        After an A-ABORT it is the peer who closes (PS3.8, 9.2.2, state 13); the listener does after a while.
        """
        kinds: list[int] = []
        with contextlib.suppress(PeerGoneError):
            while ABORT not in kinds:
                kinds.append(self.receive()[0])
        return kinds

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            try:
                part = self.socket.recv(length - len(data))
            except ConnectionError as error:
                raise PeerGoneError(str(error)) from error
            if not part:
                raise PeerGoneError("the connection was closed")
            data += part
        return bytes(data)


def fragments(context: int, data: bytes) -> Iterator[bytes]:
    """The PDUs that carry a data set."""
    for start in range(0, max(len(data), 1), _FRAGMENT_BYTES):
        part = data[start : start + _FRAGMENT_BYTES]
        yield pdu(P_DATA, pdv(context, LAST if start + _FRAGMENT_BYTES >= len(data) else 0, part))


def _elements(body: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(body):
        _, number, length = struct.unpack_from("<HHL", body, position)
        yield number, body[position + 8 : position + 8 + length]
        position += 8 + length
