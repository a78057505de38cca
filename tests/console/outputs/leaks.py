"""Whether an identifier is left anywhere in what was written: names of files, raw bytes, and what is packed in them.

Written apart from the code that removes identifiers, and of another kind: it knows nothing of attributes or profiles,
and looks for byte strings in everything that it can open.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_listener.record import Record

_SHORTEST = 3
_CERTAIN = 6
"""Characters from which a match in random bytes is no accident; shorter ones have to stand as a word."""
_DEFLATED = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_MOST_BYTES = 1 << 30


def leaks_in(path: Path | str, identifiers: Iterable[str]) -> list[str]:
    """Return a sentence for every identifier that is found in a file, or in any file below a folder.

    Searched are the names, the bytes as they lie (ASCII, UTF-8, Latin-1, UTF-16, of either case), what is inside
    gzip, zip and PDF streams, the texts of PDF pages, the chunks of PNG, every element of DICOM objects at every depth,
    and the events and objects of treatment files. Dates are found in the forms that are passed.

    Raises
    ------
    ValueError
        For an identifier of fewer than three characters: it is found everywhere.
    """
    path, wanted = Path(path), tuple(dict.fromkeys(identifiers))
    short = [identifier for identifier in wanted if len(identifier) < _SHORTEST]
    if short:
        raise ValueError(f"{short} are too short to be searched; pass identifiers of {_SHORTEST} characters or more.")
    forms = [(identifier, _forms(identifier)) for identifier in wanted]
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found: dict[str, None] = {}
    for file in files:
        name = str(file.relative_to(path)) if path.is_dir() else file.name
        for where, data in _contents(file, name):
            lower = data.lower()
            for identifier, own in forms:
                if (at := _place(lower, own, word=len(identifier) < _CERTAIN)) is not None:
                    found.setdefault(f"{identifier!r} is left in {where}: …{data[max(0, at - 30) : at + 60]!r}…")
    return list(found)


def _forms(identifier: str) -> list[bytes]:
    """The identifier in its encodings, with and without accents, ASCII letters in lower case."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", identifier) if not unicodedata.combining(c))
    texts = {text for own in (identifier, plain) for text in (own, own.upper(), own.lower(), json.dumps(own)[1:-1])}
    codes = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
    forms = {text.encode(code, "ignore").lower() for text in texts for code in codes}
    return sorted(form for form in forms if len(form) >= _SHORTEST)


def _place(lower: bytes, forms: list[bytes], *, word: bool) -> int | None:
    """Where the first of the forms is; None where none is. A `word` must not be a part of a longer one."""
    for form in forms:
        at = lower.find(form)
        while at >= 0:
            around = lower[max(0, at - 1) : at] + b" " + lower[at + len(form) : at + len(form) + 1]
            if not word or not re.search(rb"[0-9a-z]", around):
                return at
            at = lower.find(form, at + 1)
    return None


def _contents(file: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Everything of a file as (where, bytes)."""
    yield f"the name {name}", name.encode()
    data = file.read_bytes()  # before a record is opened: no descriptor may be closed under a connection
    yield from _packed(data, name)
    if data.startswith(b"SQLite format 3\0") and file.suffix == ".holmia":
        yield from _events(file, name)
    if data.startswith(b"%PDF") and shutil.which("pdftotext") is not None:
        for command in (["pdftotext", "-layout", str(file), "-"], ["pdfinfo", str(file)]):
            done = subprocess.run(command, capture_output=True, check=True)
            yield f"{name} ({command[0]})", done.stdout


def _packed(data: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """Bytes, and what is inside them by their kind."""
    yield where, data
    if data.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=BytesIO(data)) as packed:
            yield from _packed(packed.read(_MOST_BYTES), f"{where} (gzip)")
    elif data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for member in archive.infolist():
                yield where, member.filename.encode() + b"\n" + member.comment
                yield from _packed(archive.read(member), f"{where}/{member.filename}")
    elif data.startswith(b"%PDF"):
        for number, match in enumerate(_DEFLATED.finditer(data)):
            yield f"{where} (stream {number})", _inflated(match[1])
    elif data.startswith(b"\x89PNG"):
        yield from _chunks(data, where)
    elif data[128:132] == b"DICM":
        yield from _elements(dcmread(BytesIO(data)), where)
    elif data[:1] in (b"{", b"["):
        try:
            yield f"{where} (JSON)", json.dumps(json.loads(data), ensure_ascii=False).encode()
        except ValueError:
            yield f"{where} (JSON lines)", data


def _inflated(stream: bytes) -> bytes:
    for attempt in (lambda: zlib.decompress(stream), lambda: zlib.decompress(_ascii85(stream))):
        try:
            return attempt()
        except (zlib.error, ValueError):
            continue
    return stream


def _ascii85(stream: bytes) -> bytes:
    from base64 import a85decode

    return a85decode(stream.strip().removesuffix(b"~>"))


def _chunks(data: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """The chunks of a PNG but its pixels, inflated where they are."""
    at = 8
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + length]
        at += 12 + length
        if kind in (b"tEXt", b"iTXt", b"zTXt", b"eXIf"):
            yield f"{where} ({kind.decode()})", content
            for start in (m.end() for m in re.finditer(b"\0", content)):
                try:
                    yield f"{where} ({kind.decode()}, inflated)", zlib.decompress(content[start:])
                except zlib.error:
                    continue


def _elements(dataset: Dataset, where: str) -> Iterator[tuple[str, bytes]]:
    """Every element as text: what an encoding of characters hides from a search through bytes, shows here."""
    texts = [str(dataset.get("file_meta", ""))]
    for element in dataset.iterall():
        value = element.value
        if isinstance(value, bytes):
            continue  # searched as it lies
        texts.append(f"{element.tag}: {value if element.VR != 'SQ' else len(value)}")
        if element.VR == "PN":
            for person in [value] if element.VM == 1 else value or []:
                texts.append(f"{getattr(person, 'ideographic', '')} {getattr(person, 'phonetic', '')}")
    yield f"{where} (elements)", "\n".join(texts).encode("utf-8", "replace")


def _events(file: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """The events and objects of a treatment file."""
    record = Record.open(file, read_only=True)
    try:
        after = 0
        while batch := record.events(after):
            for event in batch:
                text = f"{event.utc.isoformat()} {event.actor} {event.kind} "
                payload = json.dumps(event.payload, ensure_ascii=False)
                yield f"{name}, event {event.seq} ({event.kind})", (text + payload).encode()
                if event.object_sha256 is not None:
                    where = f"{name}, object of event {event.seq}"
                    yield from _packed(record.object_bytes(event.object_sha256), where)
            after = batch[-1].seq
    finally:
        record.close()
