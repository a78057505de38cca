"""The node that the scanner sends to: a Storage SCP that acknowledges an instance only when it is durable.

pynetdicom carries the protocol; what becomes of an instance is decided in `admission`. The handlers only validate,
commit and answer. Nothing of a patient is logged.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from config.plan import PatientPlan
from config.settings import SiteSettings
from dicom_listener.admission import Admission, CommandUids, Fate
from dicom_listener.events import Kind
from dicom_listener.instance_header import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, LOSSLESS
from dicom_listener.record import Record, RecordError
from dicom_listener.series_silence import SeriesSilence
from dicom_listener.statuses import CLASS_NOT_SUPPORTED, NOT_AUTHORISED, OUT_OF_RESOURCES, StoreStatus
from dicom_listener.transport import LARGEST_DATASET_BYTES, BoundedServer

_LOG = logging.getLogger(__name__)

ACTOR = "listener"
_VERIFICATION = "1.2.840.10008.1.1"
_RUN_LOOP_DELAY_S = 1e-4
"""Of pynetdicom's polling loop, 1e-3 by default: with TCP_QUICKACK, 423 instances/s instead of 22 (measured)."""
_TICK_S = 0.1
"""How often silences and vanished associations are looked for."""
_STOP_PATIENCE_S = 5.0
"""How long `stop` waits for an association's thread to end."""
_ASSOCIATE_TIMEOUT_S = 10.0
"""A peer that connects without asking for an association is dropped (ARTIM timer, PS3.8 9.1.5)."""

# The default handlers format every PDU and message for the log, on the hot path.
_config.LOG_HANDLER_LEVEL = "none"


class ListenerError(Exception):
    """The listener could not start; the text is a sentence for the user."""


