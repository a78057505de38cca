"""A form: fields with their units, and what is wrong with what was typed so far, beside each field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from config.times import aware_time
from console.dashboard.screen.model import State, Tone

FAULT_SIGN, WARNING_SIGN = "✕", "▲"


class Entry(StrEnum):
    """How a field is filled in."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    TICK = "tick"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field. Everything is text as typed; a tick is ``yes`` or empty; a choice is one of ``choices``."""

    key: str
    label: str
    unit: str = ""
    entry: Entry = Entry.TEXT
    choices: tuple[str, ...] = ()
    hint: str = ""
    """What stands in the empty field: an example."""
    tooltip: str = ""
    """What it is, and where it comes from."""
    required: bool = False
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong with a field (refused), or only odd (allowed)."""

    fault: str = ""
    warning: str = ""

    @property
    def state(self) -> State:
        """As it stands beside the field: sign, words, tone."""
        if self.fault:
            return State(sign=FAULT_SIGN, word=self.fault, tone=Tone.ALERT)
        if self.warning:
            return State(sign=WARNING_SIGN, word=self.warning, tone=Tone.CAUTION)
        return State(sign="", word="")


@dataclass(frozen=True, kw_only=True)
class Form:
    """Fields in order, what was typed, and what is to be said of each."""

    fields: tuple[Field, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)

    def text(self, key: str) -> str:
        """What stands in a field; empty where nothing was typed."""
        return self.texts.get(key, "")

    def typed(self, key: str, text: str) -> Form:
        """The form with another text in one field; its verdicts are to be found anew."""
        return replace(self, texts={**self.texts, key: text})

    @property
    def ready(self) -> bool:
        """Whether nothing is refused."""
        return not any(verdict.fault for verdict in self.verdicts.values())


Check = Callable[[str], str]
"""Text to "" or a sentence on what is expected instead."""


def checked(form: Form, checks: Mapping[str, Check]) -> Form:
    """The form with the verdict of each field's own check; an empty field is refused only where it is required."""
    verdicts = {}
    for one in form.fields:
        text = form.text(one.key).strip()
        judge = checks.get(one.key, _takes_all) if text else (lambda _: _NEEDED) if one.required else _takes_all
        verdicts[one.key] = Verdict(fault=judge(text))
    return replace(form, verdicts=verdicts)


def _takes_all(_: str) -> str:
    return ""


_NEEDED = "needed"


def number(text: str, *, unit: str = "", low: float | None = None, high: float | None = None) -> float:
    """Read a number as people type it: a decimal point or comma, no thousands.

    Raises
    ------
    ValueError
        With a sentence for beside the field.
    """
    plain = text.strip().replace("−", "-").replace("\u202f", "")
    expected = f"a number{_range_words(low, high)} {unit}".rstrip()
    if not re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", plain):
        raise ValueError(f"expected {expected}")
    value = float(plain.replace(",", "."))
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"expected {expected}")
    return value


def thousands_warning(text: str, *, unit: str, high: float) -> str:
    """What is odd where a separator may have been meant for thousands: ``1.050`` is read as 1.05; "" where nothing is.

    Parameters
    ----------
    high
        The largest value that may be meant.
    """
    found = re.fullmatch(r"([1-9]\d{0,2})[.,](\d{3})", text.strip())
    if found is None or float(meant := found[1] + found[2]) > high:
        return ""
    return f"is read as {float(f'{found[1]}.{found[2]}'):g} {unit}; if {meant} {unit} is meant, type {meant}"


def number_check(*, unit: str = "", low: float | None = None, high: float | None = None) -> Check:
    """A check that a text is such a number."""

    def check(text: str) -> str:
        try:
            number(text, unit=unit, low=low, high=high)
        except ValueError as error:
            return str(error)
        return ""

    return check


def moment(text: str, *, zone: ZoneInfo, today: date) -> datetime:
    """Read a time of day (today, ``10:08`` or ``10:08:30``), or a date and time (``2026-03-04 10:08``), as aware time.

    Raises
    ------
    ValueError
        With a sentence for beside the field.
    """
    plain = text.strip().replace("T", " ")
    for form in ("%H:%M", "%H:%M:%S"):
        try:
            return datetime.combine(today, datetime.strptime(plain, form).time(), tzinfo=zone)
        except ValueError:
            continue
    try:
        told = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("expected a time such as 10:08, or 2026-03-04 10:08") from None
    if re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", plain):
        raise ValueError("expected a time of day with the date, such as 2026-03-04 10:08")
    return told if told.tzinfo is not None else told.replace(tzinfo=zone)


def past_moment(text: str, *, zone: ZoneInfo, now: datetime, days: float = 30.0) -> datetime:
    """As `moment`, refused where it lies in the future or longer ago than `days`, or exists twice or not at all."""
    told = moment(text, zone=zone, today=now.astimezone(zone).date())
    told = aware_time(told.replace(tzinfo=None) if told.tzinfo is zone else told, zone)
    if told > now:
        of_another_day = told.date() != now.astimezone(zone).date()
        raise ValueError(f"lies in the future: it is {now.astimezone(zone):{'%Y-%m-%d ' * of_another_day}%H:%M}")
    if now - told > timedelta(days=days):
        raise ValueError(f"lies more than {days:g} days ago; check the date")
    return told


def _range_words(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None:
        return f" of at least {low:g}"
    return f" up to {high:g}" if high is not None else ""
