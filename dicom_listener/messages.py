"""Messages that are put together from a peer's fragments, within bounds that pynetdicom does not have.

One message at a time: the next is read when the one before has been answered (the asynchronous operations window is
never negotiated, PS3.7 D.3.3.3), so that a peer that does not wait for answers fills its own buffers and not ours.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections import Counter
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, C_ECHO, C_STORE
from pynetdicom.pdu_primitives import P_DATA

_LOG = logging.getLogger(__name__)

_COMMAND = 1
"""Bit of a fragment's control header: it belongs to the command, not the data set (PS3.8, E.2)."""
_LARGEST_COMMAND_BYTES = 1 << 16
"""A C-STORE request has about 250 bytes."""
_SLOWEST_BYTES_PER_S = 10_000
"""A message may take the network time-out, and so much longer as its bytes need at this rate."""
_MANY_FRAGMENTS, _SMALLEST_MEAN_BYTES = 1000, 64
"""A message of so many PDUs has to have so much in each: senders fill theirs, with 4 kB at least."""
_POLL_S = 0.001


class MessageError(Exception):
    """A peer's fragments make no message that is taken here; the text is a sentence without any of their content."""


class DataBudget:
    """Bytes of data sets in hand over all associations together. Safe to share between threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes: Counter[object] = Counter()
        self._lock = threading.Lock()

    @property
    def left_bytes(self) -> int:
        """How many more bytes may be held."""
        with self._lock:
            return self._limit_bytes - self._held_bytes.total()

    def take(self, holder: object, amount: int) -> bool:
        """Return whether `holder` may hold `amount` more bytes; it holds them then."""
        with self._lock:
            if self._held_bytes.total() + amount > self._limit_bytes:
                return False
            self._held_bytes[holder] += amount
            return True

    def give_back(self, holder: object) -> None:
        """Let `holder` hold nothing."""
        with self._lock:
            del self._held_bytes[holder]


class BoundedMessages(DIMSEServiceProvider):
    """Assembles C-ECHO and C-STORE requests; of a data set beyond the limits only the rest is counted."""

    def __init__(self, association: Association, budget: DataBudget, largest_bytes: int) -> None:
        super().__init__(association)
        self._budget = budget
        self._largest_bytes = largest_bytes
        self._received_bytes = 0
        self._command_bytes = 0
        self._pdus = 0
        self._began_s = 0.0
        self._in_hand = self._serving = False
        self.overflow: str | None = None
        """Why the data set of the message in hand was not kept; None if it was."""

    @property
    def idle(self) -> bool:
        """Whether every request has been served: its answer is on its way."""
        return not self._in_hand

    def get_msg(self, block: bool = False) -> tuple[Any, Any]:
        """Return the next message; asking for it says that the one before has been served."""
        if self._serving:
            self.release()
            self._in_hand = self._serving = False  # last: the other thread goes on to the next message then
        context_id, message = super().get_msg(block)
        self._serving = message is not None
        return context_id, message

    def release(self) -> None:
        """Give back what the budget holds for this association."""
        self._budget.give_back(self)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the next fragments of the message in hand (PS3.8, annex E); broken ones end the association."""
        try:
            message = self.message or self._begun()
            self._bound(primitive, message)
            if message.decode_msg(primitive, self.assoc):
                self.message = None
                self._complete(message)
        except MessageError as error:
            _LOG.warning("An association is ended: %s", error)
            self.dul.event_queue.put("Evt19")  # unrecognised or invalid PDU
        except Exception as error:  # noqa: BLE001 - whatever a peer's bytes raise would end the thread without a word
            _LOG.warning("An association is ended: a message cannot be decoded (%s).", type(error).__name__)
            self.dul.event_queue.put("Evt19")

    def _begun(self) -> DIMSEMessage:
        while not (self.idle or self.assoc._kill):
            time.sleep(_POLL_S)
        self.message = message = DIMSEMessage()
        self._received_bytes = self._command_bytes = self._pdus = 0
        self._began_s = time.monotonic()
        self.overflow = None
        return message

    def _bound(self, primitive: P_DATA, message: DIMSEMessage) -> None:
        fragments = primitive.presentation_data_value_list
        data_bytes = sum(len(data) - 1 for _, data in fragments if not data[0] & _COMMAND)
        self._command_bytes += sum(len(data) - 1 for _, data in fragments if data[0] & _COMMAND)
        self._received_bytes += data_bytes
        allowed_s = (self.assoc.network_timeout or 0.0) + self._received_bytes / _SLOWEST_BYTES_PER_S
        if time.monotonic() - self._began_s > allowed_s:
            raise MessageError("its message takes too long.")
        self._pdus += 1
        if self._pdus > _MANY_FRAGMENTS and self._received_bytes < _SMALLEST_MEAN_BYTES * self._pdus:
            raise MessageError("its message comes in too many too small pieces.")
        if self._command_bytes > _LARGEST_COMMAND_BYTES:
            raise MessageError("its message has a command longer than any has.")
        if self.overflow is None:
            if self._received_bytes > self._largest_bytes:
                self.overflow = f"The data set is larger than {self._largest_bytes // 1_000_000} MB"
            elif not self._budget.take(self, data_bytes):
                self.overflow = "Too much is being received at once"
        if self.overflow is not None:
            self.release()
            message.data_set = io.BytesIO()
            # The control header stays: it says which fragment is the last. Lists, because the setter wants them.
            kept: list[Any] = [
                [context, data if data[0] & _COMMAND else data[:1] + b"\0"] for context, data in fragments
            ]
            primitive.presentation_data_value_list = kept

    def _complete(self, message: DIMSEMessage) -> None:
        request = message.message_to_primitive()
        if isinstance(request, C_CANCEL):
            return  # nothing here takes long enough to be cancelled
        if not isinstance(request, (C_ECHO, C_STORE)) or not request.is_valid_request:
            raise MessageError("its message is neither a C-ECHO nor a C-STORE request with all that belongs to one.")
        # From here, not from when it is fetched: in between it would count as answered.
        self._in_hand = True
        self.msg_queue.put((cast(int, message.context_id), request))
