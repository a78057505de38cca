"""A de-identified copy of a treatment file: it opens, replays and gives the same numbers, and names nobody.

Every event of the original has one of the same number in the copy, so what refers to numbers of events still does.
Objects are de-identified ones under new hashes, and payloads say the new hashes; the chain is a new one.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import hmac
import re
import warnings
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from config.base import canonical_sha256
from config.errors import ConfigurationError
from config.plan import plan_from_mapping
from console.outputs.deidentification import Deidentifier, NotDeidentifiableError
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record
from dicom_listener.record_schema import publish, write_schema

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEASURED = re.compile(r"\d+(\.\d+)?(?= (?:%|mL|mm)(?!\w))")
_GZIP_MAGIC = b"\x1f\x8b"
_REMOVED = ""
"""In place of what somebody wrote in words of their own."""


def deidentified_copy(
    record: Record, target: Path, identity: Deidentifier, progress: Callable[[Event], None] | None = None
) -> tuple[str, ...]:
    """Write a de-identified copy of a treatment file; the target appears only whole.

    Returns
    -------
    tuple of str
        A sentence for each object that was left out; its event is there, without it.

    Raises
    ------
    RecordError
        If `target` exists or cannot be written.
    NotDeidentifiableError
        If the plan is no plan any more without what identifies.
    """
    copier = _Copier(record, identity)

    def write(temporary: Path) -> None:
        write_schema(temporary)
        with contextlib.closing(Record.open(temporary)) as copy:
            after = 0
            while batch := record.events(after):
                for event in batch:
                    payload, data = copier.of(event)
                    actor = identity.operator(event.actor)
                    made = copy.append(event.kind, payload, actor=actor, utc=identity.utc(event.utc), data=data)
                    if event.object_sha256 is not None:
                        copier.objects[event.object_sha256] = made.object_sha256 or ""
                    if progress is not None:
                        progress(event)
                after = batch[-1].seq

    publish(target, write)
    return tuple(copier.left_out)


class _Copier:
    """What each event becomes, knowing what came before it."""

    def __init__(self, record: Record, identity: Deidentifier) -> None:
        self._record = record
        self._identity = identity
        self.objects: dict[str, str] = {}
        """Hash of each object to that of its copy; empty for one that was left out."""
        self.left_out: list[str] = []
        self._alarms = _AlarmIds(identity)
        self._label_maps = 0

    def of(self, event: Event) -> tuple[dict[str, Any], bytes | None]:
        """Payload and object of the event's copy."""
        self._alarms.note(event)
        payload = self._with_new_hashes(self._identity.document(event.payload))
        match event.kind:
            case Kind.PLAN_LOADED | Kind.PLAN_REVISED:
                payload = self._plan(event.payload, payload)
            case Kind.LABEL_MAP_GIVEN:
                self._label_maps += 1
                payload["name"] = f"Label map {self._label_maps}"
                payload["by"] = self._identity.operator(str(event.payload.get("by") or ""))
            case Kind.INSTANCE_QUARANTINED:
                payload |= {"sha256": "", "text": "What was set aside is not part of this copy."}
            case Kind.NOTE if event.payload.get("retracts") is None:
                payload["text"] = _REMOVED
            case Kind.SNAPSHOT_TAKEN:
                payload["name"] = f"picture {event.seq}"
            case Kind.ALARM_RAISED if isinstance(event.payload.get("alarm"), Mapping):
                payload["alarm"]["id"] = self._alarms.of(event.payload["alarm"])
            case Kind.ALARM_ACKNOWLEDGED:
                payload["alarm"] = self._alarms.known(str(event.payload.get("alarm")))
        return payload, self._object(event)

    def _plan(self, before: Mapping[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
        if "reason" in payload:
            payload["reason"] = _REMOVED
        names, renamed = _names_of(before.get("plan")), _names_of(payload.get("plan"))
        try:
            if len(renamed) < len(names):
                raise ConfigurationError(["Two structures would have one name."], source="plan")
            plan = plan_from_mapping(payload["plan"], site_time_zone=str(payload["time_zone"]))
        except (ConfigurationError, KeyError, TypeError, AttributeError) as error:
            raise NotDeidentifiableError(
                "A plan of this treatment is not valid any more without what identifies the patient in it "
                f"({self._identity.clean(str(error))}); give positions and structures other names, or export it "
                "identified."
            ) from error
        mapping = plan.to_mapping()
        return {**payload, "plan": mapping, "sha256": canonical_sha256(mapping)}

    def _with_new_hashes(self, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {key: self._with_new_hashes(own) for key, own in value.items()}
        if isinstance(value, list):
            return [self._with_new_hashes(own) for own in value]
        return self.objects.get(value, value) if isinstance(value, str) and _SHA256.fullmatch(value) else value

    # -- objects -------------------------------------------------------------------------------------------------------

    def _object(self, event: Event) -> bytes | None:
        if event.object_sha256 is None:
            return None
        data = self._record.object_bytes(event.object_sha256)
        if event.kind == Kind.LABEL_MAP_GIVEN:
            return label_map_without_texts(data)
        try:
            return part10_deidentified(data, self._identity)
        except NotDeidentifiableError as error:
            self.left_out.append(f"Event {event.seq}: {error}")
            return None


def part10_deidentified(data: bytes, identity: Deidentifier) -> bytes:
    """Return a DICOM file's bytes de-identified, in the same transfer syntax.

    Raises
    ------
    NotDeidentifiableError
        If it cannot be read, or is or may hold a picture of text.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values of scanners, which are kept as they are
        try:
            dataset = dcmread(BytesIO(data))
            made = identity.dataset(dataset)
            return part10(made)
        except NotDeidentifiableError:
            raise
        except Exception as error:
            raise NotDeidentifiableError(
                f"An object of {len(data)} bytes cannot be read as DICOM ({type(error).__name__}) and is left out of "
                "what is de-identified."
            ) from error


def part10(dataset: Dataset) -> bytes:
    """Return a dataset as the bytes of a Part-10 file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def label_map_without_texts(data: bytes) -> bytes:
    """Return a NIfTI file with the same voxels in the same place, without texts and extensions; empty if unreadable."""
    # Costs 0.3 s, which an export without label maps need not spend.
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    try:
        packed = data.startswith(_GZIP_MAGIC)
        plain = gzip.decompress(data) if packed else data
        two = plain[4:8] == b"n+2\0"
        kind: Any = Nifti2Header if two else Nifti1Header
        header = kind(plain[: 540 if two else 348], check=False)
        begin = int(header["vox_offset"])
        sizes = [int(n) for n in header["dim"]]
        n_bytes = int(header.get_data_dtype().itemsize)
        for size in sizes[1 : sizes[0] + 1]:
            n_bytes *= size
        voxels = plain[begin : begin + n_bytes]
        for name in header.structarr.dtype.names:
            if header.structarr.dtype[name].kind == "S" and name != "magic":
                header[name] = b""
        header["vox_offset"] = 544 if two else 352
        made = header.binaryblock + b"\0\0\0\0" + voxels
    except (OSError, EOFError, ValueError, KeyError, IndexError, OverflowError, zlib.error):
        return b""
    except Exception:  # noqa: BLE001 - what nibabel's tables raise for an unknown type
        return b""
    return gzip.compress(made, mtime=0) if packed else made


# -- alarms ------------------------------------------------------------------------------------------------------------


class _AlarmIds:
    """The identities of alarms are hashes (`console.alarms`), of names and UIDs too: the copy's own are found here.

    An acknowledged alarm then stays acknowledged when the copy is computed again. The identity of one that is of a
    series (its key is not in its payload) is replaced by another hash: it is raised anew.
    """

    def __init__(self, identity: Deidentifier) -> None:
        self._identity = identity
        self._ids: dict[str, str] = {}
        self._details: dict[str, None] = {"": None}
        self._series: dict[str, None] = {}
        self._uids: dict[str, None] = {}

    def note(self, event: Event) -> None:
        """Remember what identities of later alarms may be made of."""
        payload = event.payload
        if payload.get("association"):
            self._details.setdefault(str(payload["association"]))
        if payload.get("series_instance_uid"):
            self._uids.setdefault(str(payload["series_instance_uid"]))
        if payload.get("series_key"):
            self._series.setdefault(str(payload["series_key"]))
        plan = payload.get("plan")
        for limit in plan.get("limits") or () if isinstance(plan, Mapping) else ():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                self._details.setdefault(f"{limit['dose_Gy']:g} {limit.get('isotope') or ''}")

    def of(self, alarm: Mapping[str, Any]) -> str:
        """The identity in the copy of an alarm that was raised."""
        own, kind, text = str(alarm.get("id")), str(alarm.get("kind")), str(alarm.get("text"))
        clean = self._identity.clean
        place = [str(alarm.get(key) or "") for key in ("position", "fraction", "volume")]
        reasons = [text, *(text[match.end() :] for match in re.finditer(": ", text))]
        details = [
            *self._details,
            _MEASURED.sub("", text),
            *(f"{uid} {reason}" for uid in self._uids for reason in reasons),
        ]
        found = ([*place, detail] for detail in details)
        of_series = ([series, ""] for series in self._series)
        for parts in (*found, *of_series):
            if _alarm_id([kind, *parts]) == own:
                self._ids[own] = _alarm_id([kind, *map(clean, parts)])
                break
        return self.known(own)

    def known(self, own: str) -> str:
        """The identity in the copy of one that was raised before."""
        hidden = hmac.new(self._identity.name.encode(), own.encode(), hashlib.sha256).hexdigest()[:16]
        return self._ids.setdefault(own, hidden)


def _alarm_id(parts: list[str]) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def _names_of(plan: object) -> set[str]:
    """The structures and positions of a plan."""
    if not isinstance(plan, Mapping):
        return set()
    structures = plan.get("structures") or {}
    names = {f"position {injection.get('position')}" for injection in plan.get("injections") or ()}
    return names | {str(name) for name in (structures.get("liver"), *(structures.get("tumours") or ())) if name}
