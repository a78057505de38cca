"""Small treatments with everything that is uncertain drawn from its stated distribution: the truth, and what is seen.

A liver and a tumour, ellipsoids on a coarse grid. The truth is a map of mass per voxel; the program is told a
relaxivity, a specific activity, activities and contours that are wrong by draws from `settings.uncertainty`, and sees
R2* maps with noise, an offset of the reference and offsets of each series. The draws are around the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.validation.decays import bound_per_s
from config.settings import QuantificationSettings, UncertaintySettings
from quantify.findings import FractionResult, Injection
from quantify.isotope import holmium_166
from quantify.model import Grid, ParametricMap, Reason, Role, Volume
from quantify.pipeline import ImagedFraction, Physics, evaluate_treatment, prepare_volumes

SHARES = (0.1, 0.3, 0.3, 0.3)
SHAPE, SPACING_MM = (14, 20, 24), (6.0, 5.0, 5.0)
_LIVER_AXES_MM = (34.0, 40.0, 50.0)
_HALF_LIFE_H, _MJ_PER_MBQ, _DENSITY = 26.80, 15.87, 1.06
_START = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
_RATES = np.linspace(0.0, 1200.0, 121)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is true of one treatment; doses by local deposition, by fraction and volume name."""

    doses_gy: tuple[Mapping[str, float], ...]
    d70_gy: tuple[float, ...]
    tnr: tuple[float, ...]
    recovery: tuple[float, ...]
    results: tuple[FractionResult, ...]
    """What the program says of it."""


def evaluated(seed: int, settings: QuantificationSettings) -> Scene:
    """Draw a treatment and let the program evaluate it."""
    rng = np.random.default_rng([seed, 2])
    terms = settings.uncertainty
    field_t = float(rng.choice([1.5, 3.0]))
    relaxivity = {1.5: 109.0, 3.0: 218.0}[field_t]
    snr, specific = rng.uniform(40.0, 80.0), rng.uniform(8.0, 14.0)
    uptake, liver_gy, kept = rng.uniform(1.5, 6.0), rng.uniform(40.0, 70.0), rng.uniform(0.9, 1.0)
    axes = rng.uniform(13.0, 22.0, 3)
    centre = rng.uniform(-1.0, 1.0, 3) * (np.array(_LIVER_AXES_MM) - axes) * 0.5
    points = _points()
    true = _volumes(points, centre, axes, 1.0, 1.0)
    shape = _uptake(points, centre, axes, uptake, true, rng)

    # True mass per fraction: what lodges in the liver is `kept` of the injected; its activity gives the mean dose.
    liver_ml = _ml(true["Liver"])
    specific_at = specific * 0.5 ** (np.arange(4) * 0.25 / _HALF_LIFE_H)
    activity = np.array(SHARES) * liver_gy * _DENSITY * liver_ml / _MJ_PER_MBQ / kept
    unit = shape / (shape.sum() * _voxel_ml())
    increments = [unit * (kept * a / s) for a, s in zip(activity, specific_at, strict=True)]

    # The energy and density that the program uses are settings; what is true is off by their uncertainty.
    scale = _MJ_PER_MBQ * (1 + _pct(terms.energy_pct, rng)) / (_DENSITY * (1 + _pct(terms.density_pct, rng)))
    dose, doses, d70, recovery = np.zeros(SHAPE), [], [], []
    for increment, own in zip(increments, specific_at, strict=True):
        dose = dose + scale * own * increment
        doses.append({name: float((occupancy * dose).sum() / occupancy.sum()) for name, occupancy in true.items()})
        d70.append(_thirtieth_percentile(dose, true["Tumour 1"]))
        # Activity as the program means it: mean concentration times volume, within the true contour.
        recovery.append(doses[-1]["Liver"] / scale * liver_ml / activity[: len(doses)].sum())

    stated = _volumes(
        points, centre, axes,
        max(0.3, 1 + _pct(terms.contour_tumour_pct, rng)), max(0.3, 1 + _pct(terms.contour_liver_pct, rng)),
    )  # fmt: skip
    fractions = _images(
        increments, true, relaxivity, snr, terms, rng,
        specific_at * (1 + _pct(terms.specific_activity_pct, rng)), activity * (1 + _pct(terms.assay_pct, rng)),
    )  # fmt: skip
    results = _told(fractions, stated, relaxivity * (1 + _pct(terms.relaxivity_pct, rng)), settings)
    return Scene(
        doses_gy=tuple(doses),
        d70_gy=tuple(d70),
        tnr=tuple(d["Tumour 1"] / d["Healthy liver"] for d in doses),
        recovery=tuple(recovery),
        results=results,
    )


def _images(
    increments: list[np.ndarray],
    true: Mapping[str, np.ndarray],
    relaxivity: float,
    snr: float,
    terms: UncertaintySettings,
    rng: np.random.Generator,
    specific_at: np.ndarray,
    activity: np.ndarray,
) -> list[tuple[Injection, np.ndarray, np.ndarray]]:
    """(injection as stated, ΔR2*, its standard error) of every fraction."""
    baseline = 35.0 + 3.0 * rng.standard_normal()
    noise_of = np.array([bound_per_s(rate, snr, s0_known=False) for rate in _RATES])
    reference_sd = np.interp(baseline, _RATES, noise_of)
    reference_noise = reference_sd * rng.standard_normal(SHAPE)
    tumour, healthy = true["Tumour 1"], 1.0 - true["Tumour 1"]
    # One offset for each volume, as the uncertainties are stated; a mixed voxel has its share of both.
    offset = terms.reference_per_s * (tumour * rng.standard_normal() + healthy * rng.standard_normal())
    mass = np.zeros(SHAPE)
    result = []
    for number, increment in enumerate(increments):
        mass = mass + increment
        change = relaxivity * mass
        repeat = np.zeros(SHAPE)
        for part in (tumour, healthy):
            mean_change = float((part * true["Liver"] * change).sum() / (part * true["Liver"]).sum())
            sd = max(terms.repeat_per_s, terms.repeat_pct / 100.0 * mean_change)
            repeat = repeat + part * sd * rng.standard_normal()
        sd_post = np.interp(baseline + change, _RATES, noise_of)
        seen = change + offset + repeat + sd_post * rng.standard_normal(SHAPE) - reference_noise
        injection = Injection(
            position="RHA",
            fraction=number + 1,
            activity_mbq=float(activity[number]),
            time=_START + timedelta(minutes=15 * number),
            specific_activity_mbq_per_mg=float(specific_at[number]),
        )
        result.append((injection, seen, np.hypot(sd_post, reference_sd)))
    return result


