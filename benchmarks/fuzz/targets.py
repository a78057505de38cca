"""What is fuzzed: each target is a function of bytes that raises where a law is broken, with files to begin from."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pynetdicom import AE

from benchmarks.fuzz import laws
from benchmarks.fuzz.seeds import PATIENT_ID, seeds
from benchmarks.fuzz.upper_layer import conversations
from config.plan import PatientPlan
from config.settings import SiteSettings
from dicom_listener.admission import Admission
from dicom_listener.decode import decode
from dicom_listener.decoding import DecodingProcess
from dicom_listener.listener import Listener
from dicom_listener.record import Record, quarantine_path

Target = Callable[[bytes], None]
_NATIVE_CODECS = (b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.90")
_RENEW_AFTER = 2_000
"""Instances in one treatment file before the next is begun."""
_PATIENCE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Fuzzed:
    """A target: `prepare` gives the function; `kinds` are the sound files to begin from; `dicom` whether they are."""

    prepare: Callable[[], Target]
    kinds: tuple[str, ...] = ()
    dicom: bool = True

    def corpus(self) -> dict[str, bytes]:
        """Return the bytes to begin from, by name."""
        return {kind: seeds()[kind] for kind in self.kinds} if self.dicom else _TEXTS_OR_TALKS[self.kinds[0]]()


def header() -> Target:
    """The header's reader, and whether a data set is the same as itself and as a sound one."""
    sound = seeds()["siemens_classic"]
    return lambda data: laws.content_equals_itself(data, sound)


def decoding(kind: str) -> Callable[[], Target]:
    """Decoding in this process, and assembly with sound images; native codecs are for `contained`."""

    def prepare() -> Target:
        good = decode(seeds()[kind], time_zone=laws.ZONE).images

        def target(data: bytes) -> None:
            if any(uid in data[:4096] for uid in _NATIVE_CODECS):
                return
            found = laws.decoding_tells_what_it_found(data)
            if found.images:
                laws.images_can_be_assembled(found.images, good)

        return target

    return prepare


def contained() -> Target:
    """Decoding in a process of its own: JPEG's codecs are native code."""
    process = DecodingProcess()

    def target(data: bytes) -> None:
        found = process.decode(data, time_zone=laws.ZONE)
        if not (found.images or found.structure_set or found.reason):
            raise AssertionError("Nothing was decoded, for no reason.")

    return target


def admission() -> Target:
    """Admission to a treatment file, a new one now and then."""
    folder, taken = Path(tempfile.mkdtemp(prefix="holmia-fuzz-")), 0
    current: list[Admission | Record] = []

    def renew() -> None:
        for open_one in current:
            open_one.close()
        shutil.rmtree(folder)
        folder.mkdir()
        path = folder / "a.holmia"
        record = Record.create(path)
        current[:] = [
            Admission(
                record,
                lambda: Record.create(quarantine_path(path)),
                PatientPlan(id=PATIENT_ID),
                lambda: datetime(2026, 3, 4, tzinfo=UTC),
                actor="fuzz",
            ),
            record,
        ]

    def target(data: bytes) -> None:
        nonlocal taken
        if taken % _RENEW_AFTER == 0:
            renew()
        taken += 1
        decides = current[0]
        if isinstance(decides, Admission):
            laws.admission_answers(decides, data)
        names = {path.name.split("-")[0] for path in folder.iterdir()}
        if not names <= {"a.holmia", "a.quarantine.holmia"}:
            raise AssertionError(f"What a peer sent became a path: {sorted(names)}")

    return target


def upper_layer() -> Target:
    """The listener, over loopback: whatever is sent, no thread dies and an echo is answered."""
    folder = Path(tempfile.mkdtemp(prefix="holmia-fuzz-"))
    path = folder / "a.holmia"
    listener = Listener(
        Record.create(path),
        lambda: Record.create(quarantine_path(path)),
        SiteSettings(host="127.0.0.1", port=0, require_called_ae_title=False),
        None,
        lambda: datetime(2026, 3, 4, tzinfo=UTC),
    )
    port, sent = listener.start(), 0
    dead: list[str] = []
    threading.excepthook = lambda args: dead.append(f"{args.thread}: {args.exc_type.__name__}: {args.exc_value}")

    def target(data: bytes) -> None:
        nonlocal sent
        sent += 1
        _say(port, data)
        if dead:
            raise AssertionError(f"A thread of the listener died: {dead.pop()}")
        if sent % 20 == 0:
            _echo(port)

    return target


def _say(port: int, data: bytes) -> None:
    """Send bytes and read until the listener has closed the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as peer:
        try:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass
        except TimeoutError as error:
            raise AssertionError("The listener keeps a connection that its peer has ended.") from error
        except OSError:
            return  # reset by the listener: it may


def _echo(port: int) -> None:
    entity = AE(ae_title="FUZZ")
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", port)
    if not association.is_established or association.send_c_echo().get("Status") != 0:
        raise AssertionError("The echo was not answered.")
    association.release()


def times() -> Target:
    """Dates and times."""
    return laws.times_are_read_or_not


def _texts() -> dict[str, bytes]:
    texts = ["20260304", "2026.03.04", "101233.25", "235960", "20260304101233.25+0100", "+0530", "10:12:33"]
    return {f"text {index}": text.encode() for index, text in enumerate(texts)}


_TEXTS_OR_TALKS: dict[str, Callable[[], dict[str, bytes]]] = {"texts": _texts, "conversations": conversations}

TARGETS = {
    "header": Fuzzed(prepare=header, kinds=tuple(sorted(seeds()))),
    "decode-classic": Fuzzed(
        prepare=decoding("siemens_classic"), kinds=("siemens_classic", "siemens_phase", "philips_classic", "rle")
    ),
    "decode-enhanced": Fuzzed(prepare=decoding("philips_enhanced"), kinds=("philips_enhanced", "siemens_enhanced")),
    "structures": Fuzzed(prepare=decoding("rtstruct"), kinds=("rtstruct",)),
    "segmentation": Fuzzed(prepare=decoding("segmentation"), kinds=("segmentation",)),
    "contained": Fuzzed(prepare=contained, kinds=("jpeg_lossless", "rle")),
    "admission": Fuzzed(prepare=admission, kinds=("siemens_classic", "philips_enhanced", "rle")),
    "times": Fuzzed(prepare=times, kinds=("texts",), dicom=False),
    "pdu": Fuzzed(prepare=upper_layer, kinds=("conversations",), dicom=False),
}
