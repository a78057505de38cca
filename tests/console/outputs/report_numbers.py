"""Reads the text of a report and says which of its numbers the results document does not hold."""

from __future__ import annotations

import re
import subprocess
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SAID_BY_THE_REPORT = ("95 %", "k = 1", "D90", "D70", "D50", "SHA-256", "70 %", "in section 7", "mm (L, P, H)")
"""Numbers that are words of the report, beside those of pages and sections."""
_NUMBER = r"[+−-]?\d+(?: \d{3})*(?:\.\d+)?(?:e[+−-]?\d+)?"
_TOLD = re.compile(
    rf"(?P<bound>≥ )?(?<![\w.])(?P<one>{_NUMBER})(?:(?: ± |…)(?P<two>{_NUMBER}))?"
    r"(?: (?P<unit>Gy|MBq|mL|%|ms|mm)(?![A-Za-z/]))?"
)
_SECTION = re.compile(
    r"(?<!\S)[1-9] (?=Summary|Dose in|Trend and|Results by|Ledger|Uncertainties|Alarms|Methods|Where)"
)
_SHARES = ("coverage", "recovery_ratio", "recovery_ratio_u", "recovery_interval_95", "evaluable_fraction", "reasons")
_SHARES += ("share", "outside_the_grid")


def report_text(pdf: bytes, folder: Path) -> str:
    """The text in the order in which it was written, every space a plain one, without numbers of pages."""
    path = folder / "report.pdf"
    path.write_bytes(pdf)
    made = subprocess.run(["pdftotext", "-raw", "-enc", "UTF-8", str(path), "-"], check=True, capture_output=True)
    text = re.sub(r"page \d+ of \d+", " ", made.stdout.decode("utf-8"))
    return " ".join(text.split())


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a document with the keys above it; curves are in pictures only."""
    if isinstance(value, Mapping):
        for key, own in value.items():
            if key != "dvh":
                yield from leaves(own, (*path, str(key)))
                yield ((*path, "name"), str(key))
    elif isinstance(value, (list, tuple)):
        for own in value:
            yield from leaves(own, path)
    elif value is not None and not isinstance(value, bool):
        yield path, value


class Reader:
    """What a document holds, made ready to look numbers up in."""

    def __init__(self, document: Mapping[str, Any], *, part: Mapping[str, Any] | None = None) -> None:
        self.texts = _texts(list(leaves(document)))
        found = list(leaves(document if part is None else part))
        numbers = [(path, float(value)) for path, value in found if isinstance(value, (int, float))]
        self._of_unit = {
            unit: sorted({value for path, own in numbers for value in _in_unit(path, own, unit)})
            for unit in ("", "Gy", "MBq", "mL", "%", "ms", "mm")
        }

    def holds(self, number: str, unit: str, *, bound: bool) -> bool:
        """Whether a number as written, with this unit, is one of the document's."""
        values, written = self._of_unit[unit], float(number.replace(" ", "").replace("−", "-"))
        room = max(1.0, abs(written)) if number.endswith("0") else 1.0
        near = values[bisect_left(values, written - room) : bisect_right(values, written + room)]
        return any(stands_for(number, value, bound=bound) for value in near)


def regions(text: str, document: Mapping[str, Any]) -> list[tuple[str, Reader]]:
    """Rows of the summary and of the results, each with what it may tell: its own volume after its own fraction."""
    names = "|".join(re.escape(name) for name in document["fractions"][-1]["volumes"])
    common = {key: document[key] for key in ("limits", "settings")}
    summary = text[text.index(" Tumours ") : text.index(" Activity and trust ")]
    parts = [(summary, document["fractions"][-1], rf"(?<= )(?=(?:{names}) (?:≥ )?\d)")]
    results = text[text.index("4 Results by") : text.index("5 Ledger")]
    after = re.split(r"(?=RHA F\d · )", results)[1:]
    row = rf"(?<= )(?=(?:{names}) \d+ % )"
    parts += [(own, fraction, row) for own, fraction in zip(after, document["fractions"], strict=True)]
    found = []
    for words, fraction, beginning in parts:
        head, *rows = re.split(beginning, words)
        alone = {key: value for key, value in fraction.items() if key not in ("volumes", "trend")}
        found.append((head, Reader(document, part={**common, **alone})))
        for own in rows:
            name = next(name for name in fraction["volumes"] if own.startswith(f"{name} "))
            told = {**common, "volume": fraction["volumes"][name], "trend": fraction["trend"].get(name)}
            found.append((own, Reader(document, part=told)))
    return found


def numbers_not_in(text: str, document: Mapping[str, Any] | Reader) -> list[str]:
    """The numbers of a report that no number or text of the document stands behind, with what is around them."""
    reader = document if isinstance(document, Reader) else Reader(document)
    for known in reader.texts:
        if len(known) > 16 and " " not in known:  # a hash or identifier, which a narrow cell breaks
            text = re.sub(" ?".join(map(re.escape, known)), " · ", text)
        elif known in text:
            text = re.sub(rf"(?<![\w.]){re.escape(known)}(?![\w])", " · ", text)
    text = _SECTION.sub(" ", text)
    return [
        text[max(0, told.start() - 30) : told.end() + 10]
        for told in _TOLD.finditer(text)
        for number in filter(None, (told["one"], told["two"]))
        if not reader.holds(number, told["unit"] or "", bound=bool(told["bound"]))
    ]


def stands_for(number: str, value: float, *, bound: bool = False) -> bool:
    """Whether a number as written is a value rounded to its digits; a lower bound may be rounded down."""
    plain = number.replace(" ", "").replace("−", "-")
    places = len(plain.split("e")[0].partition(".")[2])
    written = float(plain)
    zeros = len(plain) - len(plain.rstrip("0")) if "." not in plain and written else 0
    for step in [10.0 ** (zero - places) for zero in range(zeros + 1)]:
        if abs(value - written) <= 0.5 * step * (1 + 1e-9) or (bound and -1e-9 <= value - written < step):
            return True
    return False


def _texts(found: list[tuple[tuple[str, ...], Any]]) -> list[str]:
    """Texts of the document that hold digits, as they stand in a report: the longest first; times to the minute."""
    texts = {" ".join(v.replace("\u202f", " ").split()) for _, v in found if isinstance(v, str)} | set(
        SAID_BY_THE_REPORT
    )
    times = {f"{t[:10]} {t[11:16]}" for t in texts if re.match(r"\d{4}-\d\d-\d\dT", t)}
    pairs = {(path, v) for path, v in found if path[-1] == "fraction"}
    labels = {f"F{number}" for _, number in pairs}
    kept = [t for t in texts | times | labels if re.search(r"\d", t) and len(t) > 1]
    return sorted(kept, key=len, reverse=True)


def _in_unit(path: tuple[str, ...], value: float, unit: str) -> list[float]:
    """A value as it may be told in a unit, by the keys above it; without a unit any but a setting will do."""
    if path[0] == "settings":
        return [value] if unit == "Gy" and path[-1] == "coverage_Gy" else []
    if unit == "%":
        share = path[-1] in _SHARES or "reasons" in path or path[-2:-1] == ("coverage",)
        return [value] if path[-1].endswith("_pct") else [100.0 * value] if share else []
    return [value] if not unit or any(re.search(rf"(?:^|_){unit}(?:_|$)", part) for part in path) else []
