"""One phantom treatment through the whole chain: DICOM files into the console's engine, and the truth beside it."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from config.plan import TreatmentPlan, load_plan
from config.settings import load_settings
from console.demo.phantom import Region
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomOptions, write_phantom
from console.demo.phantom_disturbance import Disturbances
from console.demo.phantom_headers import Flavour
from console.demo.phantom_treatment import Treatment
from console.engine import Engine
from console.reader import Reader
from console.snapshot import Snapshot
from dicom_listener.events import Event, Kind

ZONE = "Europe/Amsterdam"
FACTORS = ("fat", "drift", "gain field", "breath-hold")
SHAPE, SPACING_MM = (34, 72, 96), (5.0, 3.75, 3.75)
LARGEST_MODULATION = 1.42
"""Peak over mean of the uptake inside a tumour of the phantom."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A phantom drawn from a seed, and which disturbances it has."""

    options: PhantomOptions
    factors: tuple[str, ...]
    peak_mg_per_ml: float


def scenario(seed: int, *, only: tuple[str, ...] | None = None) -> Scenario:
    """Draw a phantom: 1.5 or 3 T, SNR 30–80, T/N 1–6, peaks to 3 mg/mL, shifts to 5 mm and 3°.

    Each disturbance is in a third of the phantoms; with `only` exactly those named, at a fixed strength, and everything
    else is as drawn.
    """
    rng = np.random.default_rng([seed, 1])
    n_tumours = int(rng.integers(2, 4))
    two_positions = bool(rng.random() < 0.2)
    uptakes = tuple(round(float(value), 3) for value in rng.uniform(1.0, 6.0, n_tumours))
    drawn = {name: bool(rng.random() < 1 / 3) for name in FACTORS}
    strengths = {
        "fat": float(rng.uniform(0.03, 0.20)),
        "drift": 1.0,
        "gain field": float(rng.uniform(0.1, 0.3)),
        "breath-hold": float(rng.uniform(3.0, 10.0)),
    }
    if only is not None:
        drawn = {name: name in only for name in FACTORS}
        strengths = {"fat": 0.10, "drift": 1.0, "gain field": 0.2, "breath-hold": 8.0}
    options = PhantomOptions(
        seed=seed,
        n_tumours=n_tumours,
        positions=("RHA", "LHA") if two_positions else ("RHA",),
        fractions=2 if two_positions else 4,
        saturating_tumour=int(rng.integers(0, n_tumours)) if rng.random() < 0.5 else None,
        flavour=Flavour.SIEMENS_ENHANCED if rng.random() < 0.5 else Flavour.PHILIPS_ENHANCED,
        acquisition=AcquisitionOptions(
            shape=SHAPE,
            spacing_mm=SPACING_MM,
            field_strength_t=float(rng.choice([1.5, 3.0])),
            tilt_deg=tuple(float(v) for v in rng.uniform(-8.0, 8.0, 3)) if rng.random() < 0.5 else (0.0, 0.0, 0.0),  # type: ignore[arg-type]
            snr=round(float(rng.uniform(30.0, 80.0)), 1),
        ),
        anatomy_spacing_mm=(4.0, 3.0, 3.0),
        shift_mm=5.0,
        turn_deg=3.0,
        uptakes=uptakes,
        specific_activity_mbq_per_mg=round(float(rng.uniform(8.0, 14.0)), 2),
        disturbances=Disturbances(
            fat_fraction=round(strengths["fat"], 3) if drawn["fat"] else 0.0,
            drift_per_s=strengths["drift"] if drawn["drift"] else 0.0,
            gain_field=round(strengths["gain field"], 3) if drawn["gain field"] else 0.0,
            breath_hold_mm=round(strengths["breath-hold"], 2) if drawn["breath-hold"] else 0.0,
        ),
    )
    wanted = float(rng.uniform(0.8, 3.0))
    # Concentrations are proportional to the planned dose.
    dose = float(np.clip(60.0 * wanted / peak_mg_per_ml(options.treatment()), 30.0, 90.0))
    options = replace(options, planned_dose_gy=round(dose, 1))
    return Scenario(
        options=options,
        factors=tuple(name for name in FACTORS if drawn[name]),
        peak_mg_per_ml=peak_mg_per_ml(options.treatment()),
    )


def peak_mg_per_ml(treatment: Treatment) -> float:
    """Highest concentration in any tumour at the end, mg/mL (about: from the modulation of the uptake)."""
    amounts = replace(treatment, integration_step_mm=4.0).shares.sum(axis=0)
    return max(
        float(amounts[Region.FIRST_TUMOUR + number]) * tumour.uptake * LARGEST_MODULATION
        for number, tumour in enumerate(treatment.phantom.tumours)
    )


def measured(options: PhantomOptions) -> tuple[Snapshot, dict[str, Any]]:
    """Write the phantom's files, feed them to an engine, and return what it says and the truth."""
    with tempfile.TemporaryDirectory(prefix="holmia-validation-") as name:
        folder = Path(name) / "phantom"
        write_phantom(folder, options)
        return fed(folder), json.loads((folder / "truth.json").read_text(encoding="utf-8"))


def fed(folder: Path, *, shuffled: bool = False) -> Snapshot:
    """Every file of a phantom, association by association, straight into an engine: no network."""
    associations = {}
    for series in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(series.rglob("*.dcm"))
        if shuffled:
            random.Random(1).shuffle(files)
        associations[series.name] = (path.read_bytes() for path in files)
    return said_of(load_plan(folder / "plan.toml", site_time_zone=ZONE), associations)


def said_of(
    plan: TreatmentPlan, associations: Mapping[str, Iterable[bytes]], *, reader: Reader | None = None
) -> Snapshot:
    """What an engine says of a plan and then of every association, instance by instance."""
    settings = load_settings()
    engine, seq = Engine(reader=reader), 0

    def event(kind: str, payload: dict[str, Any], data: bytes | None = None) -> None:
        nonlocal seq
        seq += 1
        taken = Event(
            seq=seq,
            utc=datetime(2026, 3, 4, 9, 0, tzinfo=UTC),
            actor="validation",
            kind=kind,
            payload=payload,
            object_sha256="x" if data is not None else None,
            previous_hash="",
            hash=str(seq),
        )
        engine.take(taken, data)

    loaded = {"quantification": settings.quantification.to_mapping(), "alarms": settings.alarms.to_mapping()}
    event(Kind.PLAN_LOADED, {"plan": plan.to_mapping(), "sha256": plan.sha256, "settings": loaded, "time_zone": ZONE})
    for name, objects in associations.items():
        for data in objects:
            event(Kind.INSTANCE_STORED, {"association": name}, data)
        event(Kind.ASSOCIATION_CLOSED, {"association": name})
    engine.end()
    for _ in engine.advance():
        pass
    return engine.snapshot()
