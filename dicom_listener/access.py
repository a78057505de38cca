"""Who may associate: the rules of the site, in the order in which they are asked, and how often a no is recorded."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import threading

from config.settings import SiteSettings
from dicom_listener.connections import AssociationRequest
from dicom_listener.statuses import (
    ADDRESS,
    CALLED_AE_TITLE,
    CALLING_AE_TITLE,
    INVALID_AE_TITLE,
    PROTOCOL_VERSION,
    Rejection,
)

_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
"""ASCII without control characters and backslash (PS3.5, AE); padding is off already."""


def refused_access(request: AssociationRequest, settings: SiteSettings) -> Rejection | None:
    """Return why the site does not let this peer associate; None if it does.

    An AE title is what a peer says of itself and proves nothing: an address or a certificate says more.
    """
    if not request.protocol_version & 1:  # one bit for each version (PS3.8, table 9-11)
        return PROTOCOL_VERSION
    if not (is_ae_title(request.calling_ae) and is_ae_title(request.called_ae)):
        return INVALID_AE_TITLE
    if settings.require_called_ae_title and request.called_ae != settings.ae_title.strip():
        return CALLED_AE_TITLE
    if settings.calling_ae_titles and request.calling_ae not in settings.calling_ae_titles:
        return CALLING_AE_TITLE
    if settings.calling_addresses and not is_listed(request.address, settings.calling_addresses):
        return ADDRESS
    return None


def is_ae_title(text: str) -> bool:
    """Return whether `text` is an AE title without its padding."""
    return _AE_TITLE.fullmatch(text) is not None


class Ration:
    """Lets so many things pass at once, and one more every `every_s` after that. Safe to share between threads.

    For what a stranger can make happen as often as it likes: each costs a place in a file that never shrinks.
    """

    def __init__(self, at_once: int, every_s: float) -> None:
        self._at_once = at_once
        self._every_s = every_s
        self._lock = threading.Lock()
        self._left = float(at_once)
        self._last_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Return whether one more may pass, at a time of a clock that never jumps."""
        with self._lock:
            if self._last_s is not None:
                self._left = min(self._left + (now_s - self._last_s) / self._every_s, float(self._at_once))
            self._last_s = now_s
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True


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
