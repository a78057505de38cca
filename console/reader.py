"""Who reads what peers sent: this process, or one of its own (`dicom_listener.decoding.DecodingProcess`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from dicom_listener.decode import decode
from dicom_listener.images import DecodedInstance, StructureSet
from dicom_listener.label_map import given_label_map


class Reader(Protocol):
    """Reads objects; never raises for what is in them."""

    def decode(self, data: bytes, *, time_zone: ZoneInfo) -> DecodedInstance:
        """Return what a Part-10 file holds; times without an offset are in `time_zone`."""

    def given_label_map(self, payload: Mapping[str, Any], data: bytes) -> StructureSet:
        """Return the volumes of a label map, as the event that brought it names them."""


class InThisProcess:
    """Reads here: for tests, and for files that Holmia itself wrote. A hostile object can take this process down."""

    def decode(self, data: bytes, *, time_zone: ZoneInfo) -> DecodedInstance:
        """As `dicom_listener.decode.decode`."""
        return decode(data, time_zone=time_zone)

    def given_label_map(self, payload: Mapping[str, Any], data: bytes) -> StructureSet:
        """As `dicom_listener.label_map.given_label_map`."""
        return given_label_map(payload, data)


class RememberingReader:
    """Reads each object once, for a file that is read again and again: what it holds stays in memory."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._read: dict[tuple[str, str], DecodedInstance] = {}

    def decode(self, data: bytes, *, time_zone: ZoneInfo) -> DecodedInstance:
        """As the reader that it asks, the same object for the same bytes."""
        key = hashlib.sha256(data).hexdigest(), time_zone.key
        if key not in self._read:
            self._read[key] = self._reader.decode(data, time_zone=time_zone)
        return self._read[key]

    def given_label_map(self, payload: Mapping[str, Any], data: bytes) -> StructureSet:
        """As the reader that it asks."""
        return self._reader.given_label_map(payload, data)
