"""A whole phantom treatment as a folder of DICOM: anatomy, structures, reference, one series per fraction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.uid import MRImageStorage

from console.demo.phantom import Phantom
from console.demo.phantom_acquisition import (
    SMALL,
    AcquisitionOptions,
    Pose,
    anatomy_signal,
    noiseless_signal,
    slab,
)
from console.demo.phantom_disturbance import Disturbances
from console.demo.phantom_enhanced import enhanced_files
from console.demo.phantom_headers import (
    Flavour,
    PhantomPatient,
    SeriesHeader,
    frame_of_reference_uid,
    part10,
    uid,
)
from console.demo.phantom_plan import local, plan_toml
from console.demo.phantom_series import Acquired, classic_files
from console.demo.phantom_structures import phantom_shapes, structure_set
from console.demo.phantom_treatment import Treatment, truth_document
from quantify.model import Grid

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the whole that is done, 0…1."""


class PhantomError(ValueError):
    """The phantom cannot be written as asked; the text says what, why and what to do."""


@dataclass(frozen=True, kw_only=True)
class PhantomOptions:
    """Which treatment to write, and how it is imaged.

    ``shift_mm`` and ``turn_deg`` bound the patient's motion between series (drawn from the seed; the head–foot
    shift is the largest, as in breathing); ``gain_spread`` bounds the receiver gain's change. The anatomy is drawn
    with ``anatomy_spacing_mm`` (slices, rows, columns). ``series_per_echo`` and ``phase`` are for classic files.

    The last four are for phantoms with a wider range than the demonstration's: ``disturbances`` of the series,
    ``uptakes`` of the tumours instead of those drawn, the planned mean liver dose and the specific activity.
    """

    seed: int = 1
    n_tumours: int = 3
    positions: tuple[str, ...] = ("RHA", "LHA")
    fractions: int = 4
    saturating_tumour: int | None = 0
    flavour: Flavour = Flavour.SIEMENS_CLASSIC
    acquisition: AcquisitionOptions = field(default_factory=AcquisitionOptions)
    anatomy_spacing_mm: tuple[float, float, float] = (3.0, 1.5, 1.5)
    shift_mm: float = 3.0
    turn_deg: float = 0.5
    gain_spread: float = 0.05
    series_per_echo: bool = False
    phase: bool = False
    patient: PhantomPatient = field(default_factory=PhantomPatient)
    utc_offset: str | None = None
    # Not in the repr, from which the UIDs are made: a phantom without them keeps its own.
    disturbances: Disturbances = field(default_factory=Disturbances, repr=False)
    uptakes: tuple[float, ...] | None = field(default=None, repr=False)
    planned_dose_gy: float = field(default=60.0, repr=False)
    specific_activity_mbq_per_mg: float = field(default=12.0, repr=False)

    @property
    def identity(self) -> str:
        """A text that differs between any two phantoms: all UIDs derive from it."""
        further = (self.disturbances, self.uptakes, self.planned_dose_gy, self.specific_activity_mbq_per_mg)
        return repr(self) if further == (Disturbances(), None, 60.0, 12.0) else f"{self!r} {further!r}"

    def treatment(self) -> Treatment:
        """Return the treatment that these options describe."""
        return Treatment(
            phantom=Phantom(seed=self.seed, n_tumours=self.n_tumours, uptakes=self.uptakes),
            positions=self.positions,
            fractions=self.fractions,
            planned_dose_gy=self.planned_dose_gy,
            specific_activity_mbq_per_mg=self.specific_activity_mbq_per_mg,
            saturating_tumour=self.saturating_tumour,
        )

    def pose(self, series_index: int) -> Pose:
        """Return the patient's pose in a series: the reference (0) lies as the anatomy does."""
        if series_index == 0:
            return Pose()
        rng = np.random.default_rng([self.seed, 4, series_index])
        x, y, z = rng.uniform(-1.0, 1.0, 3) * (0.5, 0.5, 1.0) * self.shift_mm
        a, b, c = rng.uniform(-1.0, 1.0, 3) * self.turn_deg
        return Pose(
            translation_mm=(round(float(x), 2), round(float(y), 2), round(float(z), 2)),
            rotation_deg=(round(float(a), 3), round(float(b), 3), round(float(c), 3)),
        )

    def gain(self, series_index: int) -> float:
        """Return the receiver gain of a series: 1 for the reference."""
        if series_index == 0:
            return 1.0
        rng = np.random.default_rng([self.seed, 5, series_index])
        return round(1.0 + float(rng.uniform(-1.0, 1.0)) * self.gain_spread, 4)


