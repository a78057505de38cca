"""The log of the node: one line of JSON for each association at its end and for each refusal.

At the default level nothing of a patient is in it: no name, identifier, birth date or UID. At DEBUG each instance has
a line with its SOP Instance UID. What a peer chose, such as its AE title, is only ever the value of a JSON string, so
that it cannot begin a line of its own.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import TextIO

from dicom_listener.connections import AssociationRequest

LOGGER = logging.getLogger("holmia.association")
_OURS = ("holmia", "dicom_listener", "console")
"""Loggers whose messages are the project's own sentences."""


class JsonLines(logging.Formatter):
    """One line of ASCII JSON per record: its fields where it has some, else its message. Tracebacks are left out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, object] = {
            "utc": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= {"event": record.msg, **fields}
        else:
            line |= {"event": "message", "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=True, default=str)


def configure_log(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Write the project's log as JSON lines to `stream`, standard error by default; for the process of a listener.

    Other libraries are not let through: their messages and warnings quote what a peer sent. An error that ends a thread
    becomes one line.

    Raises
    ------
    ValueError
        If `level` is none of DEBUG, INFO, WARNING, ERROR.
    """
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"level {level!r} is none; expected DEBUG, INFO, WARNING or ERROR.")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name in _OURS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").handlers = [logging.NullHandler()]
    logging.getLogger("py.warnings").propagate = False
    threading.excepthook = _log_thread_error


def log_opened(request: AssociationRequest, association: str) -> None:
    """Log at DEBUG that an association began."""
    LOGGER.debug("association_opened", extra={"fields": {"association": association} | _peer(request)})


def log_closed(
    request: AssociationRequest,
    association: str,
    *,
    how: str,
    fates: Counter[str],
    refused: Counter[int],
    seconds: float,
) -> None:
    """Log an association at its end: who, how it ended, and what became of how many instances."""
    fields = {
        "association": association,
        **_peer(request),
        "how": how,
        "stored": fates["stored"],
        "duplicates": fates["duplicate"],
        "quarantined": fates["quarantined"],
        "refused": {f"0x{status:04X}": count for status, count in sorted(refused.items())},
        "seconds": round(seconds, 3),
    }
    LOGGER.info("association_closed", extra={"fields": fields})


def log_refused(why: str, *, address: str, request: AssociationRequest | None = None) -> None:
    """Log that an association, or a connection that asked for none, was refused."""
    fields = _peer(request) if request is not None else {"address": address}
    LOGGER.warning("association_refused", extra={"fields": fields | {"why": why}})


def log_instance(association: str, *, sop_instance_uid: str, fate: str, status: int) -> None:
    """Log one instance, at DEBUG."""
    if LOGGER.isEnabledFor(logging.DEBUG):
        fields = {"association": association, "sop_instance_uid": sop_instance_uid, "fate": fate}
        LOGGER.debug("instance", extra={"fields": fields | {"status": f"0x{status:04X}"}})


def _peer(request: AssociationRequest) -> dict[str, object]:
    return {
        "calling_ae": request.calling_ae,
        "called_ae": request.called_ae,
        "address": request.address,
        "tls": request.tls_version,
    }


def _log_thread_error(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_type is not SystemExit:
        logging.getLogger("holmia").error("A thread was ended by an error: %s.", arguments.exc_type.__name__)
