"""Bounds that pynetdicom's own transport lacks, for a port that anybody on the network can connect to.

These classes touch internals of pynetdicom 3.0.4, which is pinned for that; their tests would show a change. Measured
with the stock classes: a declared PDU of 4 GiB fills the memory, and one byte a second keeps a connection for ever.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import cast

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

_LARGEST_PDU_BYTES = 1 << 20
"""Of any kind, unless the site allows longer ones: an association request of 128 contexts has about 30 kB."""
_PDU_DEADLINE_S = 30.0
"""From the first byte to the last: 128 KiB at 35 kbit/s."""
_HEADER_BYTES = 6
"""Type, reserved, length (PS3.8, 9.3.1)."""


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


class BoundedRequestHandler(RequestHandler):
    """Gives each association a bounded socket."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        # Evt5 (transport connection indication) of the stock socket; the new one announces itself again.
        association.dul.event_queue.get_nowait()
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