def small_options(**changes: object) -> PhantomOptions:
    """Return options for tests: one position, four fractions, a coarse grid; `changes` replaces any of them."""
    base = PhantomOptions(positions=("RHA",), acquisition=SMALL, anatomy_spacing_mm=(4.0, 3.0, 3.0))
    return replace(base, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class PhantomTreatment:
    """What was written, in the order in which a scanner would send it."""

    folder: Path
    plan_path: Path
    planned_only_path: Path
    """The plan before the treatment: injections without time and activity."""
    truth_path: Path
    anatomy: Path
    structures: Path
    reference: Path
    fractions: tuple[Path, ...]
    treatment: Treatment

    @property
    def series_folders(self) -> tuple[Path, ...]:
        """Every folder of DICOM, in order."""
        return (self.anatomy, self.structures, self.reference, *self.fractions)


def write_phantom(
    folder: Path, options: PhantomOptions | None = None, progress: Progress | None = None
) -> PhantomTreatment:
    """Write the treatment under `folder` and return where everything is.

    Parameters
    ----------
    folder
        Created if absent; must be empty otherwise.
    options
        None: the default treatment, two positions of four fractions.
    progress
        Called before each series.

    Raises
    ------
    PhantomError
        If the folder already holds something.
    """
    options = options or PhantomOptions()
    tell = progress or (lambda text, share: None)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PhantomError(f"{folder} is not an empty folder; name a new one, so that nothing is mixed or overwritten.")
    treatment = options.treatment()
    steps = len(treatment.injections) + 3
    anatomy, structures = write_surroundings(folder, options, treatment, tell)
    tell("reference", 2.0 / steps)
    reference = _write_series(folder / "03_reference", options, treatment, 0)
    fractions = []
    for index, injection in enumerate(treatment.injections, start=1):
        name = f"{injection.position}_F{injection.fraction}"
        tell(name, (index + 2) / steps)
        fractions.append(_write_series(folder / f"{index + 3:02d}_{name}", options, treatment, index))
    tell("done", 1.0)
    return PhantomTreatment(
        folder=folder,
        plan_path=folder / "plan.toml",
        planned_only_path=folder / "plan_before.toml",
        truth_path=folder / "truth.json",
        anatomy=anatomy,
        structures=structures,
        reference=reference,
        fractions=tuple(fractions),
        treatment=treatment,
    )


def write_surroundings(
    folder: Path, options: PhantomOptions, treatment: Treatment, progress: Progress | None = None
) -> tuple[Path, Path]:
    """Write everything but the multi-echo series: anatomy, structures, truth and plans.

    Returns
    -------
    tuple
        The folders of the anatomy and of the structures.
    """
    tell = progress or (lambda text, share: None)
    steps = len(treatment.injections) + 3
    tell("anatomy", 0.0)
    anatomy, header, grid = _write_anatomy(folder / "01_t1", options, treatment)
    tell("structures", 1.0 / steps)
    structures = folder / "02_rtstruct"
    _write_structures(structures, options, treatment, header, grid)
    (folder / "truth.json").write_text(json.dumps(_truth(options, treatment), indent=1) + "\n")
    for name, known in (("plan.toml", None), ("plan_before.toml", 0)):
        (folder / name).write_text(_plan(options, treatment, known))
    return anatomy, structures


def series_header(options: PhantomOptions, treatment: Treatment, name: str, number: int, at: datetime) -> SeriesHeader:
    """Return the header of one series; `at` is aware. All UIDs depend on the options, so no two phantoms share one."""
    start = local(treatment.reference_time_aware - timedelta(minutes=40), treatment.time_zone)
    return SeriesHeader(
        identity=f"{hashlib.sha256(options.identity.encode()).hexdigest()}/{name}",
        patient=options.patient,
        flavour=options.flavour,
        study_at=start,
        acquired_at=local(at, treatment.time_zone),
        number=number,
        description=name,
        field_strength_t=options.acquisition.field_strength_t,
        repetition_time_ms=150.0,
        flip_angle_deg=20.0,
        utc_offset=options.utc_offset,
    )


def acquired_series(options: PhantomOptions, treatment: Treatment, n_injections: int) -> tuple[SeriesHeader, Acquired]:
    """Return the multi-echo series that shows the first `n_injections` injections; 0 is the reference."""
    protocol = options.acquisition
    if n_injections == 0:
        at, name = treatment.reference_time_aware - timedelta(minutes=8), "gre_me_holmium reference"
    else:
        injection = treatment.injections[n_injections - 1]
        at, name = injection.acquired_at, f"gre_me_holmium {injection.position} F{injection.fraction}"
    # Numbers leave room for a phase series and, where echoes are series, for each echo's own.
    header = series_header(options, treatment, name, 100 + 30 * n_injections, at)
    header = replace(header, slice_time_s=round(15.0 / protocol.shape[0], 3))
    grid = slab(
        protocol.shape,
        protocol.spacing_mm,
        tilt_deg=protocol.tilt_deg,
        frame_of_reference_uid=frame_of_reference_uid(header),
    )
    acquired = Acquired(
        signal=noiseless_signal(
            treatment,
            n_injections,
            grid,
            protocol,
            options.pose(n_injections),
            options.disturbances.state(options.seed, n_injections),
        ),
        echo_times_s=protocol.echo_times_s,
        grid=grid,
        sigma=protocol.sigma,
        gain=options.gain(n_injections),
        seed=options.seed,
        series_index=n_injections,
    )
    return header, acquired


def _write_anatomy(folder: Path, options: PhantomOptions, treatment: Treatment) -> tuple[Path, SeriesHeader, Grid]:
    # 195 mm head to foot, 270 mm front to back and 384 mm across hold the body and more than the liver.
    extent = (195.0, 270.0, 384.0)
    spacing = options.anatomy_spacing_mm
    shape = tuple(round(length / step) for length, step in zip(extent, spacing, strict=True))
    at = treatment.reference_time_aware - timedelta(minutes=30)
    header = series_header(options, treatment, "t1_vibe_tra", 2, at)
    # The anatomy is classic whatever the flavour: a structure set refers to its planes one by one.
    classic = Flavour.PHILIPS_CLASSIC if options.flavour.is_philips else Flavour.SIEMENS_CLASSIC
    header = replace(header, flavour=classic, repetition_time_ms=4.0, flip_angle_deg=9.0, slice_time_s=0.0)
    grid = slab((shape[0], shape[1], shape[2]), spacing, frame_of_reference_uid=frame_of_reference_uid(header))
    acquired = Acquired(
        signal=anatomy_signal(treatment, grid)[None],
        echo_times_s=(0.0013,),
        grid=grid,
        sigma=18.0,
        gain=1.0,
        seed=options.seed,
        series_index=1000,
    )
    folder.mkdir(parents=True)
    for number, data in enumerate(classic_files(header, acquired), start=1):
        (folder / f"IM{number:04d}.dcm").write_bytes(data)
    return folder, header, grid


def _write_structures(
    folder: Path, options: PhantomOptions, treatment: Treatment, anatomy: SeriesHeader, grid: Grid
) -> None:
    at = treatment.reference_time_aware - timedelta(minutes=20)
    header = series_header(options, treatment, "structures", 3, at)
    ds = structure_set(
        header,
        phantom_shapes(treatment.phantom, territories=len(treatment.positions) == 2),
        grid,
        frame_of_reference=grid.frame_of_reference_uid,
        anatomy_series_uid=uid(anatomy.identity, "series"),
        anatomy_instance_uids=tuple(uid(anatomy.identity, "M", 0, index) for index in range(grid.shape[0])),
        anatomy_class_uid=MRImageStorage,
    )
    folder.mkdir(parents=True)
    (folder / "RS0001.dcm").write_bytes(part10(ds))


def _write_series(folder: Path, options: PhantomOptions, treatment: Treatment, n_injections: int) -> Path:
    header, acquired = acquired_series(options, treatment, n_injections)
    if options.flavour.is_enhanced:
        files = enhanced_files(header, acquired)
    else:
        files = classic_files(header, acquired, series_per_echo=options.series_per_echo, phase=options.phase)
    folder.mkdir(parents=True)
    for number, data in enumerate(files, start=1):
        (folder / f"IM{number:04d}.dcm").write_bytes(data)
    return folder


def _truth(options: PhantomOptions, treatment: Treatment) -> dict[str, object]:
    document = truth_document(treatment)
    document["relaxivity_per_s_per_mg_mL"] = options.acquisition.relaxivity_per_s_per_mg_ml
    document["flavour"] = options.flavour.value
    for index, fraction in enumerate(document["fractions"], start=1):
        pose = options.pose(index)
        fraction["pose"] = {"translation_mm": list(pose.translation_mm), "rotation_deg": list(pose.rotation_deg)}
        fraction["gain"] = options.gain(index)
        if options.disturbances != Disturbances():
            fraction["disturbances"] = asdict(options.disturbances.state(options.seed, index))
    return document


def _plan(options: PhantomOptions, treatment: Treatment, known_injections: int | None) -> str:
    return plan_toml(
        treatment,
        options.patient,
        relaxivity_per_s_per_mg_ml=options.acquisition.relaxivity_per_s_per_mg_ml,
        field_strength_t=options.acquisition.field_strength_t,
        slice_mm=options.acquisition.spacing_mm[0],
        known_injections=known_injections,
    )
