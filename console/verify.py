"""``--verify``: compute everything again from the file and hold it against what was shown.

On the machine and by the code that showed a result every bit has to be the same. Elsewhere arithmetic may differ in
last digits: up to a relative 1e-5 is within tolerance, and is told as such.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from console.engine import Engine
from console.provenance import Provenance
from console.reader import Reader
from console.session import replayed, shown_payload
from dicom_listener.events import Event, Kind
from dicom_listener.record import Record

TOLERANCE = 1e-5
"""Relative difference that another machine's or version's arithmetic may make; it is reported as such."""
_ROUNDED = {"dvh.dose_Gy": 1e-3, "dvh.volume_fraction": 1e-5}
"""Curves are written rounded: two values next to each other may be the same but for their last digit."""
_SMALL = {"translation_mm": 1.0, "rotation_deg": 1.0, "deviation_pct": 100.0, "centre_lps_mm": 1.0}
"""What may be near zero, and what its difference is relative to then, in its own unit."""
_NO_DOSES: Mapping[str, float] = {}
_RELATIVE_TO_DOSE = ("deviation_Gy", "intercept_Gy", "prediction_interval_Gy", "low_95_Gy")
"""Differences of doses: relative to the volume's mean dose where they are smaller."""
_RELATIVE_TO_OTHER_END = "low_95"
"""Of an interval in whatever unit: it may be near zero, its other end is not."""


