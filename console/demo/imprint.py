"""Known holmium on a site's own images: S·exp(−r2*·c·TE), with the noise that the attenuation took away put back.

If M = |S + n| is the measured magnitude, n circular Gaussian with σ per channel, then |a·M + n'| with n' of variance
σ²(1 − a²) is distributed exactly as |a·S + n| would be: turning n by the unknown phase of S + n changes nothing.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from console.demo.imprint_files import SourceSeries, read_series, rewritten
from console.demo.phantom_acquisition import complex_noise
from console.demo.phantom_dicom import PhantomError, Progress
from console.demo.phantom_headers import Flavour, PhantomPatient, SeriesHeader, date_text, part10, time_text, uid
from console.demo.phantom_plan import local
from console.demo.phantom_structures import sphere, structure_set
from console.demo.phantom_treatment import (
    DOSE_PER_ACTIVITY_GY_KG_PER_MBQ,
    LIVER_DENSITY_G_PER_ML,
    RELAXIVITY_PER_S_PER_MG_ML,
)
from console.demo.shapes import Triple, normalised_radius_squared
from quantify.model import Array

RAYLEIGH_MEDIAN = math.sqrt(2.0 * math.log(2.0))
"""Median over σ of the magnitude of pure noise."""
SUBSAMPLES = 3
"""Points per axis and voxel that the attenuation is averaged over."""


@dataclass(frozen=True, kw_only=True)
class ImprintOptions:
    """What is imprinted: c(r) = peak·(1 − r²/R²), so the mean over the sphere is 2/5 of the peak.

    The profile falls to zero at the edge, where a step would make border voxels decay other than mono-exponentially.

    ``centre_mm`` (LPS) None: the centre of intensity of the first echo. ``noise_sigma`` None: estimated from the
    corners of the images. ``specific_activity_mbq_per_mg`` holds at the time of the injection.
    """

    centre_mm: Triple | None = None
    radius_mm: float = 12.5
    peak_mg_per_ml: float = 1.0
    specific_activity_mbq_per_mg: float = 12.0
    relaxivity_per_s_per_mg_ml: float | None = None
    noise_sigma: float | None = None
    position: str = "RHA"
    seed: int = 1
    time_zone: str = "Europe/Amsterdam"

    def __post_init__(self) -> None:
        for name in ("radius_mm", "peak_mg_per_ml", "specific_activity_mbq_per_mg"):
            if not getattr(self, name) > 0:
                raise PhantomError(f"ImprintOptions.{name} is {getattr(self, name)}; expected a positive number.")


@dataclass(frozen=True, kw_only=True)
class ImprintedTreatment:
    """What was written: folders in the order in which a scanner would send them."""

    folder: Path
    plan_path: Path
    truth_path: Path
    structures: Path
    reference: Path
    fraction: Path
    centre_mm: Triple
    noise_sigma: float
    injected_mbq: float
    mean_dose_gy: float


def imprint(
    source: Path, target: Path, options: ImprintOptions | None = None, progress: Progress | None = None
) -> ImprintedTreatment:
    """Write a site's series as reference and, with known holmium, as the first fraction; plan, structure and truth.

    Parameters
    ----------
    source
        Holds a multi-echo gradient-echo magnitude series; phase images and other series in it are left out.
    target
        Created if absent; must be empty otherwise. ``reference/`` holds the original files unchanged,
        ``fraction1/`` the imprinted ones: headers as they were but for series and instance UIDs and times.

    Raises
    ------
    PhantomError
        If there is no such series, the sphere does not lie within it, or the noise cannot be estimated.
    """
    options = options or ImprintOptions()
    tell = progress or (lambda text, share: None)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PhantomError(f"{target} is not an empty folder; name a new one, so that nothing is mixed or overwritten.")
    tell("reading", 0.0)
    series = read_series(source, time_zone=ZoneInfo(options.time_zone))
    centre = options.centre_mm or intensity_centre_mm(series, margin_mm=options.radius_mm)
    sigma = estimate_noise_sigma(series) if options.noise_sigma is None else options.noise_sigma
    relaxivity = options.relaxivity_per_s_per_mg_ml or _relaxivity(series)
    options = replace(options, centre_mm=centre, noise_sigma=sigma, relaxivity_per_s_per_mg_ml=relaxivity)
    _check_inside(series, centre, options.radius_mm)
    first, last = _acquired(series)
    injected_at = (last + timedelta(minutes=6)).replace(second=0, microsecond=0)
    later_by = injected_at + timedelta(minutes=4) - first

    reference, fraction, structures = target / "reference", target / "fraction1", target / "structures"
    for folder in (reference, fraction, structures):
        folder.mkdir(parents=True)
    identity = f"imprint/{options!r}"
    signals = imprinted_signals(series, options)
    for number, path in enumerate(series.paths):
        tell(path.name, 0.2 + 0.8 * number / len(series.paths))
        data = path.read_bytes()
        (reference / path.name).write_bytes(data)
        frames = {image.frame: pair for image, pair in signals if image.path == path}
        (fraction / path.name).write_bytes(rewritten(path, frames, identity=identity, later_by=later_by))
    original = dcmread(series.paths[0], stop_before_pixels=True)
    (structures / "sphere.dcm").write_bytes(_sphere_structures(series, original, options, identity, first))

    volume_ml = 4.0 / 3.0 * math.pi * options.radius_mm**3 / 1000.0
    injected_mbq = 0.4 * options.peak_mg_per_ml * volume_ml * options.specific_activity_mbq_per_mg
    truth = _truth(options, series, volume_ml, injected_mbq)
    (target / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    (target / "plan.toml").write_text(_plan(options, series, original, injected_mbq, injected_at))
    tell("done", 1.0)
    return ImprintedTreatment(
        folder=target,
        plan_path=target / "plan.toml",
        truth_path=target / "truth.json",
        structures=structures,
        reference=reference,
        fraction=fraction,
        centre_mm=centre,
        noise_sigma=sigma,
        injected_mbq=injected_mbq,
        mean_dose_gy=truth["dose_mean_Gy"],
    )


def estimate_noise_sigma(series: SourceSeries) -> float:
    """Return σ per channel from the four corners of every image: the median of a Rayleigh distribution over √(2 ln 2).

    Raises
    ------
    PhantomError
        If the corners are masked (zero), as some scanners deliver them.
    """
    rows, columns = series.grid.shape[1] // 12 + 1, series.grid.shape[2] // 12 + 1
    corners = [
        part
        for image in series.images
        for half in (image.image.signal[:rows], image.image.signal[-rows:])
        for part in (half[:, :columns].ravel(), half[:, -columns:].ravel())
    ]
    median = float(np.median(np.concatenate(corners)))
    if not median > 0:
        raise PhantomError(
            "The corners of the images are masked (zero), so their noise cannot be measured; give it as noise_sigma."
        )
    return median / RAYLEIGH_MEDIAN


def intensity_centre_mm(series: SourceSeries, *, margin_mm: float = 0.0) -> Triple:
    """Return the centre of intensity of the first echo, LPS mm, without what lies under half of the 99th percentile.

    It is moved, where it has to be, so that `margin_mm` of the slab lie around it.
    """
    n_slices = series.grid.shape[0]
    volume = np.array([image.image.signal for image in series.images[:n_slices]], dtype=np.float64)
    volume[volume < 0.5 * np.percentile(volume, 99)] = 0.0
    index = [float((volume.sum(axis=others) * np.arange(size)).sum() / volume.sum()) for others, size in _axes(volume)]
    margin = margin_mm / np.asarray(series.grid.spacing_mm)
    highest = np.asarray(series.grid.shape) - 0.5 - margin
    if np.all(highest > margin - 0.5):
        # A twentieth of a voxel, so that rounding the centre does not put the sphere outside again.
        index = list(np.clip(index, margin - 0.45, highest - 0.05))
    x, y, z = (series.grid.affine_lps_mm @ [*index, 1.0])[:3]
    return round(float(x), 2), round(float(y), 2), round(float(z), 2)


def imprinted_signals(series: SourceSeries, options: ImprintOptions) -> list[tuple[Any, tuple[Array, Array]]]:
    """Return for every image its magnitude as measured and as it would be with the holmium."""
    if options.centre_mm is None or options.noise_sigma is None or options.relaxivity_per_s_per_mg_ml is None:
        raise ValueError("imprinted_signals needs centre_mm, noise_sigma and relaxivity_per_s_per_mg_ml.")
    result = []
    for number, source in enumerate(series.images):
        echo, index = divmod(number, series.grid.shape[0])
        factor = attenuation(series, index, series.echo_times_s[echo], options)
        sigma = options.noise_sigma * np.sqrt(1.0 - factor**2)
        rows, columns = factor.shape
        noise = complex_noise((rows, columns), 1.0, options.seed, echo, index) * sigma
        inside = factor < 1.0
        after = np.where(inside, np.abs(factor * source.image.signal + noise), source.image.signal)
        result.append((source, (source.image.signal, after.astype(np.float32))))
    return result


def attenuation(series: SourceSeries, slice_index: int, echo_time_s: float, options: ImprintOptions) -> Array:
    """Return a = mean over the voxel of exp(−r2*·c·TE), (row, column): exactly 1 outside the sphere."""
    centre, relaxivity = options.centre_mm or (0.0, 0.0, 0.0), options.relaxivity_per_s_per_mg_ml or 0.0
    affine = series.grid.affine_lps_mm
    rows, columns = np.meshgrid(*(np.arange(n) for n in series.grid.shape[1:]), indexing="ij")
    steps = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    total = np.zeros(rows.shape)
    for ds, dr, dc in itertools.product(steps, steps, steps):
        voxel = np.array([np.full(rows.shape, slice_index + ds), rows + dr, columns + dc])
        points = np.tensordot(affine[:3, :3], voxel, axes=1) + affine[:3, 3][:, None, None]
        rho_squared = normalised_radius_squared(points, centre, (options.radius_mm,) * 3)
        concentration = options.peak_mg_per_ml * np.maximum(1.0 - rho_squared, 0.0)
        total += np.exp(-relaxivity * concentration * echo_time_s)
    return np.asarray(np.minimum(total / SUBSAMPLES**3, 1.0), dtype=np.float32)


def _axes(volume: np.ndarray[Any, Any]) -> list[tuple[tuple[int, ...], int]]:
    return [(tuple(other for other in range(3) if other != axis), volume.shape[axis]) for axis in range(3)]


def _relaxivity(series: SourceSeries) -> float:
    # r2* is proportional to the field (static dephasing), which covers 0.55 T and 2.9 T systems.
    return RELAXIVITY_PER_S_PER_MG_ML[3.0] * series.field_strength_t / 3.0


def _check_inside(series: SourceSeries, centre_mm: Triple, radius_mm: float) -> None:
    index = (series.grid.index_from_lps @ [*centre_mm, 1.0])[:3]
    margin = radius_mm / np.asarray(series.grid.spacing_mm)
    if np.any(index < margin - 0.5) or np.any(index > np.asarray(series.grid.shape) - 0.5 - margin):
        size = ", ".join(f"{n * s:.0f}" for n, s in zip(series.grid.shape, series.grid.spacing_mm, strict=True))
        place = ", ".join(f"{value:g}" for value in centre_mm)
        raise PhantomError(
            f"A sphere of {radius_mm:g} mm radius at ({place}) mm does not lie within the slab of {size} mm (slices, "
            "rows, columns); choose another centre or a smaller radius."
        )


def _acquired(series: SourceSeries) -> tuple[datetime, datetime]:
    times = [image.image.acquired_at for image in series.images if image.image.acquired_at is not None]
    if not times:
        raise PhantomError("The images carry no acquisition time, so no fraction could follow them.")
    return min(times), max(times)


def _sphere_structures(
    series: SourceSeries, original: Dataset, options: ImprintOptions, identity: str, at: datetime
) -> bytes:
    """Return an RT Structure Set with the sphere, in the study and of the patient of the original."""
    when = local(at, options.time_zone)
    header = SeriesHeader(
        identity=identity,
        patient=PhantomPatient(),
        flavour=Flavour.SIEMENS_CLASSIC,
        study_at=when,
        acquired_at=when,
        number=999,
        description="imprinted sphere",
        field_strength_t=series.field_strength_t,
        repetition_time_ms=0.0,
        flip_angle_deg=0.0,
    )
    planes = series.images[: series.grid.shape[0]]
    instances = tuple(image.image.sop_instance_uid for image in planes)
    ds = structure_set(
        header,
        (sphere("Tumour 1", options.centre_mm or (0.0, 0.0, 0.0), options.radius_mm),),
        series.grid,
        frame_of_reference=series.grid.frame_of_reference_uid,
        anatomy_series_uid=planes[0].image.series_instance_uid,
        anatomy_instance_uids=instances if len(set(instances)) > 1 else instances[:1],
        anatomy_class_uid=str(original.SOPClassUID),
    )
    for name in ("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate"):
        if name in original:
            setattr(ds, name, original.get(name))
        elif name in ds:
            delattr(ds, name)
    for name in ("PatientSex", "StudyInstanceUID", "StudyID"):
        setattr(ds, name, original.get(name, ""))
    ds.StudyDate, ds.StudyTime = original.get("StudyDate", date_text(when)), original.get("StudyTime", time_text(when))
    study = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    study.ReferencedSOPInstanceUID = ds.StudyInstanceUID
    ds.SeriesInstanceUID = uid(identity, "structures", ds.StudyInstanceUID)
    return part10(ds)


def _truth(options: ImprintOptions, series: SourceSeries, volume_ml: float, injected_mbq: float) -> dict[str, Any]:
    """Doses in closed form: of c = peak·(1 − ρ²) the hottest share p of the sphere lies within ρ = p^(1/3)."""
    peak_gy = (
        options.peak_mg_per_ml
        * options.specific_activity_mbq_per_mg
        * DOSE_PER_ACTIVITY_GY_KG_PER_MBQ
        * 1000.0
        / LIVER_DENSITY_G_PER_ML
    )
    return {
        "schema": 1,
        "structure": "Tumour 1",
        "centre_mm": list(options.centre_mm or ()),
        "radius_mm": options.radius_mm,
        "volume_mL": volume_ml,
        "peak_mg_per_mL": options.peak_mg_per_ml,
        "holmium_mean_mg_per_mL": 0.4 * options.peak_mg_per_ml,
        "relaxivity_per_s_per_mg_mL": options.relaxivity_per_s_per_mg_ml,
        "delta_r2star_mean_per_s": 0.4 * options.peak_mg_per_ml * (options.relaxivity_per_s_per_mg_ml or 0.0),
        "injected_MBq": injected_mbq,
        "dose_mean_Gy": 0.4 * peak_gy,
        **{f"d{p}_Gy": peak_gy * (1.0 - (p / 100.0) ** (2.0 / 3.0)) for p in (90, 70, 50)},
        "noise_sigma": options.noise_sigma,
        "field_T": series.field_strength_t,
        "images": len(series.images),
        "images_left_out": series.dropped,
    }


def _plan(
    options: ImprintOptions, series: SourceSeries, original: Dataset, injected_mbq: float, injected_at: datetime
) -> str:
    when = local(injected_at, options.time_zone).isoformat()
    birth = str(original.get("PatientBirthDate", ""))
    issuer = str(original.get("IssuerOfPatientID", "") or "")
    lines = [
        "schema = 1",
        f'time_zone = "{options.time_zone}"',
        "",
        "[patient]",
        f"id = {json.dumps(str(original.get('PatientID', '')))}",
        *([f"issuer = {json.dumps(issuer)}"] if issuer else []),
        *([f"birth_date = {date.fromisoformat(birth).isoformat()}"] if len(birth) == 8 and birth.isdigit() else []),
        "",
        "[microspheres]",
        "holmium_fraction = 0.195",
        f"specific_activity_MBq_per_mg = {options.specific_activity_mbq_per_mg}",
        f"reference_time = {when}",
        "",
        "[calibration]",
        f"relaxivity_per_s_per_mg_mL = {options.relaxivity_per_s_per_mg_ml}",
        f"field_T = {series.field_strength_t}",
        "holmium_fraction = 0.195",
        "",
        "[quantification]",
        f"tissue_density_g_per_mL = {LIVER_DENSITY_G_PER_ML}",
        'dose_model = "local"',
        "",
        "[structures]",
        'tumours = ["Tumour 1"]',
        "",
        "[[injections]]",
        f'position = "{options.position}"',
        "fraction = 1",
        f"planned_MBq = {injected_mbq:.4f}",
        f"activity_MBq = {injected_mbq:.4f}",
        f"time = {when}",
    ]
    return "\n".join(lines) + "\n"
