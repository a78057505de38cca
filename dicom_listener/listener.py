"""The node that the scanner sends to: a Storage SCP that acknowledges an instance only when it is durable.

pynetdicom carries the protocol; what becomes of an instance is decided in `admission`. The handlers only validate,
commit and answer. Nothing of a patient is logged.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu_primitives import A_ABORT
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from config.plan import PatientPlan
from config.settings import SiteSettings
from dicom_listener.access import Ration, refused_access
from dicom_listener.admission import Admission, Admitted, CommandUids, Fate
from dicom_listener.association_log import log_closed, log_instance, log_opened, log_refused
from dicom_listener.associations import Associations, OpenAssociation
from dicom_listener.connections import AssociationRequest
from dicom_listener.events import Kind
from dicom_listener.expected_patient import ExpectedPatient
from dicom_listener.memory import keep_memory_small
from dicom_listener.record import Record, RecordError
from dicom_listener.series_silence import SeriesSilence
from dicom_listener.services import address_error, application_entity
from dicom_listener.statuses import (
    CLASS_NOT_SUPPORTED,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    Rejection,
    StoreStatus,
)
from dicom_listener.tls import TlsError, server_context
from dicom_listener.transport import CLOSING_TIMEOUT_S, BoundedServer, drop, has_answered, messages_of, socket_of

_LOG = logging.getLogger(__name__)

ACTOR = "listener"
_MEGABYTE = 1_000_000
_TICK_S = 0.1
"""How often silences are looked for."""
_SETTLE_TICKS = 10
"""Ticks between attempts to write events that the disk did not take."""
_STOP_PATIENCE_S = 5.0
"""How long `stop` waits for what is in hand to be answered, and again for the associations' threads to end."""
_POLL_S = 0.001
_REFUSALS_AT_ONCE, _REFUSAL_EVERY_S = 600, 10.0
"""Refusals that the treatment file takes; all are in the log. A peer of no list must not fill the disk."""


class ListenerError(Exception):
    """The listener could not start; the text is a sentence for the user."""


