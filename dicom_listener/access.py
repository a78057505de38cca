"""Who may associate: the rules of the site, in the order in which they are asked."""

from __future__ import annotations

import contextlib
import ipaddress
import re

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
    if not (_AE_TITLE.fullmatch(request.calling_ae) and _AE_TITLE.fullmatch(request.called_ae)):
        return INVALID_AE_TITLE
    if settings.require_called_ae_title and request.called_ae != settings.ae_title.strip():
        return CALLED_AE_TITLE
    if settings.calling_ae_titles and request.calling_ae not in settings.calling_ae_titles:
        return CALLING_AE_TITLE
    if settings.calling_addresses and not is_listed(request.address, settings.calling_addresses):
        return ADDRESS
    return None


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
