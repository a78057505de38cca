"""What is injected into the phantom, where it lodges, and the dose that follows from formula alone.

Nothing here uses `quantify`: the truth must not share a mistake with what it judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from console.demo.phantom import LIVER_BOX_MM, Phantom, Region, Territory, principal_plane_mm
from console.demo.shapes import Floats

HALF_LIFE_H = 26.80
"""ICRP Publication 107."""
DOSE_PER_ACTIVITY_GY_KG_PER_MBQ = 15.87e-3
"""Absorbed energy per injected activity, J/MBq: the convention of 166Ho radioembolization (EMERITUS-1, eq. 1)."""
LIVER_DENSITY_G_PER_ML = 1.06
"""EMERITUS-1 and the 166Ho literature."""
RELAXIVITY_PER_S_PER_MG_ML = {3.0: 218.0, 1.5: 109.0}
"""r2* per (mg microspheres/mL) by field strength [T]: static-dephasing theory, 19.5 % holmium content."""
FRACTION_SHARES = (0.1, 0.3, 0.3, 0.3)
"""Shares of the planned activity (EMERITUS-1)."""


@dataclass(frozen=True, kw_only=True)
class DeliveredInjection:
    """One injection as it happened: ``activity_mbq`` net at ``time``, the end of the injection."""

    position: str
    fraction: int
    planned_mbq: float
    activity_mbq: float
    time: datetime
    specific_activity_mbq_per_mg: float
    acquired_at: datetime
    """Start of the acquisition that shows it."""

    @property
    def mass_mg(self) -> float:
        """Mass of the microspheres delivered, mg."""
        return self.activity_mbq / self.specific_activity_mbq_per_mg


@dataclass(frozen=True, kw_only=True)
class VolumeTruth:
    """True cumulative state of one volume. Doses by local deposition to infinity, Gy."""

    role: str
    volume_ml: float
    mean_dose_gy: float
    d90_gy: float
    d70_gy: float
    d50_gy: float
    mean_holmium_mg_per_ml: float
    tnr: float | None
    """Ratio of the mean activity concentrations of this tumour and healthy liver; None for what is no tumour."""


@dataclass(frozen=True, kw_only=True)
class FractionTruth:
    """The truth after one injection, cumulative over all before it."""

    injection: DeliveredInjection
    cumulative_injected_mbq: float
    volumes: dict[str, VolumeTruth]


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """The course of a treatment of one phantom.

    Parameters
    ----------
    phantom
        The patient.
    positions
        One injection position (perfuses the whole liver), or two (right half, then left half).
    fractions
        Injections per position: the first `fractions` of 10, 30, 30, 30 %.
    planned_dose_gy
        Mean liver dose that the planned activity would give.
    specific_activity_mbq_per_mg
        Per mg of microspheres at `reference_time`.
    saturating_tumour
        Index of the tumour that takes only `saturated_share` of its linear share of the last fraction of its
        position; the rest lodges in healthy liver, so all activity stays in the liver. None: every tumour is linear.
    reference_time
        Local time, of `time_zone`, of the specific activity; the first injection ends 8 minutes after it.

    Raises
    ------
    ValueError
        If there are not one or two positions, 1 to 4 fractions, or no such tumour.
    """

    phantom: Phantom
    positions: tuple[str, ...] = ("RHA", "LHA")
    fractions: int = 4
    planned_dose_gy: float = 60.0
    specific_activity_mbq_per_mg: float = 12.0
    holmium_fraction: float = 0.195
    saturating_tumour: int | None = 0
    saturated_share: float = 0.45
    reference_time: datetime = datetime(2026, 3, 4, 10, 0)
    time_zone: str = "Europe/Amsterdam"
    integration_step_mm: float = 1.25

    def __post_init__(self) -> None:
        if len(self.positions) not in (1, 2) or len(set(self.positions)) != len(self.positions):
            raise ValueError(f"Treatment.positions is {self.positions}; expected one or two different names.")
        if not 1 <= self.fractions <= len(FRACTION_SHARES):
            raise ValueError(f"Treatment.fractions is {self.fractions}; expected 1 to {len(FRACTION_SHARES)}.")
        if self.saturating_tumour is not None and not 0 <= self.saturating_tumour < self.phantom.n_tumours:
            raise ValueError(
                f"Treatment.saturating_tumour is {self.saturating_tumour}; expected 0 to {self.phantom.n_tumours - 1}."
            )

    @property
    def territories(self) -> dict[str, Territory]:
        """What each position perfuses."""
        if len(self.positions) == 1:
            return {self.positions[0]: Territory.WHOLE}
        return dict(zip(self.positions, (Territory.RIGHT, Territory.LEFT), strict=True))

    @property
    def reference_time_aware(self) -> datetime:
        """`reference_time` with the offset of `time_zone`."""
        return self.reference_time.replace(tzinfo=ZoneInfo(self.time_zone))

    def fed_tumours(self, position: str) -> tuple[str, ...]:
        """Names of the tumours that an injection at `position` reaches."""
        territory = self.territories[position]
        return tuple(t.name for t in self.phantom.tumours if territory in (Territory.WHOLE, t.side))

    def specific_activity_at(self, time: datetime) -> float:
        """Specific activity at an aware time, MBq per mg of microspheres."""
        hours = (time - self.reference_time_aware) / timedelta(hours=1)
        return float(self.specific_activity_mbq_per_mg * 2.0 ** (-hours / HALF_LIFE_H))

    @cached_property
    def injections(self) -> tuple[DeliveredInjection, ...]:
        """Every injection, in order: 14 minutes apart, 40 minutes between positions, imaged 4 minutes later."""
        rng = np.random.default_rng([self.phantom.seed, 3])
        time = self.reference_time_aware + timedelta(minutes=8)
        result = []
        for position in self.positions:
            target_kg = self._samples.target_ml(self.territories[position]) * LIVER_DENSITY_G_PER_ML / 1000.0
            planned = self.planned_dose_gy * target_kg / DOSE_PER_ACTIVITY_GY_KG_PER_MBQ
            for number in range(self.fractions):
                share = round(planned * FRACTION_SHARES[number], 0)
                activity = round(share * (1.0 + float(rng.uniform(-0.04, 0.02))), 1)
                result.append(
                    DeliveredInjection(
                        position=position,
                        fraction=number + 1,
                        planned_mbq=share,
                        activity_mbq=activity,
                        time=time,
                        specific_activity_mbq_per_mg=self.specific_activity_at(time),
                        acquired_at=time + timedelta(minutes=4),
                    )
                )
                time += timedelta(minutes=14)
            time += timedelta(minutes=26)
        return tuple(result)

    @property
    def liver_ml(self) -> float:
        """Volume of the liver with its tumours and vessels, mL."""
        return self._samples.volume_ml(self._samples.regions > 0)

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Mass per relative uptake, mg/mL, (injection, region): times `Phantom.uptake` that injection's increment.

        Normalised so that the increment integrates over the liver to the injected mass.
        """
        n_regions = Region.FIRST_TUMOUR + self.phantom.n_tumours
        result = np.zeros((len(self.injections), n_regions))
        last = self._saturated_injection()
        for k, injection in enumerate(self.injections):
            masses = self._samples.integrals(self.territories[injection.position], self.phantom)
            result[k] = injection.mass_mg / masses.sum()
            if k == last and self.saturating_tumour is not None:
                region = Region.FIRST_TUMOUR + self.saturating_tumour
                turned_away = (1.0 - self.saturated_share) * masses[region] / masses[Region.HEALTHY]
                result[k, region] *= self.saturated_share
                result[k, Region.HEALTHY] *= 1.0 + turned_away
        return result

    def holmium(self, points_mm: Floats, regions: NDArray[np.uint8], n_injections: int) -> Floats:
        """Concentration of microspheres after the first `n_injections`, mg/mL, at points whose regions are known."""
        result = np.zeros(points_mm.shape[1:], dtype=points_mm.dtype)
        for position, territory in self.territories.items():
            rows = [k for k in range(n_injections) if self.injections[k].position == position]
            if rows:
                amount = self.shares[rows].sum(axis=0).astype(points_mm.dtype)
                result += amount[regions] * self.phantom.uptake(points_mm, regions, territory)
        return result

    def truth(self, index: int) -> FractionTruth:
        """Return what is true after injection number `index` (from 0): D = 15.87·Σ Δc·SA(t_injection)/ρ."""
        samples = self._samples
        dose = np.zeros(samples.regions.shape)
        holmium = np.zeros(samples.regions.shape)
        for k in range(index + 1):
            injection = self.injections[k]
            increment = self.shares[k][samples.regions] * samples.uptake[self.territories[injection.position]]
            holmium += increment
            dose += increment * injection.specific_activity_mbq_per_mg
        dose *= DOSE_PER_ACTIVITY_GY_KG_PER_MBQ * 1000.0 / LIVER_DENSITY_G_PER_ML
        volumes = {}
        healthy_mean = float(dose[samples.regions < Region.FIRST_TUMOUR].mean())
        for name, role, mask in self._volumes():
            values = dose[mask]
            d90, d70, d50 = np.percentile(values, (10.0, 30.0, 50.0))
            volumes[name] = VolumeTruth(
                role=role,
                volume_ml=samples.volume_ml(mask),
                mean_dose_gy=float(values.mean()),
                d90_gy=float(d90),
                d70_gy=float(d70),
                d50_gy=float(d50),
                mean_holmium_mg_per_ml=float(holmium[mask].mean()),
                tnr=float(values.mean()) / healthy_mean if role == "tumour" else None,
            )
        return FractionTruth(
            injection=self.injections[index],
            cumulative_injected_mbq=sum(i.activity_mbq for i in self.injections[: index + 1]),
            volumes=volumes,
        )

    def _volumes(self) -> list[tuple[str, str, NDArray[np.bool_]]]:
        regions = self._samples.regions
        healthy = regions < Region.FIRST_TUMOUR
        result = [("Liver", "liver", np.ones(regions.shape, dtype=bool)), ("Healthy liver", "healthy_liver", healthy)]
        if len(self.positions) == 2:
            for position, territory in self.territories.items():
                inside = healthy & (self._samples.right == (territory is Territory.RIGHT))
                result.append((f"Healthy liver {position}", "healthy_liver", inside))
        for number, tumour in enumerate(self.phantom.tumours):
            result.append((tumour.name, "tumour", regions == Region.FIRST_TUMOUR + number))
        return result

    def _saturated_injection(self) -> int | None:
        if self.saturating_tumour is None:
            return None
        name = self.phantom.tumours[self.saturating_tumour].name
        feeding = [k for k, injection in enumerate(self.injections) if name in self.fed_tumours(injection.position)]
        return feeding[-1]

    @cached_property
    def _samples(self) -> _LiverSamples:
        return _sample_liver(self.phantom, self.integration_step_mm, tuple(self.territories.values()))


