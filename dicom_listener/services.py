"""What the node offers: SOP classes and transfer syntaxes (docs/conformance-statement.md lists them)."""

from __future__ import annotations

import errno
import socket

from pynetdicom import AE, AllStoragePresentationContexts, _config, register_uid
from pynetdicom.service_class import StorageServiceClass

from config.settings import SiteSettings
from dicom_listener.connections import ASSOCIATE_TIMEOUT_S
from dicom_listener.instance_header import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, LOSSLESS

VERIFICATION = "1.2.840.10008.1.1"
STORAGE = tuple(str(context.abstract_syntax) for context in AllStoragePresentationContexts)
"""Every storage class of the standard that pynetdicom knows: what is not read is stored all the same, because a refused
presentation context can block the rest of a scanner's send queue."""
PRIVATE_STORAGE = {
    "1.3.12.2.1107.5.9.1": "SiemensCSANonImageStorage",
    "1.3.46.670589.11.0.0.12.1": "PhilipsMRSpectrumStorage",
    "1.3.46.670589.11.0.0.12.2": "PhilipsMRSeriesDataStorage",
    "1.3.46.670589.11.0.0.12.3": "PhilipsMRColorImageStorage",
    "1.3.46.670589.11.0.0.12.4": "PhilipsMRExamcardStorage",
}
"""What MR scanners send along with their images, by the conformance statements of their vendors; stored, not read."""

# The default handlers format every PDU and message for the log, on the hot path.
_config.LOG_HANDLER_LEVEL = "none"
# A UID that is too long is answered (0x0117) by `admission`; pynetdicom would end the association without a word.
_config.VALIDATORS["UI"] = lambda _uid: (True, "")
for _uid, _keyword in PRIVATE_STORAGE.items():
    register_uid(_uid, _keyword, StorageServiceClass)


def transfer_syntaxes(settings: SiteSettings) -> list[str]:
    """Return what is accepted, in the order of preference: what needs no decoder and names its types comes first."""
    compressed = sorted(LOSSLESS) if settings.compressed_transfer_syntaxes else []
    return [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, *compressed]


def application_entity(settings: SiteSettings) -> AE:
    """Return the node as pynetdicom has it: titles, limits, presentation contexts."""
    entity = AE(ae_title=settings.ae_title)
    entity.maximum_pdu_size = settings.maximum_pdu_bytes
    # pynetdicom counts connections that are over too; the listener counts associations.
    entity.maximum_associations = 1_000_000
    entity.acse_timeout = min(ASSOCIATE_TIMEOUT_S, settings.network_timeout_s)
    entity.dimse_timeout = settings.network_timeout_s
    entity.network_timeout = settings.network_timeout_s
    entity.add_supported_context(VERIFICATION, [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN])
    for uid in (*STORAGE, *PRIVATE_STORAGE):
        entity.add_supported_context(uid, transfer_syntaxes(settings))
    return entity


def address_error(settings: SiteSettings, error: OSError | UnicodeError) -> str:
    """Return why the node cannot have its address, in a sentence that says what to do."""
    where = f"The listener cannot use {settings.host} port {settings.port}"
    if isinstance(error, socket.gaierror | UnicodeError):
        return (
            f"{where}: the name {settings.host} is not known (site.host); give an address of this machine, or 0.0.0.0."
        )
    if error.errno == errno.EADDRINUSE:
        return f"{where}: another program listens there; choose another port, or stop what uses it."
    if error.errno == errno.EACCES:
        return f"{where}: ports below 1024 need a privilege; choose another port (11112 is DICOM's), or grant it."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: no network interface of this machine has that address; correct site.host, or use 0.0.0.0."
    return f"{where}: {error.strerror or error}; choose another address or port."
