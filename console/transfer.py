"""Snapshots from one process to another: what is immutable and large crosses once and stays the same object.

The screen tells by identity what it has drawn already, and a map of 10 MB need not cross with every image that arrives.
So the nouns in `SHARED` are sent the first time that something names them, and named by a number from then on; when
a snapshot that is sent names one no more, both sides forget it.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from config.plan import TreatmentPlan
from config.settings import Settings
from console.snapshot import Anatomy, GivenStructures, ImagedSeries, Snapshot
from dicom_listener.decoding_frames import Channel, NonsenseError
from dicom_listener.events import Event
from dicom_listener.images import SeriesState
from quantify.findings import FractionMaps, FractionResult
from quantify.holmium import FittedSeries
from quantify.model import EchoSeries, Grid, ParametricMap, Volume
from quantify.r2star import DecayFit

SHARED = (
    Anatomy,
    DecayFit,
    EchoSeries,
    Event,
    FittedSeries,
    FractionMaps,
    FractionResult,
    GivenStructures,
    Grid,
    ImagedSeries,
    ParametricMap,
    SeriesState,
    Settings,
    TreatmentPlan,
    Volume,
)
"""Nouns that are told apart by identity, or that every snapshot would repeat."""

_SHARED_TYPES = frozenset(SHARED)
"""Asked of every part of every snapshot: none of them has a subclass."""
_OBJECT, _VALUE = b"object", b"value"
_LIMIT_BYTES = 8 << 30


@dataclass(frozen=True)
class _Sent:
    """What the other side holds under a number; held here too, so that no other object can take its identity."""

    token: int
    noun: object
    names: frozenset[int]
    """Tokens of what it names itself."""


class Sender:
    """The sending end. Used by one thread at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: dict[int, _Sent] = {}
        self._next = 0

    def send(self, value: object) -> None:
        """Send a value and whatever shared nouns it needs.

        Raises
        ------
        dicom_listener.decoding_frames.EndedError
            If the other side is gone.
        """
        named: set[int] = set()
        parts = self._packed(value, named)
        # What is told between two snapshots, such as the time, says nothing of what the next one will name.
        alive = self._closure(named) if isinstance(value, Snapshot) else {sent.token for sent in self._known.values()}
        forgotten = [sent.token for sent in self._known.values() if sent.token not in alive]
        self._known = {key: sent for key, sent in self._known.items() if sent.token in alive}
        self._channel.send([_VALUE, pickle.dumps(forgotten), *parts])

    def _packed(self, value: object, named: set[int]) -> list[bytes | memoryview]:
        buffers: list[pickle.PickleBuffer] = []
        stream = io.BytesIO()
        _Pickler(stream, self, value, named, buffers).dump(value)
        return [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]

    def token_of(self, noun: object) -> int:
        """The number of a shared noun, which is sent now if it never was."""
        known = self._known.get(id(noun))
        if known is None:
            named: set[int] = set()
            parts = self._packed(noun, named)
            self._next += 1
            known = _Sent(self._next, noun, frozenset(named))
            self._known[id(noun)] = known
            self._channel.send([_OBJECT, str(known.token).encode(), *parts])
        return known.token

    def _closure(self, tokens: Iterable[int]) -> set[int]:
        names = {sent.token: sent.names for sent in self._known.values()}
        alive: set[int] = set()
        waiting = list(tokens)
        while waiting:
            token = waiting.pop()
            if token not in alive:
                alive.add(token)
                waiting.extend(names[token])
        return alive


class _Pickler(pickle.Pickler):
    def __init__(
        self, stream: io.BytesIO, sender: Sender, root: object, named: set[int], buffers: list[pickle.PickleBuffer]
    ) -> None:
        super().__init__(stream, protocol=5, buffer_callback=buffers.append)
        self._sender, self._root, self._named = sender, root, named

    def persistent_id(self, value: object) -> int | None:
        """Name shared nouns by their number, but for the one that is being sent."""
        if type(value) not in _SHARED_TYPES or value is self._root:
            return None
        token = self._sender.token_of(value)
        self._named.add(token)
        return token


class Receiver:
    """The receiving end. Used by one thread at a time; arrays that it gives are read-only."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._held: dict[int, object] = {}

    def receive(self) -> Any:  # noqa: ANN401 - whatever the other side sends
        """Wait for the next value.

        Raises
        ------
        dicom_listener.decoding_frames.EndedError
            If the other side is gone.
        dicom_listener.decoding_frames.NonsenseError
            If what came cannot be read; neither can what follows.
        """
        while True:
            message = self._channel.receive(limit_bytes=_LIMIT_BYTES)
            try:
                kind, head, *parts = message
                value = self._unpacked(parts)
                if bytes(kind) == _VALUE:
                    for token in pickle.loads(head):
                        del self._held[token]
                    return value
                self._held[int(bytes(head))] = value
            # A pickle of another version, or with a noun that never came, raises nearly anything.
            except Exception as error:
                raise NonsenseError(f"A message cannot be read ({type(error).__name__}: {error}).") from error

    def _unpacked(self, parts: list[memoryview]) -> object:
        return _Unpickler(io.BytesIO(parts[0]), self._held, parts[1:]).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, held: dict[int, object], buffers: list[memoryview]) -> None:
        super().__init__(stream, buffers=buffers)
        self._held = held

    def persistent_load(self, token: int) -> object:
        """Return the noun that was sent under this number."""
        return self._held[token]