class Verdict(StrEnum):
    """What came of one result."""

    IDENTICAL = "identical"
    WITHIN_TOLERANCE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """One result that was shown, against its recomputation. ``detail`` is a sentence, empty where it is identical."""

    seq: int
    label: str
    verdict: Verdict
    detail: str = ""
    difference: float = 0.0
    """The largest relative difference; infinite where something is there that was not, or the other way round."""
    where: str = ""
    """Key of the largest difference in the result."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """A file against what was shown from it, in the order in which it was shown."""

    results: tuple[Recomputed, ...]
    head_seq: int
    head_hash: str
    damage: str | None = None
    """What is wrong with the file; only its sound part was compared then."""

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        found = {result.verdict for result in self.results}
        return next((v for v in reversed(Verdict) if v in found), Verdict.IDENTICAL)


def verification(
    record: Record,
    *,
    here: Provenance,
    progress: Callable[[int, int], None] | None = None,
    reader: Reader | None = None,
) -> Verification:
    """Recompute every result that was shown, from the events that it was computed from.

    Parameters
    ----------
    here
        What computes now.
    progress
        Called with how many events have been read, and of how many.
    """
    shown: dict[int, list[Event]] = defaultdict(list)
    after = 0
    while batch := record.events(after):
        for event in batch:
            if event.kind == Kind.RESULT_SHOWN:
                shown[int(event.payload["after_seq"])].append(event)
        after = batch[-1].seq
    engine, head = Engine(reader=reader), record.head()
    found: list[Recomputed] = []
    for event in replayed(record, engine):
        if progress is not None:
            progress(event.seq, head.seq)
        if event.seq not in shown:
            continue
        for _ in engine.advance():
            pass
        snapshot = engine.snapshot()
        zone = ZoneInfo(snapshot.plan.time_zone if snapshot.plan is not None else "UTC")
        now = {result.key: shown_payload(result, snapshot, zone) for result in snapshot.results}
        for was in shown[event.seq]:
            key = (str(was.payload["position"]), int(was.payload["fraction"]))
            found.append(recomputed(was, now.get(key), here))
    return Verification(
        results=tuple(sorted(found, key=lambda own: own.seq)),
        head_seq=head.seq,
        head_hash=head.hash,
        damage=record.damage,
    )


def recomputed(was: Event, now: Mapping[str, Any] | None, here: Provenance) -> Recomputed:
    """What was shown (``result_shown``) against what is computed from the same events, None where nothing is."""
    label = f"{was.payload['position']} F{was.payload['fraction']}"
    if now is None:
        return Recomputed(
            seq=was.seq,
            label=label,
            verdict=Verdict.DIFFERENT,
            detail="No result is computed from these events.",
            difference=math.inf,
        )
    difference, where = largest_difference(was.payload["result"], now["result"])
    if difference == 0 and was.payload["map_sha256"] == now["map_sha256"]:
        return Recomputed(seq=was.seq, label=label, verdict=Verdict.IDENTICAL)
    then = Provenance(
        software_version=str(was.payload["software_version"]),
        code_sha256=str(was.payload.get("code_sha256", "")),
        machine=str(was.payload.get("machine", "")),
    )
    verdict = Verdict.WITHIN_TOLERANCE if difference <= TOLERANCE else Verdict.DIFFERENT
    told = (
        f"largest relative difference {difference:.1e} in {where}"
        if where
        else "no number differs, but a map does; by how much was not recorded"
    )
    if then.computes_as(here):
        verdict = Verdict.DIFFERENT
        told += "; this is the code and the machine that showed it, so every bit should be the same"
    else:
        told += f"; {_elsewhere(then, here)}"
    told = told[0].upper() + told[1:] + "."
    return Recomputed(seq=was.seq, label=label, verdict=verdict, detail=told, difference=difference, where=where)


def _elsewhere(then: Provenance, here: Provenance) -> str:
    """Why every bit need not be the same."""
    told = []
    if then.software_version != here.software_version:
        told.append(f"shown by version {then.software_version}, recomputed by {here.software_version}")
    elif not then.code_sha256:
        told.append("which code showed it was not recorded")
    elif then.code_sha256 != here.code_sha256:
        told.append(f"shown by other code of version {then.software_version}")
    if then.machine and then.machine != here.machine:
        told.append("shown on another machine or with other libraries")
    return ", ".join(told) or "on which machine it was shown was not recorded"


def largest_difference(
    first: object, second: object, where: str = "", *, doses_gy: Mapping[str, float] = _NO_DOSES, dose_gy: float = 0.0
) -> tuple[float, str]:
    """Largest relative difference of two JSON values and where it is; infinite where their shapes or texts differ.

    A key that an earlier version did not know is no difference: `second` may have more. Differences of doses are
    relative to the mean dose of their volume (`doses_gy` by its name, `dose_gy` within it), and rounded curves are
    equal within their last digit.
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        missing = next((key for key in first if key not in second), None)
        if missing is not None:
            return math.inf, f"{where}.{missing}".lstrip(".")
        doses = _mean_doses(second.get("volumes")) or doses_gy
        if isinstance(end := second.get("high_95"), int | float):
            dose_gy = float(end)  # from here on in the unit of the interval
        parts = [
            largest_difference(
                first[k],
                second[k],
                f"{where}.{k}".lstrip("."),
                doses_gy=doses,
                dose_gy=doses.get(str(k), dose_gy),
            )
            for k in first
        ]
        return max(parts, default=(0.0, ""), key=lambda p: p[0])
    if isinstance(first, list) and isinstance(second, list):
        if len(first) != len(second):
            return math.inf, where
        pairs = enumerate(zip(first, second, strict=True))
        return max(
            (largest_difference(a, b, f"{where}[{n}]", doses_gy=doses_gy, dose_gy=dose_gy) for n, (a, b) in pairs),
            default=(0.0, ""),
            key=lambda p: p[0],
        )
    number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (first, second))
    if number:
        difference = _relative(float(first), float(second), where, dose_gy)  # type: ignore[arg-type]
        return difference, where if difference else ""
    # In Python True is 1; in what was shown it is not.
    same = first == second and isinstance(first, bool) == isinstance(second, bool)
    return (0.0, "") if same else (math.inf, where)


def _relative(a: float, b: float, where: str, dose_gy: float) -> float:
    if a == b:
        return 0.0
    path = where.split("[")[0]
    step = next((own for key, own in _ROUNDED.items() if path.endswith(key)), 0.0)
    if abs(a - b) <= 1.5 * step:
        return min(abs(a - b) / max(abs(a), abs(b)), TOLERANCE)
    key = path.rpartition(".")[2]
    relative = key in _RELATIVE_TO_DOSE or key == _RELATIVE_TO_OTHER_END
    floor = abs(dose_gy) if relative else _SMALL.get(key, 0.0)
    return abs(a - b) / max(abs(a), abs(b), floor)


def _mean_doses(volumes: object) -> dict[str, float]:
    """By name of a volume its mean dose, Gy."""
    if not isinstance(volumes, Mapping):
        return {}
    return {
        str(name): float(own["dose_mean_Gy"])
        for name, own in volumes.items()
        if isinstance(own, Mapping) and isinstance(own.get("dose_mean_Gy"), int | float)
    }
