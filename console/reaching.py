"""Can another node be reached: name, connection, TLS, association, echo, each step with its time or its reason."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationSocket

from config.settings import SiteSettings
from console.readiness import Finding, fail, ok
from dicom_listener.tls import TlsError, client_context, reason_in_words

_VERIFICATION = "1.2.840.10008.1.1"
_REJECTIONS = {
    (1, 1): "it gives no reason",
    (1, 2): "it does not support this application context",
    (1, 3): "it does not know the calling AE title {calling}: enter it on that node",
    (1, 7): "it is not called {called}: check the called AE title",
    (2, 2): "it does not support this protocol version",
    (3, 1): "it is congested for the moment: try again",
    (3, 2): "it has as many associations as it takes: try again",
}
"""(source, reason) of a rejection (PS3.8, table 9-21) in words."""


def reach(
    host: str, port: int, site: SiteSettings, *, called: str, calling: str, timeout_s: float
) -> Iterator[Finding]:
    """Go step by step to a C-ECHO; ends with the first step that fails."""
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
    except (OSError, UnicodeError):  # the latter for what can be no name at all
        yield fail("name", f"{host} cannot be resolved to an address; check the name, or give the address.")
        return
    yield ok("name", f"{host} is {address[0]}")
    started = time.perf_counter()
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except TimeoutError:
        yield fail(
            "connection", f"{host}:{port} does not answer within {timeout_s:g} s; a firewall, or the wrong address?"
        )
        return
    except OSError as error:
        yield fail("connection", f"{host}:{port} refuses: {error.strerror or error}; does the node run, on that port?")
        return
    yield ok("connection", f"{host}:{port} accepts, {_ms(started)}")
    context = None
    if site.tls:
        try:
            context = client_context(site)
        except TlsError as error:
            yield fail("TLS", str(error))
            return
        started = time.perf_counter()
        try:
            with (
                socket.create_connection((host, port), timeout=timeout_s) as plain,
                context.wrap_socket(plain, server_hostname=None) as secured,
            ):
                yield ok("TLS", f"{secured.version()}, {(secured.cipher() or ('?',))[0]}, {_ms(started)}")
        except OSError as error:
            yield fail("TLS", f"The handshake with {host}:{port} failed: {reason_in_words(error)}")
            return
    yield from _echo(host, port, context, called=called, calling=calling, timeout_s=timeout_s)


def _echo(
    host: str, port: int, context: ssl.SSLContext | None, *, called: str, calling: str, timeout_s: float
) -> Iterator[Finding]:
    rejections: list[str] = []

    def rejected(event: Event) -> None:
        rejections.append(rejection_in_words(event.assoc.acceptor.primitive, called=called, calling=calling))

    carriers: list[socket.socket] = []

    def opened(event: Event) -> None:
        carriers.append(cast(socket.socket, cast(AssociationSocket, event.assoc.dul.socket).socket))

    handlers: list[EventHandlerType] = [(evt.EVT_REJECTED, rejected), (evt.EVT_CONN_OPEN, opened)]
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
    entity.connection_timeout = timeout_s
    entity.add_requested_context(_VERIFICATION)
    started = time.perf_counter()
    association = entity.associate(
        host,
        port,
        ae_title=called,
        evt_handlers=handlers,
        tls_args=None if context is None else (context, None),  # type: ignore[arg-type]
    )
    if not association.is_established:
        for carrier in carriers:  # pynetdicom leaves it open where the peer has gone first
            carrier.close()
        if rejections:
            yield fail("association", f"{called} at {host}:{port} rejected the association: {rejections[0]}.")
        elif association.acceptor.primitive is not None:
            yield fail("association", f"{called} at {host}:{port} accepts associations, but no verification.")
        elif time.perf_counter() - started >= timeout_s:
            yield fail("association", f"{host}:{port} accepts connections, but did not answer within {timeout_s:g} s.")
        else:
            # With TLS 1.3 the other side looks at our certificate only after our handshake is over.
            doubt = "with TLS off" if context is None else "with TLS on, and does it accept this node's certificate"
            yield fail(
                "association",
                f"{host}:{port} ended the connection without an answer; is it a DICOM node, {doubt}?",
            )
        return
    yield ok("association", f"{called} accepts {calling}, {_ms(started)}")
    started = time.perf_counter()
    keep_answers(association)
    status = association.send_c_echo()
    association.release()
    if "Status" in status and status.Status == 0:
        yield ok("echo", f"answered, {_ms(started)}")
    elif "Status" in status:
        yield fail("echo", f"{called} answered the echo with status 0x{status.Status:04X}.")
    else:
        yield fail("echo", f"{called} did not answer the echo within {timeout_s:g} s.")


def rejection_in_words(answer: A_ASSOCIATE | None, *, called: str, calling: str) -> str:
    """Why a node rejected an association, and what to do about it, as the end of a sentence."""
    source = (0, 0) if answer is None else (int(answer.result_source or 0), int(answer.diagnostic or 0))
    why = _REJECTIONS.get(source, "it gives a reason that is unknown here")
    return why.format(called=called, calling=calling)


def keep_answers(association: Association) -> None:
    """Leave every answer to the call that waits for it.

    pynetdicom's own thread looks, without waiting, for requests of the peer, which a sender never gets; held up at
    the wrong moment on a busy machine it takes an answer instead and drops it.
    """
    provider = association.dimse
    receive = provider.get_msg
    provider.get_msg = lambda block=False: receive(block=True) if block else (None, None)  # type: ignore[method-assign]


def _ms(started: float) -> str:
    return f"{1000 * (time.perf_counter() - started):.0f} ms"
