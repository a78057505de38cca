"""Which associations there are: in negotiation, open, or over while the peer has not closed its connection yet."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace

from pynetdicom.association import Association

from dicom_listener.connections import AssociationRequest
from dicom_listener.statuses import STOPPING, TOO_MANY, Rejection

_LINGERING = 32
"""Associations that are over, but whose peer has not closed the connection: so many beside the site's own limit."""


@dataclass(kw_only=True, eq=False)
class OpenAssociation:
    """An association from acceptance to its end. `lock` orders its stores before its closing event."""

    name: str
    request: AssociationRequest
    association: Association
    began_s: float
    how: str = "connection_lost"
    fates: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Associations:
    """The places of a node, at most `maximum`, each known by the request it was given for. Thread-safe."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._negotiating: set[AssociationRequest] = set()
        self._open: dict[AssociationRequest, OpenAssociation] = {}
        self._lingering: set[AssociationRequest] = set()
        self._stopping = False

    def place(self, request: AssociationRequest) -> Rejection | None:
        """Take a place for an association, or say why there is none."""
        with self._lock:
            if self._stopping:
                return STOPPING
            if len(self._negotiating) + len(self._open) >= self._maximum or len(self._lingering) >= _LINGERING:
                return replace(TOO_MANY, why=f"There are {self._maximum} associations already.")
            self._negotiating.add(request)
        return None

    def stop(self) -> None:
        """Give no more places."""
        with self._lock:
            self._stopping = True

    def opened(self, state: OpenAssociation) -> None:
        """Note that an association was accepted."""
        with self._lock:
            self._negotiating.discard(state.request)
            self._open[state.request] = state

    def over(self, request: AssociationRequest) -> None:
        """Note that an association has ended; its place is free, its connection may not be."""
        with self._lock:
            if self._open.pop(request, None) is not None:
                self._lingering.add(request)

    def left(self, request: AssociationRequest) -> None:
        """Note that nothing of an association is left, not even a thread."""
        with self._lock:
            self._negotiating.discard(request)
            self._lingering.discard(request)

    def get(self, request: AssociationRequest) -> OpenAssociation | None:
        """Return the open association of a request."""
        with self._lock:
            return self._open.get(request)

    def all_open(self) -> list[OpenAssociation]:
        """Return the open associations."""
        with self._lock:
            return list(self._open.values())

    @property
    def negotiating(self) -> int:
        """How many are between their place and their acceptance."""
        with self._lock:
            return len(self._negotiating)

    @property
    def present(self) -> int:
        """How many there are of any kind."""
        with self._lock:
            return len(self._negotiating) + len(self._open) + len(self._lingering)
