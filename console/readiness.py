"""Is this machine ready for a treatment: libraries, display, port, disk, clock, security. It only looks."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from config.settings import SiteSettings
from console.outputs.wording import software_version
from dicom_listener.listener import ListenerError, check_address
from dicom_listener.record_schema import RecordError, refuse_network_file_system
from dicom_listener.tls import TlsError, certificate_expiry, server_context

_TESTED = {"PySide6-Essentials": "6.11.", "pyqtgraph": "0.14.", "pynetdicom": "3.0.4", "pydicom": "3.0."}
"""Versions that were tested together (pyproject.toml); others of them have lost references or changed internals."""
_DISTRIBUTIONS = (*_TESTED, "numpy", "scipy", "SimpleITK", "numba", "python-gdcm", "nibabel")
_XCB_LIBRARIES = ("libxcb-cursor.so.0", "libxcb-icccm.so.4", "libxkbcommon-x11.so.0")
"""What Qt's platform plugin for X11 loads beyond a minimal system."""
_WRITES = 20
_SLOW_WRITE_S = 0.05
"""A durable write of one image; at more than this a scanner waits for the disk."""
_CERTIFICATE_DAYS = 30
_STA_UNSYNC = 0x0040
"""Status bit of adjtimex(2): the clock is not disciplined."""
_TREATMENT_MB = 5000.0
"""Room for one treatment: 5 series of 250 MB, twice over, and the anatomy."""


