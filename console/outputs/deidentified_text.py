"""Sentences and names as they may leave: known identifiers replaced by word, UIDs mapped, dates shifted.

Identifiers are found whatever their case, accents and separators, but only where they stand as words: "Li" is not found
in "Liver". What is also a word of this field or of English, and what is a short number, is replaced where it stands
with another part of the name, or alone in an attribute that is the identifier, and not in the midst of a sentence.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import lru_cache

from console.outputs.deidentified_vocabulary import COMMON_WORDS

_SEPARATORS = re.compile(r"[\s^_,;=]+")
_HALVES = re.compile(r"[-'’.]+")
"""Within a part of a name: Smith-Jones may be called Jones."""
_BETWEEN = r"[\s^_.,;=\-]{1,3}"
"""What may stand between the parts of a name."""
_WORD_START, _WORD_END = r"(?<![^\W_])", r"(?![^\W_])"
_FEWEST_DIGITS = 5
"""A number with fewer digits is a number to every reader; an identifier only in the attribute that is one."""
_WELL_KNOWN = "1.2.840.10008."
"""DICOM's own UIDs name kinds of things, never instances (PS3.6, annex A)."""
_UID = re.compile(rf"(?<!\.){_WORD_START}[0-2](?:\.\d+){{2,}}{_WORD_END}")
_SHORTEST_UID = 16
"""Characters: an address or a version has fewer."""
DATE_REMOVED = "(date)"
"""In place of a date that is written in words, or whose order of day and month is not known."""

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mrt|mei|okt|mär|mai|dez|fév|avr|juin|juil|août|déc"
_MONTH = rf"(?:{_MONTHS})[^\W\d_]*\.?"
_YEAR = r"(?:19|20)\d\d"
_ISO = re.compile(rf"(?<!\d)({_YEAR})-(\d\d)-(\d\d)(?!\d)")
_COMPACT = re.compile(rf"(?<!\d)(?<!\d\.)({_YEAR})(\d\d)(\d\d)(?=(?:\d{{4}}|\d{{6}})?(?!\d))")
_UNORDERED = re.compile(
    rf"(?<!\d)\d{{1,2}}([./-])\d{{1,2}}\1{_YEAR}(?!\d)|(?<!\d){_YEAR}([./])\d{{1,2}}\2\d{{1,2}}(?!\d)"
    rf"|(?<!\d)\d{{1,2}}(?:st|nd|rd|th|\.)?[ -]{_MONTH}[ ,-]*{_YEAR}(?!\d)"
    rf"|(?<![^\W_]){_MONTH}[ -]*\d{{1,2}}(?:st|nd|rd|th)?,?[ -]+{_YEAR}(?!\d)",
    re.IGNORECASE,
)


def folded(text: str) -> str:
    """Without case and accents, of as many characters as the composed text has."""
    return "".join(map(_folded, unicodedata.normalize("NFC", text)))


def words_of(name: str) -> frozenset[str]:
    """The parts of a name, in whatever order and writing."""
    return frozenset(part for part in _SEPARATORS.split(folded(name)) if part)


def is_common(texts: Iterable[str]) -> bool:
    """Whether every text begins with a word that is not of a person."""
    return all(folded(text).split()[:1] and folded(text).split()[0] in COMMON_WORDS for text in texts)


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character)[:1].casefold()
    return plain if len(plain) == 1 else character


def mapped_uid(key: bytes, uid: str) -> str:
    """A UID under 2.25 that nobody without the key can lead back; the same for the same."""
    digest = hmac.new(key, b"uid " + uid.encode(), hashlib.sha256).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def is_well_known(uid: str) -> bool:
    """Whether a UID is one of DICOM's own."""
    return uid.startswith(_WELL_KNOWN) or uid == _WELL_KNOWN[:-1]