@dataclass(kw_only=True, eq=False)
class _Open:
    """An association from acceptance to its end. `lock` orders its stores before its closing event."""

    name: str
    association: Association
    how: str = "connection_lost"
    stored: int = 0
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Listener:
    """A Storage SCP for one treatment file.

    Parameters
    ----------
    record
        The treatment file, open for writing; stays the caller's.
    quarantine_factory
        Opens or creates the quarantine file, when first needed.
    settings
        The site's node and limits.
    patient
        Whom the instances must be of; None takes all.
    clock
        The time, aware, for the events.
    """

    def __init__(
        self,
        record: Record,
        quarantine_factory: Callable[[], Record],
        settings: SiteSettings,
        patient: PatientPlan | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._record = record
        self._settings = settings
        self._clock = clock
        self._admission = Admission(
            record,
            quarantine_factory,
            patient,
            clock,
            actor=ACTOR,
            minimum_free_mb=settings.minimum_free_disk_mb,
        )
        self._silence = SeriesSilence(settings.series_quiet_s, record)
        self._open: dict[Association, _Open] = {}
        self._open_lock = threading.Lock()
        self._run = 0
        self._accepted = 0
        self._stopping = threading.Event()
        self._server: BoundedServer | None = None
        self._contexts: list[PresentationContext] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> int:
        """Bind, record ``listener_started``, serve in the background; return the bound port.

        Raises
        ------
        ListenerError
            If the address cannot be bound.
        RecordError
            If the treatment file cannot be written.
        """
        settings = self._settings
        entity = _application_entity(settings)
        self._contexts = entity.supported_contexts
        handlers: list[EventHandlerType] = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_REJECTED, self._on_rejected),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_ACSE_RECV, self._on_upper_layer),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_aborted),
        ]
        try:
            server = BoundedServer(entity, (settings.host, settings.port), handlers)
        except OSError as error:
            raise ListenerError(
                f"The listener cannot use {settings.host} port {settings.port}: {error.strerror or error}; "
                "choose another port, or stop what uses it."
            ) from error
        port = int(server.server_address[1])
        try:
            started = self._append(Kind.LISTENER_STARTED, ae_title=settings.ae_title, port=port)
        except RecordError:
            server.server_close()
            raise
        self._server = server
        self._run = started
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(_TICK_S,), name="holmia-listener", daemon=True),
            threading.Thread(target=self._watch, name="holmia-listener-watch", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return port

    def stop(self) -> None:
        """Take nothing more, let instances that are being stored finish, end all associations, close the quarantine.

        Every instance that was acknowledged is in the file. Calling it again does nothing.
        """
        if self._server is None or self._stopping.is_set():
            return
        self._stopping.set()
        self._server.shutdown()
        with self._open_lock:
            remaining = list(self._open.values())
        for state in remaining:
            self._close(state, "aborted")  # waits for the instance in hand
            with contextlib.suppress(Exception):  # the peer may have gone in between
                state.association.abort()
        for thread in [*self._threads, *(state.association for state in remaining)]:
            thread.join(timeout=_STOP_PATIENCE_S)
        self._admission.close()
        self._try_append(Kind.LISTENER_STOPPED)

    def _on_requested(self, event: Event) -> None:
        # Before pynetdicom negotiates, so that the reason is known here and recorded.
        calling, called = _titles(event.assoc)
        address = event.assoc.requestor.address
        settings = self._settings
        with self._open_lock:
            full = len(self._open) >= settings.maximum_associations
        # Result, source and reason of PS3.8, table 9-21.
        if settings.require_called_ae_title and called != settings.ae_title.strip():
            refusal, why = (1, 1, 7), "The called AE title is not this node's."
        elif settings.calling_ae_titles and calling not in settings.calling_ae_titles:
            refusal, why = (1, 1, 3), "The calling AE title is not on the list of the site."
        elif settings.calling_addresses and not is_listed(address, settings.calling_addresses):
            refusal, why = (1, 1, 1), "The address is not on the list of the site."
        elif self._stopping.is_set():
            refusal, why = (2, 3, 1), "The listener is stopping."
        elif full:
            refusal, why = (2, 3, 2), f"There are {settings.maximum_associations} associations already."
        else:
            event.assoc.acceptor.supported_contexts = deepcopy(self._contexts)
            return
        event.assoc.acse.send_reject(*refusal)
        self._refused(event, why)
        event.assoc.kill()

    def _on_rejected(self, event: Event) -> None:
        self._refused(event, "Too many connections at once.")  # what pynetdicom itself rejects for

    def _refused(self, event: Event, why: str) -> None:
        calling, called = _titles(event.assoc)
        self._try_append(
            Kind.ASSOCIATION_REFUSED,
            calling_ae=calling,
            called_ae=called,
            address=event.assoc.requestor.address,
            why=why,
        )

    def _on_accepted(self, event: Event) -> None:
        association = event.assoc
        association.dul._run_loop_delay = _RUN_LOOP_DELAY_S
        with self._open_lock:
            self._accepted += 1
            # Unique in the file: no two runs begin with the same event.
            state = _Open(name=f"network-{self._run}-{self._accepted}", association=association)
            self._open[association] = state
        self._try_append(
            Kind.ASSOCIATION_OPENED,
            association=state.name,
            calling_ae=_titles(association)[0],
            address=association.requestor.address,
        )

    def _on_store(self, event: Event) -> int | Dataset:
        try:
            status = self._store(event)
        except Exception:  # noqa: BLE001 - a raising handler would be answered by an anonymous 0xC211
            _LOG.exception("An instance could not be handled")
            status = OUT_OF_RESOURCES.because("The instance could not be handled")
        if status.code == 0:
            return 0
        answer = Dataset()
        answer.Status = status.code
        answer.ErrorComment = status.comment
        return answer

    def _store(self, event: Event) -> StoreStatus:
        with self._open_lock:
            state = self._open.get(event.assoc)
        if state is None:
            return NOT_AUTHORISED
        request = cast(C_STORE, event.request)
        command = CommandUids(
            sop_class_uid=str(request.AffectedSOPClassUID or ""),
            sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
        )
        with state.lock:
            if state.closed:
                return OUT_OF_RESOURCES.because("The listener is stopping")
            if command.sop_class_uid != event.context.abstract_syntax:
                self._admission.refuse(CLASS_NOT_SUPPORTED, association=state.name)
                return CLASS_NOT_SUPPORTED
            if getattr(event.assoc.dimse, "overflowed", False):
                status = OUT_OF_RESOURCES.because(f"The data set is larger than {LARGEST_DATASET_BYTES >> 20} MiB")
                self._admission.refuse(status, association=state.name)
                return status
            admitted = self._admission.admit(event.encoded_dataset(), association=state.name, command=command)
            if admitted.fate is Fate.STORED:
                state.stored += 1
                self._silence.heard(admitted.series_instance_uid, time.monotonic())
        return admitted.status

    def _on_upper_layer(self, event: Event) -> None:
        # Tells a peer's A-ABORT from a lost connection, before EVT_ABORTED fires for both.
        if isinstance(getattr(event, "primitive", None), A_ABORT):
            with self._open_lock:
                state = self._open.get(event.assoc)
            if state is not None:
                state.how = "aborted"

    def _on_released(self, event: Event) -> None:
        self._close_of(event.assoc, "released")

    def _on_aborted(self, event: Event) -> None:
        self._close_of(event.assoc, None)

    def _close_of(self, association: Association, how: str | None) -> None:
        with self._open_lock:
            state = self._open.get(association)
        if state is not None:
            self._close(state, how or state.how)

    def _close(self, state: _Open, how: str) -> None:
        with state.lock:
            if state.closed:
                return
            state.closed = True
            self._try_append(Kind.ASSOCIATION_CLOSED, association=state.name, how=how, instances=state.stored)
        with self._open_lock:
            self._open.pop(state.association, None)

    def _watch(self) -> None:
        while not self._stopping.wait(_TICK_S):
            for series, instances in self._silence.fallen_quiet(time.monotonic()):
                self._try_append(
                    Kind.SERIES_QUIET,
                    series_instance_uid=series,
                    seconds=self._settings.series_quiet_s,
                    instances=instances,
                )
            with self._open_lock:
                vanished = [state for state in self._open.values() if not state.association.is_alive()]
            for state in vanished:
                self._close(state, state.how)

    def _append(self, kind: Kind, **payload: object) -> int:
        return self._record.append(kind, payload, actor=ACTOR, utc=self._clock()).seq

    def _try_append(self, kind: Kind, **payload: object) -> None:
        # A full disk must end neither the association nor the listener: stores are answered 0xA700 by themselves.
        try:
            self._append(kind, **payload)
        except RecordError as error:
            _LOG.error("An event %s was not recorded: %s", kind, error)


def _titles(association: Association) -> tuple[str, str]:
    """Return the calling and the called AE title of a requested association."""
    request = cast(A_ASSOCIATE, association.requestor.primitive)
    return (request.calling_ae_title or "").strip(), (request.called_ae_title or "").strip()


def is_listed(address: str, listed: tuple[str, ...]) -> bool:
    """Return whether `address` is one of `listed`: addresses, or networks such as 10.1.0.0/16."""
    with contextlib.suppress(ValueError):
        peer = ipaddress.ip_address(address)
        peer = getattr(peer, "ipv4_mapped", None) or peer
        for entry in listed:
            with contextlib.suppress(ValueError):
                if peer in ipaddress.ip_network(entry, strict=False):
                    return True
    return address in listed


def _application_entity(settings: SiteSettings) -> AE:
    entity = AE(ae_title=settings.ae_title)
    entity.maximum_pdu_size = settings.maximum_pdu_bytes
    # Connections, not associations: those are counted in `_on_requested`, so that idle connections cannot block.
    entity.maximum_associations = 1_000_000
    entity.acse_timeout = min(_ASSOCIATE_TIMEOUT_S, settings.network_timeout_s)
    entity.dimse_timeout = settings.network_timeout_s
    entity.network_timeout = settings.network_timeout_s
    syntaxes = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]
    if settings.compressed_transfer_syntaxes:
        syntaxes += sorted(LOSSLESS)
    entity.add_supported_context(_VERIFICATION)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), syntaxes)
    return entity
