"""Bounds that pynetdicom's own transport lacks, for a port that anybody on the network can connect to.

These classes touch internals of pynetdicom 3.0.4, which is pinned for that; their tests would show a change. Measured
with the stock classes: a declared PDU of 4 GiB or an endless data set fills the memory, one byte a second keeps a
connection for ever, and one silent client keeps all others out of a TLS port.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, cast

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from dicom_listener.connections import (
    ASSOCIATE_TIMEOUT_S,
    HEADER_BYTES,
    AssociationRequest,
    RefusedCertificateError,
    RefusedConnectionError,
    WaitingRoom,
    abort,
    read_exactly,
    read_request,
    reject,
    shake_hands,
    shut,
)
from dicom_listener.messages import BoundedMessages, DataBudget
from dicom_listener.statuses import Rejection

_LOG = logging.getLogger(__name__)

_PDU_DEADLINE_S = 30.0
"""From the first byte to the last: 128 KiB at 35 kbit/s."""
_LARGEST_PDU_BYTES = 1 << 24
"""Where the site takes PDUs of any length: the largest that the setting can name."""
_LENIENT_PDU_BYTES = 1 << 20
"""Taken in any case: some senders fill longer PDUs than they were offered."""
CLOSING_TIMEOUT_S = 2.0
"""How long a peer whose association is over may go on sending before the connection is closed (ARTIM, PS3.8 9.1.5)."""
_BUSY_POLL_S = 1e-4
"""Of pynetdicom's polling loop, 1e-3 by default: with TCP_QUICKACK, 423 instances/s instead of 22 (measured)."""
_IDLE_POLL_S = 5e-3
"""Of an association that has said nothing for a while: eight that poll busily would take the whole processor."""
_IDLE_AFTER_S = 0.3


class BoundedSocket(AssociationSocket):
    """An association's socket that begins with the request already read, and refuses what is too long or too slow."""

    def __init__(self, association: Association, connection: socket.socket, request: AssociationRequest) -> None:
        self.request = request
        self._unread = bytearray(request.pdu)
        self._deadline_s = 0.0
        self._heard_s = time.monotonic()
        super().__init__(association, client_socket=connection)

    @property
    def ready(self) -> bool:
        """Whether there is something to read; sets how often that is looked for."""
        ready = bool(self._unread) or bool(super().ready)
        now_s = time.monotonic()
        if ready:
            self._heard_s = now_s
        idle = now_s - self._heard_s > _IDLE_AFTER_S
        self.assoc.dul._run_loop_delay = _IDLE_POLL_S if idle else _BUSY_POLL_S
        return ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Return `nr_bytes` from the peer, fewer if it closed the connection.

        Raises
        ------
        OSError
            If more is asked for than a PDU may have, or the PDU's deadline passes; the connection is shut then.
        """
        if self._unread:
            data, self._unread = self._unread[:nr_bytes], self._unread[nr_bytes:]
            return data
        if nr_bytes == HEADER_BYTES:
            self._deadline_s = time.monotonic() + _PDU_DEADLINE_S
        try:
            if nr_bytes > max(_LENIENT_PDU_BYTES, self.assoc.ae.maximum_pdu_size or _LARGEST_PDU_BYTES):
                raise OSError("the declared length of the PDU is beyond the limit")
            return read_exactly(cast(socket.socket, self.socket), nr_bytes, self._deadline_s)
        except OSError:
            self._shutdown_socket()
            raise

    def send(self, bytestream: bytes) -> None:
        """Send, with a patience of its own: what is left of the last PDU's deadline may be nothing."""
        if self.socket is not None:
            self.socket.settimeout(_PDU_DEADLINE_S)
        super().send(bytestream)

    def _shutdown_socket(self) -> None:
        # The stock method does not close a socket whose peer has gone already.
        if self.socket is not None:
            shut(self.socket)
            with contextlib.suppress(OSError):
                self.socket.close()


class BoundedRequestHandler(RequestHandler):
    """Begins the association of an admitted request, with a bounded socket and bounded messages."""

    def __init__(
        self, connection: socket.socket, address: tuple[str, int], server: BoundedServer, asked: AssociationRequest
    ) -> None:
        self._asked = asked
        super().__init__(connection, address, server)

    def _create_association(self) -> Association:
        association = super()._create_association()
        server = cast(BoundedServer, self.server)
        # Evt5 (transport connection indication) of the stock socket; the new one announces itself again.
        association.dul.event_queue.get_nowait()
        association.dimse = BoundedMessages(association, server.budget, server.largest_dataset_bytes)
        association.dul.socket = BoundedSocket(association, cast(socket.socket, self.request), self._asked)
        # A thread's target has no public name.
        for thread, after in ((association.dul, _provider_over), (association, self._over)):
            vars(thread)["_target"] = _contained(vars(thread)["_target"], association, after)
        return association

    def _over(self, association: Association) -> None:
        association._kill = True
        association.dul.kill_dul()
        socket_of(association)._shutdown_socket()
        messages_of(association).release()
        cast(BoundedServer, self.server).left(self._asked)