def _told(
    images: list[tuple[Injection, np.ndarray, np.ndarray]],
    stated: Mapping[str, np.ndarray],
    relaxivity: float,
    settings: QuantificationSettings,
) -> tuple[FractionResult, ...]:
    """The program's results from what it is told."""
    grid = Grid(shape=SHAPE, affine_lps_mm=np.diag([*SPACING_MM, 1.0]))
    roles = {"Liver": Role.LIVER, "Healthy liver": Role.HEALTHY_LIVER, "Tumour 1": Role.TUMOUR}
    volumes = [
        Volume(name=name, role=roles[name], occupancy=own.astype(np.float32), grid=grid, contour_volume_ml=_ml(own))
        for name, own in stated.items()
    ]
    like = ParametricMap(
        values=np.zeros(SHAPE, dtype=np.float32),
        reason=np.full(SHAPE, Reason.EVALUABLE, dtype=np.uint8),
        grid=grid,
        quantity="R2*",
        unit="1/s",
    )
    fractions = [
        ImagedFraction(
            injection=injection,
            r2star=replace(like, values=(seen + 35.0).astype(np.float32), standard_error=error.astype(np.float32)),
            holmium=replace(
                like,
                values=(seen / relaxivity).astype(np.float32),
                standard_error=(error / relaxivity).astype(np.float32),
                quantity="holmium microspheres",
                unit="mg/mL",
            ),
        )
        for injection, seen, error in images
    ]
    physics = Physics(isotope=holmium_166(), relaxivity_per_s_per_mg_ml=relaxivity, settings=settings)
    told = evaluate_treatment(fractions, volumes=prepare_volumes(volumes, settings), physics=physics)
    return tuple(e.result for e in told)


def _pct(percent: float, rng: np.random.Generator) -> float:
    return percent / 100.0 * float(rng.standard_normal())


def _points() -> np.ndarray:
    """Sub-points (3, voxel…, 27) of every voxel, mm from the grid's centre."""
    steps = np.array([-1 / 3, 0.0, 1 / 3])
    axes = [
        ((np.arange(n) - (n - 1) / 2)[:, None] + steps).ravel() * size
        for n, size in zip(SHAPE, SPACING_MM, strict=True)
    ]
    fine = np.stack(np.meshgrid(*axes, indexing="ij"))
    parts = fine.reshape(3, SHAPE[0], 3, SHAPE[1], 3, SHAPE[2], 3)
    return parts.transpose(0, 1, 3, 5, 2, 4, 6).reshape(3, *SHAPE, 27)


def _volumes(
    points: np.ndarray, centre: np.ndarray, axes: np.ndarray, tumour_factor: float, liver_factor: float
) -> dict[str, np.ndarray]:
    """Occupancies of liver, healthy liver and tumour whose volumes are the true ones times a factor."""
    tumour = _inside(points, centre, axes * np.cbrt(tumour_factor))
    liver = _inside(points, np.zeros(3), np.array(_LIVER_AXES_MM) * np.cbrt(liver_factor)) | tumour
    share = {"Liver": liver, "Healthy liver": liver & ~tumour, "Tumour 1": tumour}
    return {name: inside.mean(axis=-1) for name, inside in share.items()}


def _inside(points: np.ndarray, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    offset = (points - centre[:, None, None, None, None]) / axes[:, None, None, None, None]
    return np.asarray((offset**2).sum(axis=0) < 1.0)


def _uptake(
    points: np.ndarray,
    centre: np.ndarray,
    axes: np.ndarray,
    uptake: float,
    true: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Relative mass of every voxel: a mottled liver, and a tumour that is hotter at its rim or centre."""
    middle = points[..., 13]
    phases, wave = rng.uniform(0.0, 2 * np.pi, 3), np.ones(SHAPE)
    for axis, phase in enumerate(phases):
        wave = wave + 0.15 * np.sin(middle[axis] / 11.0 + phase)
    rho = (((middle - centre[:, None, None, None]) / axes[:, None, None, None]) ** 2).sum(axis=0)
    slope = rng.uniform(-0.5, 0.5)
    inside = uptake * (1.0 + slope * (np.minimum(rho, 1.2) - 0.6))
    return true["Healthy liver"] * wave + true["Tumour 1"] * inside


def _thirtieth_percentile(dose: np.ndarray, occupancy: np.ndarray) -> float:
    """D70 of the true map: 30 % of the occupied volume lies below it."""
    order = np.argsort(dose, axis=None)
    below = np.cumsum(occupancy.ravel()[order]) - occupancy.ravel()[order] / 2
    return float(np.interp(0.3 * occupancy.sum(), below, dose.ravel()[order]))


def _voxel_ml() -> float:
    return float(np.prod(SPACING_MM)) / 1000.0


def _ml(occupancy: np.ndarray) -> float:
    return float(occupancy.sum()) * _voxel_ml()