@dataclass(frozen=True, kw_only=True, eq=False)
class _LiverSamples:
    """Every point of a fine grid that lies in the liver: flat arrays of its region, side and uptakes."""

    step_mm: float
    regions: NDArray[np.uint8]
    right: NDArray[np.bool_]
    uptake: dict[Territory, NDArray[np.float64]]

    def __post_init__(self) -> None:
        # One is shared by all treatments of a phantom: it takes longer to make than the rest of a coarse one.
        for values in (self.regions, self.right, *self.uptake.values()):
            values.setflags(write=False)

    def volume_ml(self, mask: NDArray[np.bool_]) -> float:
        return float(np.count_nonzero(mask)) * self.step_mm**3 / 1000.0

    def target_ml(self, territory: Territory) -> float:
        """Volume of the liver (tumours included) in a territory, mL: what its activity is planned for."""
        if territory is Territory.WHOLE:
            return self.volume_ml(self.regions > 0)
        return self.volume_ml(self.right == (territory is Territory.RIGHT))

    def integrals(self, territory: Territory, phantom: Phantom) -> NDArray[np.float64]:
        """∫ uptake dV per region, mL."""
        n_regions = Region.FIRST_TUMOUR + phantom.n_tumours
        sums = np.bincount(self.regions, weights=self.uptake[territory], minlength=n_regions)
        return np.asarray(sums * (self.step_mm**3 / 1000.0), dtype=np.float64)