def _check_decodable(asked: AssociationRequest, connection: socket.socket) -> None:
    # Here, where it costs a peer its own connection only: in pynetdicom's threads it would hold a place for 10 s.
    try:
        pdu = A_ASSOCIATE_RQ()
        pdu.decode(asked.pdu)
        pdu.to_primitive()
    except Exception as error:
        abort(connection)
        raise RefusedConnectionError("The association request cannot be decoded.") from error


def _provider_over(association: Association) -> None:
    """Wake the association's thread, which may be waiting for its protocol thread that has just ended."""
    messages_of(association).release()  # again, where this thread is the last to end: it may have taken more
    if not association.is_released:
        association.is_aborted = True
    association.dul.to_user_queue.put(A_P_ABORT())


def _contained(
    target: Callable[[], None], association: Association, after: Callable[[Association], None]
) -> Callable[[], None]:
    """Return `target` such that what a peer's bytes raise in it ends this association with a line, and no traceback."""

    def run() -> None:
        try:
            target()
        except Exception as error:  # noqa: BLE001 - pynetdicom's threads would print it
            _LOG.warning("An association is ended: the protocol was violated (%s).", type(error).__name__)
            association._kill = association.is_aborted = True
            association.is_established = False
            socket_of(association)._shutdown_socket()
        finally:
            after(association)

    return run


def socket_of(association: Association) -> BoundedSocket:
    """Return the socket of an association of this node, with what its peer asked for."""
    return cast(BoundedSocket, association.dul.socket)


def messages_of(association: Association) -> BoundedMessages:
    """Return the assembler of messages of an association of this node."""
    return cast(BoundedMessages, association.dimse)


def has_answered(association: Association) -> bool:
    """Return whether all that the peer has asked is answered, down to the socket."""
    idle = messages_of(association).idle and association.dul.to_provider_queue.empty()
    return idle or not association.is_alive()


def drop(association: Association) -> None:
    """Shut the connection of an association; its threads end by themselves."""
    connection = socket_of(association).socket
    if connection is not None:
        shut(connection)


class BoundedServer(ThreadedAssociationServer):
    """Binds to `address` and serves `entity`: each connection in a thread of its own from its first byte on.

    Its associations begin without presentation contexts: copying all storage classes takes 12 ms, too long for
    connections that may never ask for an association. Give them on ``EVT_REQUESTED``.

    Parameters
    ----------
    admit
        Called with each request, in its connection's thread: None to admit it, or how to reject it.
    left
        Called once for each admitted request, when its association's thread ends, however it does.
    refused
        Called for each connection that shows no request: (address, the sentence, whether TLS refused it).
    tls
        What connections are secured with; None for none.
    largest_dataset_bytes
        Beyond it a data set is not kept; together all associations may hold twice that.

    Raises
    ------
    OSError
        If the address cannot be bound or its name not be resolved.
    """

    request_queue_size = 128
    daemon_threads = True  # else closing the server would wait for connections that wait for their peers

    def __init__(
        self,
        entity: AE,
        address: tuple[str, int],
        handlers: list[EventHandlerType],
        *,
        admit: Callable[[AssociationRequest], Rejection | None],
        left: Callable[[AssociationRequest], None],
        refused: Callable[[str, str, bool], None],
        tls: ssl.SSLContext | None,
        largest_dataset_bytes: int,
    ) -> None:
        self._admit = admit
        self.left = left
        self._refused = refused
        self._tls = tls
        self.largest_dataset_bytes = largest_dataset_bytes
        self.budget = DataBudget(2 * largest_dataset_bytes)
        self._waiting = WaitingRoom()
        super().__init__(entity, address, entity.ae_title, [], evt_handlers=handlers)
        entity._servers.append(self)  # as AE.start_server does; `shutdown` takes it away again

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Hear one connection out, and begin its association if it is admitted."""
        try:
            self._hear(request, client_address)
        except RefusedConnectionError as error:
            self._refused(str(client_address[0]), str(error), isinstance(error, RefusedCertificateError))
        except Exception as error:  # noqa: BLE001 - one line, whatever it was
            _LOG.warning("A connection is closed: %s.", type(error).__name__)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say in one line that a connection could not be served; the stock method prints a traceback."""
        _LOG.error("A connection could not be given a thread and is closed.")

    def shutdown(self) -> None:
        """Take no more connections and drop those that wait; associations go on."""
        super().shutdown()
        self._waiting.close()

    def _hear(self, connection: socket.socket, client_address: Any) -> None:  # noqa: ANN401
        address = str(client_address[0])
        deadline_s = time.monotonic() + (self.ae.acse_timeout or ASSOCIATE_TIMEOUT_S)
        handed_over = False
        try:
            if self._tls is not None:
                # Nothing is read here: the accepting thread and this one stay free of the peer until it has a place.
                connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            with self._waiting.place(connection, address):
                if isinstance(connection, ssl.SSLSocket):
                    shake_hands(connection, deadline_s)
                asked = read_request(connection, address, deadline_s)
            rejection = self._admit(asked)
            if rejection is not None:
                reject(connection, result=rejection.result, source=rejection.source, reason=rejection.reason)
                return
            try:
                _check_decodable(asked, connection)
                BoundedRequestHandler(connection, client_address, self, asked)
            except BaseException:
                self.left(asked)
                raise
            handed_over = True
        finally:
            if not handed_over:
                with contextlib.suppress(OSError):
                    connection.close()
