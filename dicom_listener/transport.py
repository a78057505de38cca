"""Bounds that pynetdicom's own transport lacks, for a port that anybody on the network can connect to.

These classes touch internals of pynetdicom 3.0.4, which is pinned for that; their tests would show a change. Measured
with the stock classes: a declared PDU of 4 GiB or an endless data set fills the memory, and one byte a second keeps a
connection for ever.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import time
from typing import Any, cast

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

_LOG = logging.getLogger(__name__)

_LARGEST_PDU_BYTES = 1 << 20
"""Of any kind, unless the site allows longer ones: an association request of 128 contexts has about 30 kB."""
_PDU_DEADLINE_S = 30.0
"""From the first byte to the last: 128 KiB at 35 kbit/s."""
LARGEST_DATASET_BYTES = 256 << 20
"""An enhanced MR object of 600 frames of 256 × 256 has 80 MB; SQLite's own limit of an object is 1 GB."""
_COMMAND = 1
"""Bit of a fragment's control header: it belongs to the command, not the data set (PS3.8, E.2)."""
_HEADER_BYTES = 6
"""Type, reserved, length (PS3.8, 9.3.1)."""


def acknowledge_at_once(connection: socket.socket) -> None:
    """Send TCP's acknowledgements without delay: senders without TCP_NODELAY wait 40 ms for each (Linux only).

    The kernel falls back to delaying by itself, so this is asked for before every read: once a PDU is too seldom, the
    delay then falls inside it.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class BoundedSocket(AssociationSocket):
    """An association's socket that refuses a PDU that is too long or takes too long."""

    _deadline_s = 0.0

    def recv(self, nr_bytes: int) -> bytearray:
        """Return `nr_bytes` from the peer, fewer if it closed the connection.

        Raises
        ------
        OSError
            If more is asked for than a PDU may have, or the PDU's deadline passes; the connection is shut then.
        """
        connection = cast(socket.socket, self.socket)
        if nr_bytes == _HEADER_BYTES:
            self._deadline_s = time.monotonic() + _PDU_DEADLINE_S
        data = bytearray()
        try:
            if nr_bytes > max(_LARGEST_PDU_BYTES, self.assoc.ae.maximum_pdu_size):
                raise OSError("the declared length of the PDU is beyond the limit")
            while len(data) < nr_bytes:
                remaining_s = self._deadline_s - time.monotonic()
                if remaining_s <= 0:
                    raise TimeoutError("the PDU took too long")
                connection.settimeout(remaining_s)
                acknowledge_at_once(connection)
                part = connection.recv(min(nr_bytes - len(data), 1 << 16))
                if not part:
                    break
                data += part
        except OSError:
            self._shutdown_socket()
            raise
        return data

    def _shutdown_socket(self) -> None:
        # The stock method does not close a socket whose peer has gone already.
        connection = cast(socket.socket, self.socket)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            connection.close()


class BoundedMessages(DIMSEServiceProvider):
    """Assembles messages, but of a data set beyond `LARGEST_DATASET_BYTES` only counts the rest."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self._bytes = 0
        self.overflowed = False
        """Whether the last message was too large: its data set is not what was sent."""

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the next fragments of the message in hand (PS3.8, annex E); broken ones end the association."""
        try:
            self._bound(primitive)
            super().receive_primitive(primitive)
        except Exception:  # noqa: BLE001 - whatever a peer's bytes raise would end the thread without a word
            _LOG.warning("A message that cannot be decoded ends its association")
            self.dul.event_queue.put("Evt19")  # unrecognised or invalid PDU

    def _bound(self, primitive: P_DATA) -> None:
        if self.message is None:
            self._bytes, self.overflowed = 0, False
        fragments = primitive.presentation_data_value_list
        self._bytes += sum(len(data) for _, data in fragments if not data[0] & _COMMAND)
        if self._bytes > LARGEST_DATASET_BYTES:
            self.overflowed = True
            if self.message is not None:
                self.message.data_set = io.BytesIO()
            # One byte stays: a request without data set would not be answered. Lists, because the setter wants them.
            kept: list[Any] = [[context, data if data[0] & _COMMAND else data[:2]] for context, data in fragments]
            primitive.presentation_data_value_list = kept


class BoundedRequestHandler(RequestHandler):
    """Gives each association a bounded socket and bounded messages."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        # Evt5 (transport connection indication) of the stock socket; the new one announces itself again.
        association.dul.event_queue.get_nowait()
        association.dimse = BoundedMessages(association)
        association.dul.socket = BoundedSocket(association, client_socket=cast(socket.socket, self.request))
        return association


class BoundedServer(ThreadedAssociationServer):
    """Binds to `address` and serves `entity`, with bounded sockets.

    Its associations begin without presentation contexts: copying all storage classes takes 12 ms, too long for
    connections that may never ask for an association. Give them on ``EVT_REQUESTED``.

    Raises
    ------
    OSError
        If the address cannot be bound.
    """

    request_queue_size = 128

    def __init__(self, entity: AE, address: tuple[str, int], handlers: list[EventHandlerType]) -> None:
        super().__init__(
            entity, address, entity.ae_title, [], evt_handlers=handlers, request_handler=BoundedRequestHandler
        )
        entity._servers.append(self)  # as AE.start_server does; `shutdown` takes it away again