class Cleaner:
    """Cleans texts.

    Parameters
    ----------
    key
        By which UIDs are mapped.
    days
        By how many whole days dates are shifted.
    people
        Names as DICOM or a person writes them, each with what stands for the whole name; None: a mark of its own.
    identifiers
        What identifies as a whole (an ID, an address), each with what stands for it; None: a mark of its own.
    birth_dates
        Dates that are not shifted but removed: the span from birth is kept by none.
    uids
        What is mapped even where its form would not show it.
    """

    def __init__(
        self,
        *,
        key: bytes,
        days: int,
        people: Mapping[str, str | None],
        identifiers: Mapping[str, str | None],
        birth_dates: Iterable[date] = (),
        uids: Iterable[str] = (),
    ) -> None:
        self._key = key
        self._days = timedelta(days=days)
        self._birth_dates = frozenset(birth_dates)
        self._marks: dict[str, str] = {}
        self._people: list[tuple[frozenset[str], str]] = []
        patterns: dict[str, None] = {}
        for name in sorted(people, key=lambda text: (-len(text), text)):
            patterns.update(dict.fromkeys(self._of_person(name, people[name])))
        for text in sorted(identifiers, key=lambda text: (-len(text), text)):
            if pattern := self._of_identifier(text, identifiers[text]):
                patterns[pattern] = None
        longest_first = sorted(patterns, key=len, reverse=True)
        self._known = re.compile(f"{_WORD_START}(?:{'|'.join(longest_first)}){_WORD_END}") if patterns else None
        exact = sorted((uid for uid in uids if not is_well_known(uid)), key=len, reverse=True)
        self._uids = frozenset(exact)
        self._cache: dict[str, str] = {}

    # -- what is known -------------------------------------------------------------------------------------------------

    def _mark(self, text: str, given: str | None = None) -> str:
        """What stands for an identifier: short, so that it fits wherever the identifier did."""
        return self._marks.setdefault(folded(text), given or f"X{len(self._marks) + 1}")

    def _of_person(self, name: str, whole: str | None) -> list[str]:
        parts = [part for part in _SEPARATORS.split(folded(name)) if part.strip(".-")]
        if not parts:
            return []
        if len(parts) == 1 and whole is None and not _is_word(parts[0]):
            return []
        patterns = []
        mark = self._mark(" ".join(parts), whole)
        if len(parts) > 1:
            any_part = "|".join(re.escape(part) for part in sorted(parts, key=len, reverse=True))
            patterns.append(f"(?:{any_part})(?:{_BETWEEN}(?:{any_part}))+")
            self._people.append((frozenset(parts), mark))
            for first, second in ((a, b) for a in parts for b in parts if a != b and min(len(a), len(b)) > 2):
                self._mark(first + second, mark)
                patterns.append(re.escape(first + second))
        halves = [half for part in parts for half in _HALVES.split(part) if half != part and len(half) > 2]
        for part in (*parts, *halves):
            if _is_word(part):
                self._mark(part, mark if len(parts) == 1 and not halves else None)
                patterns.append(re.escape(part))
        return patterns

    def _of_identifier(self, text: str, whole: str | None) -> str | None:
        plain = folded(text.strip())
        letters = re.sub(r"[\W_]", "", plain)
        if len(letters) < 3 or plain in COMMON_WORDS or (letters.isdigit() and len(letters) < _FEWEST_DIGITS):
            return None
        parts = [part for part in re.split(r"[\W_]+", plain) if part]
        self._mark(" ".join(parts), whole)
        self._mark("".join(parts), self._mark(" ".join(parts)))
        if letters.isdigit() or len(letters) < _FEWEST_DIGITS:
            return re.escape(plain)  # of numbers, what stands between them is part of it
        return r"[\W_]{0,2}".join(map(re.escape, parts))

    # -- texts ---------------------------------------------------------------------------------------------------------

    def __call__(self, text: str, *, short_names: bool = True) -> str:
        """Return the text as it may leave; `short_names`: also names of two letters, where they are capitalised."""
        known = self._cache.get(text) if short_names else None
        if known is None:
            known = self._cleaned(text, short_names)
            if short_names and len(text) < 256:
                self._cache[text] = known
        return known

    def _cleaned(self, text: str, short_names: bool) -> str:
        if not any(character.isalnum() for character in text):
            return text
        return self.dates(self._names(self._with_uids_mapped(text), short_names))

    def uid(self, uid: str) -> str:
        """Return a UID of an instance mapped; one of DICOM's own as it is."""
        return uid if is_well_known(uid) or not uid else mapped_uid(self._key, uid)

    def is_known_uid(self, uid: str) -> bool:
        """Whether this is a UID of one of the instances, series, studies and frames of reference that are known."""
        return uid in self._uids

    def _with_uids_mapped(self, text: str) -> str:
        if "." not in text:
            return text
        return _UID.sub(lambda m: self.uid(m[0]) if len(m[0]) >= _SHORTEST_UID or m[0] in self._uids else m[0], text)

    def _names(self, text: str, short_names: bool) -> str:
        if self._known is None:
            return text
        composed = unicodedata.normalize("NFC", text)
        plain, done, at = folded(composed), [], 0
        for match in self._known.finditer(plain):
            own = composed[match.start() : match.end()]
            if len(own) == 2 and not (short_names and (own.istitle() or own.isupper())):
                continue
            if not self._tells(match[0]):
                continue
            done += [composed[at : match.start()], self._replacement(match[0])]
            at = match.end()
        return "".join([*done, composed[at:]]) if done else text

    def _tells(self, found: str) -> bool:
        """Whether what was found tells more than words that a sentence needs: not "van der" alone."""
        if found in self._marks:
            return True
        parts = frozenset(part for part in re.split(_BETWEEN, found) if part)
        return not parts <= COMMON_WORDS or any(parts == whole for whole, _ in self._people)

    def _replacement(self, found: str) -> str:
        own = " ".join(part for part in re.split(r"[\W_]+", found) if part)
        spaced = " ".join(_SEPARATORS.split(found))
        mark = self._marks.get(own) or self._marks.get(spaced) or self._marks.get(own.replace(" ", ""))
        if mark is not None:
            return mark
        parts = frozenset(part for part in re.split(_BETWEEN, found) if part)
        return next((mark for whole, mark in self._people if parts <= whole), "X")

    def contains_known(self, data: bytes) -> bool:
        """Whether bytes that are no text hold a known identifier as text, in 8 or 16 bits a character."""
        if self._known is None and not self._uids:
            return False
        texts = (data.decode("latin-1"), data.decode("utf-8", "ignore"), data[::2].decode("latin-1"))
        for text in (*texts, data[1::2].decode("latin-1")):
            if (self._known is not None and self._known.search(folded(text))) or any(uid in text for uid in self._uids):
                return True
        return False

    # -- dates ---------------------------------------------------------------------------------------------------------

    def dates(self, text: str) -> str:
        """Shift the dates in a text; what cannot be shifted is removed."""
        if not any(character.isdigit() for character in text):
            return text
        text = _UNORDERED.sub(DATE_REMOVED, text)
        text = _ISO.sub(lambda match: self._shifted(match, "{:%Y-%m-%d}"), text)
        return _COMPACT.sub(lambda match: self._shifted(match, "{:%Y%m%d}"), text)

    def day(self, own: date) -> date | None:
        """A date shifted; None where it leaves the calendar."""
        try:
            return own - self._days
        except OverflowError:
            return None

    def _shifted(self, match: re.Match[str], form: str) -> str:
        if _is_in_hash(match):
            return match[0]
        try:
            own = date(*(int(part) for part in match.groups()[:3]))
        except ValueError:
            return match[0]  # no date: 2026-13-45, or a number
        moved = self.day(own)
        return DATE_REMOVED if moved is None or own in self._birth_dates else form.format(moved)


def _is_in_hash(match: re.Match[str]) -> bool:
    """Whether what was found is a part of a hexadecimal hash."""
    run = next(r for r in re.finditer(r"[^\W_]+|.", match.string) if r.end() > match.start())
    return len(run[0]) >= 16 and re.fullmatch(r"(?=.*[a-f])[0-9a-f]+", run[0]) is not None


def _is_word(part: str) -> bool:
    """Whether a part of a name tells the person where it stands alone."""
    return len(part) >= 2 and part not in COMMON_WORDS and not part.isdigit()
