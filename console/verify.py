"""``replay --verify``: compute everything again from the file and hold it against what was shown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from console.engine import Engine
from console.reader import Reader
from console.session import replayed, shown_payload
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record

TOLERANCE = 1e-5
"""Relative difference that another machine's arithmetic may make; it is reported as such."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One shown result against its recomputation: ``identical``, ``within tolerance`` or ``different``."""

    seq: int
    label: str
    verdict: str
    detail: str = ""


def verify_shown(
    record: Record, *, progress: Callable[[Event], None] | None = None, reader: Reader | None = None
) -> list[Comparison]:
    """Recompute every shown result from the events that it was computed from.

    Returns
    -------
    list of Comparison
        One for every ``result_shown`` event, in order.
    """
    shown: dict[int, list[Event]] = defaultdict(list)
    after = 0
    while batch := record.events(after):
        for event in batch:
            if event.kind == Kind.RESULT_SHOWN:
                shown[int(event.payload["after_seq"])].append(event)
        after = batch[-1].seq
    engine = Engine(reader=reader)
    comparisons: list[Comparison] = []
    for event in replayed(record, engine):
        if progress is not None:
            progress(event)
        if event.seq not in shown:
            continue
        for _ in engine.advance():
            pass
        snapshot = engine.snapshot()
        zone = ZoneInfo(snapshot.plan.time_zone if snapshot.plan is not None else "UTC")
        now = {result.key: shown_payload(result, snapshot, zone) for result in snapshot.results}
        for was in shown[event.seq]:
            key = (str(was.payload["position"]), int(was.payload["fraction"]))
            comparisons.append(_compare(was, now.get(key)))
    return sorted(comparisons, key=lambda c: c.seq)


def _compare(was: Event, now: Mapping[str, Any] | None) -> Comparison:
    label = f"{was.payload['position']} F{was.payload['fraction']}"
    if now is None:
        return Comparison(
            seq=was.seq, label=label, verdict="different", detail="no result is computed from these events"
        )
    difference, where = largest_difference(was.payload["result"], now["result"])
    if difference == 0 and was.payload["map_sha256"] == now["map_sha256"]:
        return Comparison(seq=was.seq, label=label, verdict="identical")
    detail = (
        f"largest relative difference {difference:.1e} in {where}" if where else "the maps differ in their last digits"
    )
    if was.payload["software_version"] != now["software_version"]:
        detail += f"; shown by version {was.payload['software_version']}, recomputed by {now['software_version']}"
    verdict = "within tolerance" if difference <= TOLERANCE else "different"
    return Comparison(seq=was.seq, label=label, verdict=verdict, detail=detail)


def largest_difference(first: object, second: object, where: str = "") -> tuple[float, str]:
    """Largest relative difference of two JSON values and where it is; infinite where their shapes or texts differ."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        if first.keys() != second.keys():
            return math.inf, where
        parts = [largest_difference(first[k], second[k], f"{where}.{k}".lstrip(".")) for k in first]
        return max(parts, default=(0.0, ""), key=lambda p: p[0])
    if isinstance(first, list) and isinstance(second, list):
        if len(first) != len(second):
            return math.inf, where
        pairs = enumerate(zip(first, second, strict=True))
        return max(
            (largest_difference(a, b, f"{where}[{n}]") for n, (a, b) in pairs), default=(0.0, ""), key=lambda p: p[0]
        )
    number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (first, second))
    if number:
        a, b = float(first), float(second)  # type: ignore[arg-type]
        difference = 0.0 if a == b else abs(a - b) / max(abs(a), abs(b))
        return difference, where if difference else ""
    # In Python True is 1; in what was shown it is not.
    same = first == second and isinstance(first, bool) == isinstance(second, bool)
    return (0.0, "") if same else (math.inf, where)
