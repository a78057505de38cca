"""A what-if: the recorded treatment with other settings. What they are in words, and whether they go with its plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from config.errors import ConfigurationError
from console.dashboard.desk.tuning import Active, active_of, command_line
from console.dashboard.desk.tuning_settings import tunable, value_text
from console.dashboard.screen import formatting
from console.snapshot import Snapshot
from console.treatment import Treatment, laid_over
from dicom_listener.events import Event, Kind

_BARE = "quantification."


def plans_of(events: Iterable[Event]) -> tuple[Mapping[str, Any], ...]:
    """Every plan with its settings that a treatment had, oldest first, as recorded."""
    kinds = (Kind.PLAN_LOADED, Kind.PLAN_REVISED)
    return tuple(event.payload for event in events if event.kind in kinds)


def what_if_faults(plans: Iterable[Mapping[str, Any]], overrides: Mapping[str, object]) -> tuple[str, ...]:
    """Why the settings cannot be laid over every plan that the treatment had, as sentences; none where they can."""
    told: dict[str, None] = {}
    for payload in plans:
        try:
            laid_over(Treatment(loaded=payload), overrides)
        except ConfigurationError as error:
            told.update(dict.fromkeys(error.faults))
        except (KeyError, TypeError, AttributeError, OverflowError):
            continue  # a plan of another version, which nothing is computed with
    return tuple(told)


def what_if_words(plans: Iterable[Mapping[str, Any]], overrides: Mapping[str, object]) -> tuple[str, ...]:
    """``trend.threshold_pct 10 → 5 %``, one by one, against the last plan."""
    last = next(iter(reversed(tuple(plans))), None)
    recorded = active_of(Snapshot(loaded=last)) if last is not None else Active()
    return tuple(_line(path, value, recorded) for path, value in overrides.items())


def what_if_command(overrides: Mapping[str, object]) -> str:
    """What makes the same what-if on the command line; empty for none."""
    return command_line({path: _text(value) for path, value in overrides.items()})


def _line(path: str, value: object, recorded: Active) -> str:
    full = next((own for own in (path, _BARE + path) if own in recorded.values), path)
    unit = next((f" {one.about.unit}" for one in tunable() if one.path in (path, _BARE + path) and one.about.unit), "")
    was = recorded.text(full) or formatting.NOT_KNOWN
    return f"{path.removeprefix(_BARE)} {was} → {_text(value)}{unit}"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else value_text(value)