@lru_cache(maxsize=4)
def _sample_liver(phantom: Phantom, step_mm: float, territories: tuple[Territory, ...]) -> _LiverSamples:
    axes = [np.arange(low + step_mm / 2, high, step_mm) for low, high in LIVER_BOX_MM]
    regions, right = [], []
    uptake: dict[Territory, list[Any]] = {territory: [] for territory in territories}
    # Slab by slab, so that the working set stays in the processor's cache.
    for z in axes[2]:
        x, y = np.meshgrid(axes[0], axes[1], indexing="ij")
        plane = np.array([x, y, np.full_like(x, z)]).reshape(3, -1)
        found = phantom.regions(plane)
        plane, found = plane[:, found > 0], found[found > 0]
        regions.append(found)
        right.append(principal_plane_mm(plane) < 0.0)
        for territory in territories:
            uptake[territory].append(phantom.uptake(plane, found, territory))
    return _LiverSamples(
        step_mm=step_mm,
        regions=np.concatenate(regions),
        right=np.concatenate(right),
        uptake={territory: np.concatenate(parts) for territory, parts in uptake.items()},
    )


def truth_document(treatment: Treatment) -> dict[str, Any]:
    """Return everything that is known about a treatment, as JSON with units in the keys."""
    fractions = []
    for index in range(len(treatment.injections)):
        truth = treatment.truth(index)
        injection = truth.injection
        volumes = {
            name: {
                "role": v.role,
                "volume_mL": v.volume_ml,
                "dose_mean_Gy": v.mean_dose_gy,
                "d90_Gy": v.d90_gy,
                "d70_Gy": v.d70_gy,
                "d50_Gy": v.d50_gy,
                "holmium_mean_mg_per_mL": v.mean_holmium_mg_per_ml,
                "tnr": v.tnr,
            }
            for name, v in truth.volumes.items()
        }
        fractions.append(
            {
                "position": injection.position,
                "fraction": injection.fraction,
                "injected_MBq": injection.activity_mbq,
                "injected_mass_mg": injection.mass_mg,
                "specific_activity_MBq_per_mg": injection.specific_activity_mbq_per_mg,
                "cumulative_injected_MBq": truth.cumulative_injected_mbq,
                "injected_at": injection.time.isoformat(),
                "acquired_at": injection.acquired_at.isoformat(),
                "volumes": volumes,
            }
        )
    saturating = treatment.saturating_tumour
    return {
        "schema": 1,
        "seed": treatment.phantom.seed,
        "positions": {position: list(treatment.fed_tumours(position)) for position in treatment.positions},
        "saturating_tumour": None if saturating is None else treatment.phantom.tumours[saturating].name,
        "tissue_density_g_per_mL": LIVER_DENSITY_G_PER_ML,
        "fractions": fractions,
    }
