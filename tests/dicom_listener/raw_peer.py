"""A peer that speaks the upper-layer protocol byte by byte, to send what no library sends."""

from __future__ import annotations

import socket
import struct

MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"


def item(kind: int, body: bytes) -> bytes:
    return bytes([kind, 0]) + struct.pack(">H", len(body)) + body


def associate_rq(*, calling: bytes = b"RAW", called: bytes = b"HOLMIA", version: int = 1, sop_class: str = MR) -> bytes:
    contexts = bytes([1, 0, 0, 0]) + item(0x30, sop_class.encode()) + item(0x40, EXPLICIT.encode())
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3")
    body = struct.pack(">HH", version, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, contexts) + item(0x50, user)
    return b"\x01\x00" + struct.pack(">L", len(body)) + body


def p_data(control: int, data: bytes) -> bytes:
    value = struct.pack(">LBB", len(data) + 2, 1, control) + data
    return b"\x04\x00" + struct.pack(">L", len(value)) + value


def store_command(uid: str, *, message_id: int = 1, sop_class: str = MR) -> bytes:
    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHL", 0, number, len(value)) + value

    def text(number: int, value: str) -> bytes:
        return element(number, value.encode() + b"\0" * (len(value) % 2))

    body = text(0x0002, sop_class) + element(0x0100, b"\x01\x00") + element(0x0110, struct.pack("<H", message_id))
    body += element(0x0700, b"\0\0") + element(0x0800, b"\0\0") + text(0x1000, uid)
    return p_data(3, element(0x0000, struct.pack("<L", len(body))) + body)


class RawPeer:
    """A connection to a node; use it in a ``with`` block."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associated(self, *, sop_class: str = MR) -> RawPeer:
        self.send(associate_rq(sop_class=sop_class))
        assert self.answer()[0] == 0x02
        return self

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> bytes:
        """Return the next whole PDU; empty at the end of the connection."""
        header = self._read(6)
        return header + self._read(struct.unpack(">L", header[2:])[0]) if len(header) == 6 else b""

    def status(self) -> int:
        """Return the status (0000,0900) of the next response."""
        pdu = self.answer()
        assert pdu[:1] == b"\x04", pdu
        at = pdu.index(struct.pack("<HHL", 0, 0x0900, 2)) + 8
        return int.from_bytes(pdu[at : at + 2], "little")

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            try:
                part = self.socket.recv(length - len(data))
            except ConnectionError:
                return b""
            if not part:
                return b""
            data += part
        return data
