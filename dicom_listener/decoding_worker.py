"""The decoding process: ``python -m dicom_listener.decoding_worker MEMORY_LIMIT_BYTES TIMEOUT_S``, asked over stdin.

Started by `dicom_listener.decoding`, which gives it one end of a socket as standard input. It puts itself under its
limits before it reads a byte: address space (beyond what the interpreter and its libraries take), no core dump, no
file to write, few descriptors. It ends when the socket ends, and so with whoever started it, however that died; an
alarm ends it where it hangs meanwhile. Signals that are meant for the program that started it (Ctrl-C, a service
manager's SIGTERM to the whole group) it ignores: that program still needs it to finish what it acknowledged.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

from dicom_listener.decode import decode
from dicom_listener.decoding_frames import (
    DECODE,
    EXIT_MEMORY,
    GIVEN_LABEL_MAP,
    READY,
    SAME_PIXELS,
    Channel,
    EndedError,
    NonsenseError,
    allowed_s,
    dumps,
)
from dicom_listener.pixels import same_pixels

_DESCRIPTORS = 32
"""The socket, the standard streams, and what reading a time zone or a late import opens for a moment."""
_ALARM_FACTOR = 2.0
"""The side that asks ends a call after its time-out; the alarm is for when that side is no more."""


def main(arguments: list[str]) -> None:
    """Serve until the socket ends."""
    memory_limit_bytes, timeout_s = int(arguments[0]), float(arguments[1])
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    _limit(memory_limit_bytes)
    try:
        channel = Channel(socket.socket(fileno=os.dup(0)))
    except OSError:
        raise SystemExit("The decoding process can run here. Holmia starts it, and asks it over a socket.") from None
    try:
        channel.send([READY])
        while True:
            _serve(channel, memory_limit_bytes, timeout_s)
    except EndedError:
        channel.close()
    except (NonsenseError, MemoryError):  # a request beyond the limit, or what it grew to
        os._exit(EXIT_MEMORY)


def _serve(channel: Channel, memory_limit_bytes: int, timeout_s: float) -> None:
    """Answer one request; a function of its own, so that nothing large is held while waiting for the next."""
    request = channel.receive(limit_bytes=memory_limit_bytes)
    # The default action of SIGALRM ends the process, whatever it is doing.
    signal.setitimer(signal.ITIMER_REAL, _ALARM_FACTOR * allowed_s(timeout_s, request))
    what, *values = map(bytes, request)
    del request
    channel.send(dumps(_answer(what, values)))
    signal.setitimer(signal.ITIMER_REAL, 0.0)


def _answer(what: bytes, values: list[bytes]) -> object:
    data = values.pop()
    if what == DECODE:
        return decode(data, time_zone=ZoneInfo(values[0].decode()))
    if what == SAME_PIXELS:
        return same_pixels(values[0], data)
    # Label maps are rare, and their reader is large.
    from dicom_listener.label_map import given_label_map, label_map

    told = json.loads(values[0])
    if what == GIVEN_LABEL_MAP:
        return given_label_map(told, data)
    return label_map(data, {int(label): region for label, region in told["labels"].items()}, name=told["name"])


def _limit(memory_limit_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))
    size = Path("/proc/self/statm")  # Linux; elsewhere the address space stays unlimited, the time-out holds
    if size.exists():
        now_bytes = int(size.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now_bytes + memory_limit_bytes,) * 2)


if __name__ == "__main__":
    main(sys.argv[1:])