def check_address(settings: SiteSettings) -> None:
    """Find out whether a listener could start here, without starting one.

    Raises
    ------
    ListenerError
        As `Listener.start`, for the address and the certificate.
    """
    try:
        if settings.tls:
            server_context(settings)
        where = AddressInformation(settings.host, settings.port)
        with socket.socket(where.address_family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where.as_tuple)
    except TlsError as error:
        raise ListenerError(str(error)) from error
    except (OSError, UnicodeError) as error:
        raise ListenerError(address_error(settings, error)) from error


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
        Whom the instances must be of, for good or as the file says at any time; None takes all.
    clock
        The time, aware, for the events.
    incomplete_after_s
        A silence of a series is recorded a second time so much later; 0 for never.
    same_pixels
        Compares the pixels of two Part-10 files with one UID; None compares in this process what needs no native codec.
    """

    def __init__(
        self,
        record: Record,
        quarantine_factory: Callable[[], Record],
        settings: SiteSettings,
        patient: PatientPlan | ExpectedPatient | None,
        clock: Callable[[], datetime],
        *,
        incomplete_after_s: float = 30.0,
        same_pixels: Callable[[bytes, bytes], bool] | None = None,
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
            same_pixels=same_pixels,
        )
        self._silence = SeriesSilence(settings.series_quiet_s, record, incomplete_after_s)
        self._associations = Associations(settings.maximum_associations)
        self._refusals = Ration(_REFUSALS_AT_ONCE, _REFUSAL_EVERY_S)
        self._run = 0
        self._numbers = itertools.count(1)
        self._stopping = threading.Event()
        self._server: BoundedServer | None = None
        self._contexts: list[PresentationContext] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> int:
        """Bind, record ``listener_started``, serve in the background; return the bound port.

        Raises
        ------
        ListenerError
            If the address cannot be used, or TLS not be set up; in one sentence.
        RecordError
            If the treatment file cannot be written.
        """
        keep_memory_small()
        settings = self._settings
        entity = application_entity(settings)
        self._contexts = entity.supported_contexts
        handlers: list[EventHandlerType] = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_ACSE_RECV, self._on_upper_layer),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_aborted),
        ]
        try:
            server = BoundedServer(
                entity,
                (settings.host, settings.port),
                handlers,
                admit=self._admit,
                left=self._left,
                refused=self._not_an_association,
                tls=server_context(settings) if settings.tls else None,
                largest_dataset_bytes=settings.maximum_dataset_mb * _MEGABYTE,
            )
        except TlsError as error:
            raise ListenerError(str(error)) from error
        except (OSError, UnicodeError) as error:  # the latter for what can be no name at all
            raise ListenerError(address_error(settings, error)) from error
        port = int(server.server_address[1])
        try:
            started = self._record.append(
                Kind.LISTENER_STARTED, {"ae_title": settings.ae_title, "port": port}, actor=ACTOR, utc=self._clock()
            ).seq
        except RecordError:
            server.server_close()
            raise
        self._server = server
        self._run = started
        self._threads = [
            threading.Thread(target=self._until_stopped, args=(work,), name=name, daemon=True)
            for name, work in (
                ("holmia-listener", lambda: server.serve_forever(_TICK_S)),
                ("holmia-listener-watch", self._watch),
            )
        ]
        for thread in self._threads:
            thread.start()
        return port

    def stop(self) -> None:
        """Take nothing more, answer the instances in hand, end all associations, close the quarantine.

        Every instance that was acknowledged is in the file. It takes no longer than a few times `_STOP_PATIENCE_S`
        beside the disk's time, whatever the peers do: an instance that is compared for longer is not answered. Calling
        it again does nothing.
        """
        if self._server is None or self._stopping.is_set():
            return
        self._stopping.set()
        self._associations.stop()
        self._server.shutdown()
        _wait_until(lambda: self._associations.negotiating == 0)
        remaining = self._associations.all_open()
        deadline_s = time.monotonic() + _STOP_PATIENCE_S
        # Waits for the instances in hand. Where that is in vain no end is recorded: it would come before the instance.
        ended = [
            state
            for state in remaining
            if self._close(state, "aborted", patience_s=max(0.0, deadline_s - time.monotonic()))
        ]
        _wait_until(lambda: all(has_answered(state.association) for state in ended))
        for state in ended:
            with contextlib.suppress(Exception):  # the peer may have gone in between
                state.association.abort(block=False)
        _wait_until(lambda: all(has_answered(state.association) for state in ended))
        for state in remaining:
            drop(state.association)
        _wait_until(lambda: not any(state.association.is_alive() for state in remaining))
        for thread in self._threads:
            thread.join(timeout=_STOP_PATIENCE_S)
        self._append(Kind.LISTENER_STOPPED)
        self._admission.close()

    def _admit(self, request: AssociationRequest) -> Rejection | None:
        rejection = refused_access(request, self._settings) or self._associations.place(request)
        if rejection is not None:
            log_refused(rejection.why, address=request.address, request=request)
            self._record_refusal(request.calling_ae, request.called_ae, request.address, rejection.why)
        return rejection

    def _not_an_association(self, address: str, why: str, by_tls: bool) -> None:
        log_refused(why, address=address)
        if by_tls:
            self._record_refusal("", "", address, why)

    def _record_refusal(self, calling_ae: str, called_ae: str, address: str, why: str) -> None:
        if self._refusals.take(time.monotonic()):
            self._append(Kind.ASSOCIATION_REFUSED, calling_ae=calling_ae, called_ae=called_ae, address=address, why=why)

    def _left(self, request: AssociationRequest) -> None:
        self._close_of(request, None)  # the association's thread has ended, however it did
        self._associations.left(request)

    def _on_requested(self, event: Event) -> None:
        event.assoc.acceptor.supported_contexts = self._contexts

    def _on_accepted(self, event: Event) -> None:
        association = event.assoc
        request = socket_of(association).request
        association.dul.artim_timer.timeout = CLOSING_TIMEOUT_S
        # The name is unique in the file: no two runs begin with the same event.
        name = f"network-{self._run}-{next(self._numbers)}"
        state = OpenAssociation(name=name, request=request, association=association, began_s=time.monotonic())
        with state.lock:  # whoever stops the listener meanwhile records the end after the beginning
            self._associations.opened(state)
            self._append(
                Kind.ASSOCIATION_OPENED,
                association=state.name,
                calling_ae=request.calling_ae,
                address=request.address,
            )
        log_opened(request, state.name)

    def _on_store(self, event: Event) -> int | Dataset:
        try:
            status = self._store(event)
        except Exception as error:  # noqa: BLE001 - a raising handler would be answered by an anonymous 0xC211
            _LOG.error("An instance could not be handled: %s", type(error).__name__)
            status = OUT_OF_RESOURCES.because("The instance could not be handled")
        if status.code == 0:
            return 0
        answer = Dataset()
        answer.Status = status.code
        answer.ErrorComment = status.comment
        return answer

    def _store(self, event: Event) -> StoreStatus:
        request = cast(C_STORE, event.request)
        state = self._associations.get(socket_of(event.assoc).request)
        if state is None:
            return NOT_AUTHORISED
        command = CommandUids(
            sop_class_uid=str(request.AffectedSOPClassUID or ""),
            sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
        )
        with state.lock:
            if state.closed:
                return OUT_OF_RESOURCES.because("The listener is stopping")
            admitted = self._admitted(event, state, command)
            state.fates[admitted.fate] += 1
            if admitted.fate is Fate.REFUSED:
                state.refused[admitted.status.code] += 1
            elif admitted.fate is Fate.STORED:
                self._silence.heard(admitted.series_instance_uid, time.monotonic())
        log_instance(
            state.name, sop_instance_uid=command.sop_instance_uid, fate=admitted.fate, status=admitted.status.code
        )
        return admitted.status

    def _admitted(self, event: Event, state: OpenAssociation, command: CommandUids) -> Admitted:
        overflow = messages_of(event.assoc).overflow
        status: StoreStatus | None = None
        if command.sop_class_uid != event.context.abstract_syntax:
            status = CLASS_NOT_SUPPORTED
        elif overflow is not None:
            status = OUT_OF_RESOURCES.because(overflow)
        if status is not None:
            self._admission.refuse(status, association=state.name)
            return Admitted(fate=Fate.REFUSED, status=status)
        data = event.encoded_dataset()
        cast(C_STORE, event.request).DataSet = None  # the received copy: one is enough while it is written
        return self._admission.admit(data, association=state.name, command=command)

    def _on_upper_layer(self, event: Event) -> None:
        # Tells a peer's A-ABORT from a lost connection, before EVT_ABORTED fires for both.
        if isinstance(getattr(event, "primitive", None), A_ABORT):
            state = self._associations.get(socket_of(event.assoc).request)
            if state is not None:
                state.how = "aborted"

    def _on_released(self, event: Event) -> None:
        self._close_of(socket_of(event.assoc).request, "released")

    def _on_aborted(self, event: Event) -> None:
        self._close_of(socket_of(event.assoc).request, None)

    def _close_of(self, request: AssociationRequest, how: str | None) -> None:
        state = self._associations.get(request)
        if state is not None:
            self._close(state, how or state.how)

    def _close(self, state: OpenAssociation, how: str, *, patience_s: float = -1.0) -> bool:
        """Record the end of an association, once; False if `patience_s` (-1: for ever) was not enough."""
        if not state.lock.acquire(timeout=patience_s):
            return False
        try:
            if state.closed:
                return True
            state.closed = True
            stored = state.fates[Fate.STORED]
            self._append(Kind.ASSOCIATION_CLOSED, association=state.name, how=how, instances=stored)
        finally:
            state.lock.release()
        seconds = time.monotonic() - state.began_s
        log_closed(state.request, state.name, how=how, fates=state.fates, refused=state.refused, seconds=seconds)
        self._associations.over(state.request)
        return True

    def _until_stopped(self, work: Callable[[], None]) -> None:
        """Go on with `work`, whatever it raises: a listener that runs and takes nothing would be noticed too late."""
        while not self._stopping.is_set():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - memory, or what the operating system refused
                _LOG.error("The listener failed and goes on: %s", type(error).__name__)
                self._stopping.wait(_TICK_S)

    def _watch(self) -> None:
        ticks = 0
        while not self._stopping.wait(_TICK_S):
            ticks += 1
            if ticks % _SETTLE_TICKS == 0:
                self._admission.settle()
            for silence in self._silence.fallen_quiet(time.monotonic()):
                self._append(
                    Kind.SERIES_QUIET,
                    series_instance_uid=silence.series_instance_uid,
                    seconds=silence.seconds,
                    instances=silence.instances,
                )

    def _append(self, kind: Kind, **payload: object) -> None:
        # A full disk must end neither the association nor the listener: what is not written now is written later.
        self._admission.events.append(kind, payload)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _STOP_PATIENCE_S
    while time.monotonic() < deadline_s and not condition():
        time.sleep(_POLL_S)
