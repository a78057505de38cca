"""The door of the listener: what a TCP connection must show before an association begins.

Anybody on the network can connect. A connection waits here in one thread that sleeps in the kernel, has a deadline, and
is one of a bounded number; only a complete association request of an admitted peer gets to pynetdicom, whose
associations cost two polling threads each. Everything else is closed with one line in the log.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dicom_listener.tls import reason_in_words

MAXIMUM_WAITING = 128
"""Connections that have not asked for an association yet; one more costs the busiest address its oldest."""
ASSOCIATE_TIMEOUT_S = 10.0
"""From the connection to the end of the association request, the TLS handshake included (ARTIM, PS3.8 9.1.5)."""
LARGEST_REQUEST_BYTES = 1 << 18
"""An association request of 128 contexts has about 30 kB, with 35 transfer syntaxes in each 120 kB. To decode 1 MiB of
tiny items takes 6 s of the interpreter, which echoes have to share."""
HEADER_BYTES = 6
"""Type, reserved, length (PS3.8, 9.3.1)."""
_ASSOCIATE_RQ, _ASSOCIATE_RJ, _ABORT = 0x01, 0x03, 0x07
_FIXED_BYTES = 74
"""Of an association request, up to its first variable item (PS3.8, table 9-11)."""
_READ_BYTES = 1 << 16
_HTTP = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"PRI ")


class RefusedConnectionError(Exception):
    """The connection shows no association request; the text is a sentence without any of the peer's bytes."""


class RefusedCertificateError(RefusedConnectionError):
    """The TLS handshake failed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AssociationRequest:
    """What a peer asked for. The titles are what it says, ASCII with anything else escaped, without padding."""

    calling_ae: str
    called_ae: str
    address: str
    tls_version: str | None
    protocol_version: int
    pdu: bytes
    """The whole A-ASSOCIATE-RQ."""


class WaitingRoom:
    """The connections that have not asked for an association, at most `maximum`.

    The oldest of the busiest address gives way, so that one peer's idle connections keep nobody else out.
    """

    def __init__(self, maximum: int = MAXIMUM_WAITING) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, str] = {}
        self._closed = False

    @contextmanager
    def place(self, connection: socket.socket, address: str) -> Iterator[None]:
        """Hold a place while the connection is asked; a connection that has to give way is shut down."""
        with self._lock:
            if len(self._waiting) >= self._maximum:
                busiest = Counter(self._waiting.values()).most_common(1)[0][0]
                # A dict keeps its order: the first is the oldest.
                oldest = next(waiting for waiting, of in self._waiting.items() if of == busiest)
                del self._waiting[oldest]
                shut(oldest)
            self._waiting[connection] = address
            if self._closed:
                shut(connection)
        try:
            yield
        finally:
            with self._lock:
                self._waiting.pop(connection, None)

    def close(self) -> None:
        """Shut all that wait, and whoever comes later."""
        with self._lock:
            self._closed = True
            for connection in self._waiting:
                shut(connection)


def shut(connection: socket.socket) -> None:
    """Shut a connection down, below TLS, so that a thread that waits on it wakes up."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def acknowledge_at_once(connection: socket.socket) -> None:
    """Send TCP's acknowledgements without delay: senders without TCP_NODELAY wait 40 ms for each (Linux only).

    The kernel falls back to delaying by itself, so this is asked for before every read: once a PDU is too seldom, the
    delay then falls inside it.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def read_exactly(connection: socket.socket, length: int, deadline_s: float) -> bytearray:
    """Return `length` bytes, fewer if the peer closed the connection. `deadline_s` is of the monotonic clock.

    Raises
    ------
    OSError
        If the connection fails; TimeoutError if the deadline passes.
    """
    data = bytearray()
    while len(data) < length:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the PDU took too long")
        connection.settimeout(remaining_s)
        acknowledge_at_once(connection)
        part = connection.recv(min(length - len(data), _READ_BYTES))
        if not part:
            break
        data += part
    return data


def shake_hands(connection: ssl.SSLSocket, deadline_s: float) -> None:
    """Do the TLS handshake.

    Raises
    ------
    RefusedCertificateError
        With the reason in plain words.
    """
    connection.settimeout(max(deadline_s - time.monotonic(), 0.001))  # of the handshake as a whole
    try:
        connection.do_handshake()
    except OSError as error:
        raise RefusedCertificateError(reason_in_words(error)) from error
    except (ValueError, AttributeError) as error:  # it was shut in between
        raise RefusedCertificateError("The connection ended during the TLS handshake.") from error


def read_request(connection: socket.socket, address: str, deadline_s: float) -> AssociationRequest:
    """Read the association request that a connection has to begin with.

    Raises
    ------
    RefusedConnectionError
        If it begins with something else, ends, or takes longer than the deadline.
    """
    try:
        header = read_exactly(connection, HEADER_BYTES, deadline_s)
        length = int.from_bytes(header[2:], "big")
        _check_header(header, length)
        body = read_exactly(connection, length, deadline_s)
    except TimeoutError as error:
        raise RefusedConnectionError("The peer did not ask for an association in time.") from error
    except OSError as error:
        raise RefusedConnectionError("The connection failed before an association was asked for.") from error
    if len(body) < length:
        raise RefusedConnectionError("The connection ended within the association request.")
    pdu = bytes(header + body)
    return AssociationRequest(
        called_ae=_title(pdu[10:26]),
        calling_ae=_title(pdu[26:42]),
        address=address,
        tls_version=connection.version() if isinstance(connection, ssl.SSLSocket) else None,
        protocol_version=int.from_bytes(pdu[6:8], "big"),
        pdu=pdu,
    )


def reject(connection: socket.socket, *, result: int, source: int, reason: int) -> None:
    """Answer an association request by A-ASSOCIATE-RJ (PS3.8, 9.3.4)."""
    connection.settimeout(1.0)
    with contextlib.suppress(OSError):
        connection.sendall(bytes([_ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, result, source, reason]))


def abort(connection: socket.socket) -> None:
    """Answer what cannot be decoded by A-ABORT: service provider, invalid parameter value (PS3.8, 9.3.8)."""
    connection.settimeout(1.0)
    with contextlib.suppress(OSError):
        connection.sendall(bytes([_ABORT, 0, 0, 0, 0, 4, 0, 0, 2, 6]))


def _check_header(header: bytearray, length: int) -> None:
    if not header:
        raise RefusedConnectionError("The connection ended before an association was asked for.")
    if header[:3] == b"\x16\x03\x01" or header[:3] == b"\x16\x03\x03":
        raise RefusedConnectionError("The peer speaks TLS, this port does not (site.tls).")
    if bytes(header[:4]) in _HTTP:
        raise RefusedConnectionError("The peer speaks HTTP, not DICOM.")
    if len(header) < HEADER_BYTES:
        raise RefusedConnectionError("The connection ended within the association request.")
    if header[0] != _ASSOCIATE_RQ or length < _FIXED_BYTES - HEADER_BYTES:
        raise RefusedConnectionError("What the peer sent is no association request.")
    if length > LARGEST_REQUEST_BYTES:
        raise RefusedConnectionError("The association request is declared longer than any is.")


def _title(field: bytes) -> str:
    return field.decode("ascii", "backslashreplace").strip(" \0")