class Level(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    NOTE = "note"
    FAIL = "FAIL"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    text: str


def ok(subject: str, text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(level=Level.OK, subject=subject, text=text)


def note(subject: str, text: str) -> Finding:
    """Return a finding that somebody should know."""
    return Finding(level=Level.NOTE, subject=subject, text=text)


def fail(subject: str, text: str) -> Finding:
    """Return a finding that keeps a treatment from working."""
    return Finding(level=Level.FAIL, subject=subject, text=text)


def readiness(site: SiteSettings, folder: Path, now: datetime) -> Iterator[Finding]:
    """Look at everything, in the order in which it is needed; `folder` is where the treatment file is to lie."""
    yield ok("software", f"Holmia {software_version()}, Python {sys.version.split()[0]}")
    yield from libraries()
    yield from display(os.environ)
    yield from port(site)
    yield from disk(folder, site.minimum_free_disk_mb)
    yield from clock(site, now)
    yield from security(site, now)


def libraries() -> Iterable[Finding]:
    """Hold the installed versions against the tested ones."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield fail("libraries", f"{name} is not installed; run make setup again.")
    for name, tested in _TESTED.items():
        if name in found and not found[name].startswith(tested):
            yield fail("libraries", f"{name} is {found[name]}, tested is {tested.rstrip('.')}; run make setup again.")
    yield ok("libraries", ", ".join(f"{name} {version}" for name, version in found.items()))


def display(environment: os._Environ[str] | dict[str, str]) -> Iterable[Finding]:
    """Look whether a window could open: a display, and the system libraries that Qt loads for it."""
    if not sys.platform.startswith("linux"):
        return
    if environment.get("QT_QPA_PLATFORM") == "offscreen":
        yield note("display", "QT_QPA_PLATFORM is offscreen: windows are drawn and not shown.")
        return
    if not environment.get("DISPLAY") and not environment.get("WAYLAND_DISPLAY"):
        yield note("display", "There is no display (DISPLAY is not set): listen, watch and quantify work, console not.")
        return
    missing = [name for name in _XCB_LIBRARIES if not _loads(name)]
    if missing:
        yield fail(
            "display", f"Qt's window needs {', '.join(missing)}; install the packages that scripts/setup.sh names."
        )
    else:
        yield ok("display", environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY") or "")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def port(site: SiteSettings) -> Iterable[Finding]:
    """Try to bind where the listener would."""
    try:
        check_address(site.model_copy(update={"tls": False}))  # certificates are another finding
    except ListenerError as error:
        yield fail("port", str(error))
        return
    yield ok(
        "port",
        f"{site.host} port {site.port} is free; AE title {site.ae_title}; the scanner's form wants {_own_address()}",
    )


def _own_address() -> str:
    """Return the address that this machine would use towards others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737); connecting a datagram socket sends nothing
        return str(probe.getsockname()[0])
    return "this machine's address"


def disk(folder: Path, minimum_free_mb: float) -> Iterable[Finding]:
    """Look at room, kind and speed of the disk that the treatment file is to lie on."""
    try:
        refuse_network_file_system(folder / "treatment.holmia")
        free_mb = shutil.disk_usage(folder).free / 1e6
        seconds = durable_write_s(folder)
    except RecordError as error:
        yield fail("disk", str(error))
        return
    except (OSError, sqlite3.Error) as error:
        yield fail("disk", f"{folder} cannot be written: {error}; choose a folder on a local disk.")
        return
    text = f"{folder}: {free_mb / 1000:.0f} GB free, a durable write takes {1000 * seconds:.1f} ms"
    if free_mb < minimum_free_mb:
        yield fail("disk", f"{text}; below {minimum_free_mb:.0f} MB every image is refused. Make room.")
    elif free_mb < _TREATMENT_MB:
        yield note("disk", f"{text}; a treatment needs up to {_TREATMENT_MB / 1000:.0f} GB.")
    elif seconds > _SLOW_WRITE_S:
        yield note("disk", f"{text}: the scanner will wait for this disk; choose a faster one.")
    else:
        yield ok("disk", text)


def durable_write_s(folder: Path) -> float:
    """Return the median time of one durable insert of 133 kB, s, in a database that is removed again."""
    times_s = []
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".holmia-check-") as place,
        contextlib.closing(sqlite3.connect(Path(place) / "trial.sqlite", isolation_level=None)) as trial,
    ):
        trial.execute("PRAGMA journal_mode=WAL")
        trial.execute("PRAGMA synchronous=FULL")
        trial.execute("CREATE TABLE object(bytes BLOB)")
        for _ in range(_WRITES):
            start = time.perf_counter()
            trial.execute("INSERT INTO object VALUES (?)", (bytes(133_000),))
            times_s.append(time.perf_counter() - start)
    return sorted(times_s)[_WRITES // 2]


def clock(site: SiteSettings, now: datetime) -> Iterable[Finding]:
    """Ask the kernel whether the clock is kept right; fractions are matched to injections by it."""
    state = is_synchronised()
    text = f"{now.astimezone():%Y-%m-%d %H:%M:%S %z}; times without an offset are {site.time_zone}"
    if state:
        yield ok("clock", f"{text}; synchronised")
    elif state is None:
        yield note("clock", f"{text}; whether it is synchronised cannot be told here")
    else:
        yield note("clock", f"{text}; NOT synchronised: 166Ho decays by 2.6 % an hour. Set up NTP, on the scanner too.")


def is_synchronised() -> bool | None:
    """Return whether the kernel takes its clock for synchronised (adjtimex(2), Linux); None where it does not say."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    answer = ctypes.create_string_buffer(512)  # struct timex is 208 bytes; modes = 0 only reads
    if adjtimex(answer) < 0:
        return None
    # modes (int, padded), offset, freq, maxerror, esterror (longs), status (int)
    place = 5 * ctypes.sizeof(ctypes.c_long)
    return not int.from_bytes(answer.raw[place : place + 4], sys.byteorder) & _STA_UNSYNC


def security(site: SiteSettings, now: datetime) -> Iterable[Finding]:
    """Look at who may send, and at the certificates."""
    if not site.calling_addresses:
        yield note("access", "Any address may send; name the scanner in site.calling_addresses.")
    else:
        yield ok("access", f"only {', '.join(site.calling_addresses)} may send")
    if not site.tls:
        yield note("TLS", "The traffic is not encrypted (site.tls is off); keep the port on the scanner's own segment.")
        return
    try:
        server_context(site)
        expiry = certificate_expiry(site)
    except TlsError as error:
        yield fail("TLS", str(error))
        return
    days = (expiry - now.astimezone(UTC)).days
    text = f"certificates on both sides; this node's is valid until {expiry:%Y-%m-%d} ({days} days)"
    yield note("TLS", f"{text}: renew it.") if days < _CERTIFICATE_DAYS else ok("TLS", text)
