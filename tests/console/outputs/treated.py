"""A treatment made by hand for the tests of outputs: an oblique or axial grid, formulas for doses, real MR headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from config.plan import plan_from_mapping
from config.settings import AlarmSettings, QuantificationSettings, Settings, settings_sha256
from console.comparison import Side
from console.outputs.exported import Exported
from console.outputs.results import results_document
from console.snapshot import Anatomy, RaisedAlarm, Snapshot, VolumeSource
from dicom_listener.images import Sequence, SeriesState, SeriesStatus
from quantify.budget import BudgetTerm
from quantify.dvh import exact_dvh
from quantify.findings import (
    Alarm,
    FractionMaps,
    FractionResult,
    FractionStatus,
    Injection,
    Priority,
    Registration,
    RegistrationStatus,
    TrendPoint,
    TrendStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import EchoSeries, Grid, ParametricMap, Reason, Role, Volume
from quantify.monte_carlo import Spread

ZONE = ZoneInfo("Europe/Amsterdam")
START = datetime(2026, 3, 4, 10, 0, tzinfo=ZONE)
SHAPE = (12, 40, 48)
SPACING_MM = (5.0, 3.0, 3.0)
FRAME = "1.2.826.0.1.3680043.8.498.1"
STUDY = "1.2.826.0.1.3680043.8.498.2"
REFERENCE = "1.2.826.0.1.3680043.8.498.3"
PATIENT = {"PatientName": "Phantom^Holmia", "PatientID": "EM1-004", "PatientBirthDate": "19570512", "PatientSex": "M"}
ECHO_TIMES_S = (0.0012, 0.0024, 0.0036)
ACTIVITIES = (129.0, 387.0, 387.0, 387.0)


def grid(*, oblique: bool) -> Grid:
    """12 × 40 × 48 voxels of 5 × 3 × 3 mm about the isocentre; the oblique one is turned about all three axes."""
    turn = np.eye(3)
    if oblique:
        for axis, degrees in ((0, 17.0), (1, -11.0), (2, 23.0)):
            c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            one = np.eye(3)
            i, j = [k for k in range(3) if k != axis]
            one[i, i], one[i, j], one[j, i], one[j, j] = c, -s, s, c
            turn = one @ turn
    affine = np.eye(4)
    affine[:3, :3] = (turn @ np.eye(3)[:, ::-1]) * SPACING_MM
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2.0) + (-60.0, -10.0, 25.0)
    return Grid(shape=SHAPE, affine_lps_mm=affine, frame_of_reference_uid=FRAME)


def points_mm(own: Grid) -> np.ndarray:
    """LPS position of every voxel, (3, slice, row, column)."""
    index = np.indices(own.shape).reshape(3, -1)
    return (own.affine_lps_mm[:3, :3] @ index + own.affine_lps_mm[:3, 3:]).reshape(3, *own.shape)


def dose_gy(points: np.ndarray, number: int) -> np.ndarray:
    """The dose (Gy) after fraction `number` (from 0) at points (3, …) LPS mm: smooth, growing with the fractions."""
    x, y, z = points[0] + 60.0, points[1] + 10.0, points[2] - 25.0
    return (number + 1) * (8.0 + 30.0 * np.exp(-((x - 20) ** 2 + y**2 + z**2) / 800.0) + 0.02 * x + 0.01 * z)


def volumes(own: Grid) -> tuple[Volume, ...]:
    """A liver, two tumours, the second touching the first, and what of the liver is healthy."""
    at = points_mm(own)

    def ball(centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
        away = np.sqrt(sum((at[k] - centre[k]) ** 2 for k in range(3)))
        return np.clip((radius_mm - away) / 3.0 + 0.5, 0.0, 1.0)

    liver = ball((-60.0, -10.0, 25.0), 25.0)
    one, two = ball((-50.0, -10.0, 25.0), 9.0), ball((-75.0, -5.0, 28.0), 6.0)
    made = {
        "Liver": (Role.LIVER, liver),
        "Tumour 1": (Role.TUMOUR, one),
        "Tumour 2": (Role.TUMOUR, two),
        "Healthy liver": (Role.HEALTHY_LIVER, np.clip(liver - one - two, 0.0, 1.0)),
    }
    return tuple(
        Volume(
            name=name,
            role=role,
            occupancy=share.astype(np.float32),
            grid=own,
            contour_volume_ml=float(share.sum()) * own.voxel_volume_ml,
        )
        for name, (role, share) in made.items()
    )


def maps(own: Grid, number: int) -> FractionMaps:
    """Maps of one fraction; a corner of the grid is not evaluable, some voxels are lower bounds."""
    dose = dose_gy(points_mm(own), number)
    reason = np.zeros(own.shape, dtype=np.uint8)
    reason[:3, :8, :8] = Reason.NO_SIGNAL
    reason[6, 18:20, 22:24] = Reason.LOWER_BOUND

    def one(values: np.ndarray, quantity: str, unit: str) -> ParametricMap:
        held = np.where(reason == Reason.NO_SIGNAL, np.nan, values).astype(np.float32)
        error = np.where(reason == Reason.NO_SIGNAL, np.nan, 0.05 * values + 1.0).astype(np.float32)
        return ParametricMap(values=held, reason=reason, grid=own, quantity=quantity, unit=unit, standard_error=error)

    return FractionMaps(
        r2star=one(30.0 + 3.0 * dose, "R2*", "1/s"),
        holmium=one(dose / 40.0, "holmium microspheres", "mg/mL"),
        activity=one(dose / 16.0, "166Ho activity", "MBq/mL"),
        dose=one(dose, "absorbed dose", "Gy"),
    )


def result(own: Grid, number: int) -> FractionResult:
    """The result after fraction `number` (from 0) of the position RHA."""
    made = maps(own, number)
    values = np.nan_to_num(made.dose.values.astype(np.float64))
    statistics = {}
    for volume in volumes(own):
        weights = volume.occupancy.astype(np.float64)
        mean = float((values * weights).sum() / weights.sum())
        dvh = exact_dvh(values[weights > 0], weights[weights > 0])
        lower = volume.name == "Tumour 1"
        statistics[volume.name] = VolumeStatistics(
            name=volume.name,
            role=volume.role,
            status=VolumeStatus.LOWER_BOUND if lower else VolumeStatus.OK,
            volume_ml=volume.volume_ml,
            evaluable_fraction=0.98,
            dose_mean_gy=mean,
            dose_mean_u_gy=0.07 * mean + 0.5,
            dose_sd_gy=0.3 * mean,
            cv=0.3,
            d90_gy=0.6 * mean,
            d70_gy=0.8 * mean,
            d50_gy=0.97 * mean,
            tnr=2.1 if volume.role is Role.TUMOUR else None,
            activity_mbq=mean * volume.volume_ml / 16.0,
            gain_gy=mean / (number + 1),
            v_x=((20.0, 0.8), (50.0, 0.1)),
            coverage=0.4 if volume.role is Role.TUMOUR else None,
            dvh=dvh,
            reasons={"no signal in the reference": 0.02},
            intervals={"dose_mean_gy": Spread(value=mean, u=0.07 * mean, low_95=0.86 * mean, high_95=1.14 * mean)},
            budget=(
                BudgetTerm(name="relaxivity", u_gy=0.04 * mean, share_of_variance_pct=60.0, correlated_with=""),
                BudgetTerm(name="noise", u_gy=0.03 * mean, share_of_variance_pct=40.0, correlated_with=""),
            ),
        )
    x = sum(ACTIVITIES[: number + 1])
    tested = number == 3
    return FractionResult(
        position="RHA",
        fraction=number + 1,
        status=FractionStatus.OK if number else FractionStatus.PROVISIONAL,
        provisional_reasons=() if number else ("the residual has not been measured",),
        injected_mbq=ACTIVITIES[number],
        injected_u_mbq=4.0,
        position_injected_mbq=x,
        cumulative_injected_mbq=x,
        measured_mbq=1.037 * x,
        measured_u_mbq=0.081 * x,
        recovery_ratio=1.037,
        recovery_u=0.081,
        recovery_interval=(0.88, 1.19),
        series_instance_uid=f"{REFERENCE}.{number + 1}",
        acquired_at=START + timedelta(minutes=12 + 14 * number),
        registration=Registration(
            status=RegistrationStatus.OK,
            translation_mm=(0.1, 0.4, -1.15),
            rotation_deg=(0.0, 0.2, 0.2),
            similarity=0.97,
        ),
        volumes=statistics,
        trend={
            name: TrendPoint(
                volume=name,
                status=TrendStatus.TESTED if tested else TrendStatus.TOO_FEW_POINTS,
                expected_gy=own_statistics.dose_mean_gy * 1.15 if tested else None,
                deviation_pct=-13.04 if tested else None,
                deviation_gy=-0.15 * own_statistics.dose_mean_gy if tested else None,
                flagged=True if tested else None,
                direction="below" if tested else None,
                prediction_interval_gy=(own_statistics.dose_mean_gy, 1.3 * own_statistics.dose_mean_gy)
                if tested
                else None,
                significant=False if tested else None,
                slope_gy_per_mbq=0.11 if tested else None,
                intercept_gy=0.2 if tested else None,
            )
            for name, own_statistics in statistics.items()
            if name != "Liver"
        },
        maps=made,
    )


def plan() -> object:
    """The plan of four fractions at one position, with a limit."""
    return plan_from_mapping(
        {
            "schema": 1,
            "time_zone": "Europe/Amsterdam",
            "patient": {"id": "EM1-004"},
            "microspheres": {
                "holmium_fraction": 0.195,
                "specific_activity_MBq_per_mg": 12.0,
                "reference_time": "2026-03-04T10:00:00",
            },
            "calibration": {"relaxivity_per_s_per_mg_mL": 218.0, "field_T": 3.0, "holmium_fraction": 0.195},
            "structures": {"liver": "Liver", "tumours": ["Tumour 1", "Tumour 2"]},
            "limits": [{"volume": "Healthy liver", "dose_Gy": 55.0}],
            "injections": [
                {
                    "position": "RHA",
                    "fraction": number + 1,
                    "planned_MBq": activity + 3.0,
                    "activity_MBq": activity,
                    "time": (START + timedelta(minutes=7 + 14 * number)).replace(tzinfo=None).isoformat(),
                }
                for number, activity in enumerate(ACTIVITIES)
            ],
        },
        site_time_zone="Europe/Amsterdam",
    )


def headers(own: Grid) -> tuple[Dataset, ...]:
    """Classic MR headers of the reference series, one for every echo and slice, without pixels."""
    slices, rows, columns = own.shape
    direction = own.affine_lps_mm[:3, :3] / np.array(own.spacing_mm)
    made = []
    for echo, echo_time_s in enumerate(ECHO_TIMES_S):
        for at in range(slices):
            ds = Dataset()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
            ds.SOPInstanceUID = f"{REFERENCE}.7.{echo}.{at}"
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            for key, text in PATIENT.items():
                setattr(ds, key, text)
            ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
            ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "MR", "SIEMENS", "Skyra"
            ds.DeviceSerialNumber, ds.SoftwareVersions = "12345", "VE11"
            ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, REFERENCE, FRAME
            ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "ACC-77", "Physician^Referring"
            ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260304"
            ds.StudyTime, ds.SeriesTime, ds.AcquisitionTime, ds.ContentTime = "094500", "095500", "095500", "095501"
            ds.StudyDescription, ds.SeriesDescription, ds.ProtocolName = "TARE", "T2* mGRE", "mGRE"
            ds.PositionReferenceIndicator, ds.PatientPosition, ds.BodyPartExamined = "", "HFS", "LIVER"
            ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 3, echo * slices + at + 1, 1
            ds.EchoTime, ds.EchoNumbers = echo_time_s * 1e3, echo + 1
            ds.ImageOrientationPatient = [float(v) for v in (*direction[:, 2], *direction[:, 1])]
            ds.ImagePositionPatient = [float(v) for v in (own.affine_lps_mm @ (at, 0, 0, 1))[:3]]
            ds.PixelSpacing, ds.SliceThickness = [own.spacing_mm[1], own.spacing_mm[2]], own.spacing_mm[0]
            ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = rows, columns, 1, "MONOCHROME2"
            ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
            made.append(ds)
    return tuple(made)


def treated(*, oblique: bool = False, fractions: int = 4) -> Exported:
    """The whole treatment as an export takes it."""
    own = grid(oblique=oblique)
    settings = Settings(quantification=QuantificationSettings(), alarms=AlarmSettings())
    body = np.hypot(*(points_mm(own)[:2] + np.array([60.0, 10.0])[:, None, None, None])) < 55.0
    anatomy = np.where(body, 120.0, 10.0).astype(np.float32)
    signal = np.stack([anatomy * np.float32(np.exp(-40.0 * te)) for te in ECHO_TIMES_S])
    all_volumes = volumes(own)
    snapshot = Snapshot(
        head_seq=321,
        head_hash="ab" * 32,
        plan=plan(),
        settings=settings,
        settings_sha256=settings_sha256(settings.quantification),
        patient_name="Phantom^Holmia",
        patient_id="EM1-004",
        patient_birth_date="1957-05-12",
        patient_sex="M",
        series=(
            SeriesState(
                key="reference",
                series_instance_uids=(REFERENCE,),
                description="T2* mGRE",
                protocol="mGRE",
                status=SeriesStatus.COMPLETE,
                reason="complete: 3 echoes × 12 slices",
                echo_times_s=ECHO_TIMES_S,
                n_slices=SHAPE[0],
                received=36,
                expected=36,
                left_out=0,
                acquired_at=START - timedelta(minutes=5),
                frame_of_reference_uid=FRAME,
                field_strength_t=3.0,
                sequence=Sequence.GRADIENT_ECHO,
                holmium_refusal=None,
                revision=1,
                last_seq=40,
            ),
        ),
        reference=EchoSeries(
            signal=signal,
            echo_times_s=ECHO_TIMES_S,
            grid=own,
            acquired_at=START - timedelta(minutes=5),
            series_instance_uid=REFERENCE,
            field_strength_t=3.0,
            description="T2* mGRE",
        ),
        anatomy=Anatomy(values=anatomy, grid=own, description="T2* mGRE, TE = 0"),
        volumes=all_volumes,
        volume_sources={
            v.name: VolumeSource(title="structure set 'Contours'", sha256="cd" * 32, version=1)
            for v in all_volumes
            if v.role is not Role.HEALTHY_LIVER
        },
        injections=tuple(
            Injection(
                position="RHA",
                fraction=number + 1,
                planned_mbq=activity + 3.0,
                activity_mbq=activity if number < fractions else None,
                time=START + timedelta(minutes=7 + 14 * number) if number < fractions else None,
            )
            for number, activity in enumerate(ACTIVITIES)
        ),
        results=tuple(result(own, number) for number in range(fractions)),
        methods="R2* was fitted with the method ml. Doses are local deposition.",
        alarms=(
            RaisedAlarm(
                alarm=Alarm(
                    id="trend/RHA/4/Tumour 1",
                    priority=Priority.LOW,
                    kind="trend_deviation",
                    text="Tumour 1 after RHA F4: 13 % below the line.",
                    position="RHA",
                    fraction=4,
                    volume="Tumour 1",
                    raised_at=START + timedelta(minutes=60),
                ),
                acknowledged_by="Dr. A. Acker",
                acknowledged_at=START + timedelta(minutes=61),
            ),
        ),
        complete=fractions == len(ACTIVITIES),
    )
    return Exported(
        snapshot=snapshot,
        reference_images=headers(own),
        made_at=datetime(2026, 3, 4, 10, 30, tzinfo=UTC).astimezone(ZONE),
    )


def side_of(label: str, snapshot: Snapshot) -> Side:
    """A side of a comparison, as the results of a snapshot tell it."""
    return Side(label=label, document=results_document(snapshot))
