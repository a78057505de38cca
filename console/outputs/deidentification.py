"""De-identification: what leaves names a pseudonym, and intervals, references and numbers are as they were.

The one mechanism of every output that is not identified (`console.outputs.identity`). Everything follows from the
treatment file: the same export of the same file has the same bytes, and outputs that are made at different times agree.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset

from console.outputs.deidentification_known import COMPONENTS, PEER_KEYS, KnownIdentifiers, known_of
from console.outputs.deidentified_dataset import NotDeidentifiableError, deidentified_dataset
from console.outputs.deidentified_text import Cleaner, words_of
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record
from quantify.findings import FractionStatus, Priority, RegistrationStatus, TrendStatus, VolumeStatus
from quantify.model import Role

__all__ = ["Deidentifier", "KnownIdentifiers", "NotDeidentifiableError", "deidentifier_of"]

_LONGEST_SHIFT_DAYS = 3650
_SHORTEST_FILE_NAME = 5
"""A shorter name of a file is no more than a word: RHA."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe"})
_HASH = re.compile(r"[0-9a-f]{16}|[0-9a-f]{64}")
_KEY = re.compile(r"[a-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
"""Keys of documents; what is no such word is a name of somebody's."""
_BY_NAME = frozenset({"volumes", "trend", "volume_objects", "positions", "outlook", "volume_sources", "territories"})
"""Keys of tables whose own keys are names of volumes or positions."""
_AS_IS = frozenset(
    {"settings", "quantification", "map_sha256", "time_zone", "software_version", "code_sha256", "machine"}
    | {"research_use", "kind", "cause"}
)
"""Keys whose content is Holmia's own vocabulary and numbers."""
_WORDS = frozenset(
    word
    for words in (FractionStatus, Priority, RegistrationStatus, TrendStatus, VolumeStatus, Role, Kind)
    for word in words
) | {"below", "above", "automatic", "reference", "fraction", "baseline", "anatomy", "ignore", "superseded", "refused"}
"""Values with a meaning; a patient may have such a name."""
_PEOPLE = frozenset({"acknowledged_by", "given_by", "by", "closed_by", "actor", "operator"})
_PATIENT_TEXTS = frozenset({"patient_id", "patient_name"})
_PATIENT_FACTS = frozenset({"patient_birth_date", "birth_date", "patient_sex", "patient_age", "patient_weight"})


class Deidentifier:
    """Replaces, maps, shifts and removes what identifies (`console.outputs.identity.Identity`).

    Parameters
    ----------
    key
        32 bytes that nobody has who has not the original.
    known
        The identifiers of the treatment.

    Attributes
    ----------
    identified
        False.
    name
        The pseudonym, ``HOLMIA-`` and 8 hexadecimal digits: Patient ID, Patient's Name, names of files.
    """

    identified = False

    def __init__(self, key: bytes, known: KnownIdentifiers) -> None:
        self.name = f"HOLMIA-{hmac.new(key, b'pseudonym', 'sha256').hexdigest()[:8]}"
        self._operators = {own: f"Operator {number}" for number, own in enumerate(known.operators, 1)}
        self._peers = {own: f"Peer {number}" for number, own in enumerate(known.peers, 1)}
        self._patient = {words_of(own) for own in (*known.patient_ids, *known.patient_names)}
        people: dict[str, str | None] = dict.fromkeys(sorted(known.patient_names | known.people))
        people.update(self._operators)
        people.update({own.translate(_UMLAUTS): stands for own, stands in people.items()})
        identifiers: dict[str, str | None] = dict.fromkeys(sorted(known.patient_ids | known.identifiers))
        if len(known.treatment_name) >= _SHORTEST_FILE_NAME:
            identifiers.setdefault(known.treatment_name)
        identifiers.update(self._peers)
        self.clean = Cleaner(
            key=key,
            days=_shift_days(key, known),
            people=people,
            identifiers=identifiers,
            birth_dates=known.birth_dates,
            uids=known.uids,
        )

    def dataset(self, dataset: Dataset) -> Dataset:
        """Return the dataset as it may leave, with its file meta information; the given one is not changed.

        Raises
        ------
        NotDeidentifiableError
            If it is, or may hold, a picture of text.
        """
        return deidentified_dataset(dataset, self.clean, self.name)

    def document(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a JSON document as it may leave; numbers are not touched."""
        return {self._key(str(key), ""): self._value(value, str(key)) for key, value in document.items()}

    def text(self, text: str) -> str:
        """Return a sentence as it may leave; one that is the patient's ID or name alone becomes the pseudonym."""
        return self.name if _tells(text) and words_of(text) in self._patient else self.clean(text)

    def operator(self, name: str) -> str:
        """Return what stands for a person, or for the part of Holmia that acted."""
        return name if name in COMPONENTS or not name else self._operators.get(name, "Operator")

    def peer(self, name: str) -> str:
        """Return what stands for an AE title or an address."""
        return self._peers.get(name, "Peer") if name else name

    def utc(self, moment: datetime) -> datetime:
        """Return a moment shifted by the treatment's number of days."""
        moved = self.clean.day(moment.date())
        if moved is None:
            raise NotDeidentifiableError(
                f"The date of {moment.isoformat()} cannot be shifted; the file's clock is wrong."
            )
        return moment.replace(year=moved.year, month=moved.month, day=moved.day)

    def _key(self, key: str, parent: str) -> str:
        return key if parent not in _BY_NAME and _KEY.fullmatch(key) else self.clean(key)

    def _value(self, value: Any, key: str, parent: str = "") -> Any:  # noqa: ANN401
        if key == "patient" and isinstance(value, Mapping):
            return self._of_patient(value)
        if key in _AS_IS:
            return value
        if isinstance(value, Mapping):
            return {self._key(str(name), key): self._value(own, str(name), key) for name, own in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(own, key, parent) for own in value]
        if key == "reason" and parent == "revisions":
            return ""  # what an operator wrote, in his own words
        if key in _PATIENT_FACTS:
            return "" if isinstance(value, str) else None
        return self._text_of(value, key) if isinstance(value, str) and value else value

    def _text_of(self, text: str, key: str) -> str:
        if key in _PATIENT_TEXTS:
            return self.name
        if key in PEER_KEYS:
            return self.peer(text)
        if key in _PEOPLE or text in self._operators:
            return self.operator(text)
        if text in _WORDS or _HASH.fullmatch(text):
            return text
        return self.clean(text)

    def _of_patient(self, patient: Mapping[str, Any]) -> dict[str, Any]:
        """The patient of a plan or a document: the pseudonym; keys that are there stay, without what they said."""
        said = {"id": self.name, "patient_id": self.name}
        optional = {"issuer", "birth_date", "name"}  # of a plan: absent, or of the right form
        return {key: said.get(key) for key in patient if key not in optional}


def deidentifier_of(record: Record, progress: Callable[[Event], None] | None = None) -> Deidentifier:
    """Return the de-identifier of a treatment file: a function of its events (`deidentification_known.known_of`).

    The whole file is read, every header included.
    """
    known, key = known_of(record, progress)
    return Deidentifier(key, known)


def _tells(text: str) -> bool:
    """Whether a text alone is an identifier rather than a number in a table."""
    return not text.strip().isdigit() or len(text.strip()) > 3


def _shift_days(key: bytes, known: KnownIdentifiers) -> int:
    """By how many whole days, 1 to 3650, every date goes into the past.

    Times without an offset are read in the plan's time zone, times with one are not: summer time must begin and end
    between the same days after the shift, or the two would come an hour apart.
    """
    zones = [ZoneInfo(name) for name in sorted(known.time_zones)]
    order = sorted(range(1, _LONGEST_SHIFT_DAYS + 1), key=lambda days: _drawn(key, days))
    for some in (known.event_days | known.days, known.event_days):
        for days in order:
            if all(_same_offsets(day, days, zone) for zone in zones for day in some):
                return days
    raise NotDeidentifiableError(
        "The dates of this treatment cannot be shifted without changing intervals: no shift of up to ten years keeps "
        f"summer time in {', '.join(sorted(known.time_zones))} where it was; export it identified, or not at all."
    )


def _drawn(key: bytes, days: int) -> bytes:
    return hmac.new(key, b"shift %d" % days, "sha256").digest()


def _same_offsets(day: date, days: int, zone: ZoneInfo) -> bool:
    moved = day.toordinal() - days
    return moved < 1 or _offsets(day.toordinal(), zone) == _offsets(moved, zone)


@cache
def _offsets(ordinal: int, zone: ZoneInfo) -> tuple[Any, ...]:
    day = date.fromordinal(ordinal)
    return tuple(datetime.combine(day, clock, tzinfo=zone).utcoffset() for clock in _CLOCKS)


_CLOCKS: Iterable[time] = (time(0, 0), time(12, 0), time(23, 59))
