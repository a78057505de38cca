"""Treatments made by hand for the dashboard's tests: analytic liver, known doses, nothing computed by the project."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
from scipy.special import ndtri

from config.plan import LimitPlan
from config.settings import AlarmSettings, QuantificationSettings
from console.snapshot import Anatomy, Binding, RaisedAlarm, Snapshot, VolumeSource
from dicom_listener.events import Event, Kind
from dicom_listener.images import Sequence, SeriesState, SeriesStatus
from quantify.dvh import exact_dvh, volume_receiving
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
from quantify.projection import ActivityLeft, Projection
from quantify.trend import K95

ZONE = timezone(timedelta(hours=1))
START = datetime(2026, 3, 4, 10, 0, tzinfo=ZONE)
SHAPE = (40, 112, 128)
ACTIVITIES = (129.0, 387.0, 387.0, 387.0)
TUMOUR_1 = (14.0, 52.0, 88.0, 118.0)
TUMOUR_2 = (12.0, 44.0, 75.0, 88.0)
HEALTHY = (3.1, 12.4, 21.7, 31.0)
COVERAGE_GY = 90.0


def axial_grid() -> Grid:
    """Feet to head, 3 × 3 × 4 mm."""
    affine = np.array([[0, 0, 3.0, -190], [0, 3.0, 0, -150], [4.0, 0, 0, -60], [0, 0, 0, 1]], dtype=float)
    return Grid(shape=SHAPE, affine_lps_mm=affine, frame_of_reference_uid="1.2.3")


def _positions(grid: Grid) -> np.ndarray:
    index = np.indices(grid.shape).reshape(3, -1)
    points = grid.affine_lps_mm[:3, :3] @ index + grid.affine_lps_mm[:3, 3:]
    return points.reshape(3, *grid.shape)


def _ellipsoid(points: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    distance = sum(((points[k] - centre[k]) / radii[k]) ** 2 for k in range(3))
    return np.clip((1.06 - distance) / 0.12, 0.0, 1.0)


def phantom(grid: Grid) -> tuple[Anatomy, tuple[Volume, ...], dict[str, np.ndarray]]:
    """Anatomy, volumes and their shapes."""
    p = _positions(grid)
    rng = np.random.default_rng(7)
    body = _ellipsoid(p, (0, 0, 20), (178, 122, 900))
    fat = body - _ellipsoid(p, (0, 0, 20), (162, 106, 800))
    right = _ellipsoid(p, (-70, -5, 20), (84, 78, 72))
    left = _ellipsoid(p, (15, -45, 30), (75, 40, 42))
    liver = np.clip(np.maximum(right, left) * _ellipsoid(p, (0, 0, 20), (158, 102, 700)), 0, 1)
    one = _ellipsoid(p, (-85, 5, 30), (24, 21, 20))
    two = _ellipsoid(p, (-45, -38, 2), (19, 17, 16))
    three = _ellipsoid(p, (-60, 10, 74), (11, 10, 9))
    spine = _ellipsoid(p, (0, 72, 20), (24, 24, 900))
    spleen = _ellipsoid(p, (110, 35, 40), (34, 48, 48))
    stomach = _ellipsoid(p, (70, -40, 30), (45, 34, 42))
    vessel = np.maximum(_ellipsoid(p, (-30, 20, 20), (12, 9, 400)), _ellipsoid(p, (-55, -12, 26), (46, 5, 6)))
    grey = (
        90 * body + 190 * fat + 150 * liver * (1 - fat) - 55 * one - 50 * two + 60 * spine + 80 * spleen - 40 * stomach
    )
    grey = grey + 110 * vessel * liver + rng.normal(0, 9, grid.shape)
    lung = (p[2] > 92 - ((p[0] + 70) / 60) ** 2 * 6) * _ellipsoid(p, (0, 0, 20), (155, 100, 900)) * (1 - spine)
    grey = np.where(lung > 0.5, rng.normal(12, 6, grid.shape), grey)
    values = np.abs(grey).astype(np.float32)
    shapes = {"Liver": liver, "Tumour 1": one, "Tumour 2": two, "Tumour 3": three}
    roles = {"Liver": Role.LIVER}
    volumes = tuple(
        Volume(
            name=name,
            role=roles.get(name, Role.TUMOUR),
            occupancy=shape.astype(np.float32),
            grid=grid,
            contour_volume_ml=float(shape.sum()) * grid.voxel_volume_ml,
        )
        for name, shape in shapes.items()
    )
    return Anatomy(values=values, grid=grid, description="T1"), volumes, shapes


def maps_of(grid: Grid, shapes: dict[str, np.ndarray], number: int) -> FractionMaps:
    """Maps whose dose is the volumes' mean with a smooth unevenness."""
    p = _positions(grid)
    wave = 1 + 0.35 * np.sin(p[0] / 21) * np.cos(p[1] / 17) * np.sin(p[2] / 14)
    dose = HEALTHY[number] * shapes["Liver"] * wave
    for name, means in (("Tumour 1", TUMOUR_1), ("Tumour 2", TUMOUR_2)):
        halo = shapes[name] ** 0.7
        dose = dose * (1 - halo) + halo * means[number] * (1.15 * wave)
    reason = np.where(shapes["Liver"] > 0.02, Reason.EVALUABLE, Reason.NO_SIGNAL).astype(np.uint8)
    reason[shapes["Tumour 3"] > 0.4] = Reason.AIR_INTERFACE
    dose = np.where(reason == Reason.EVALUABLE, dose, np.nan).astype(np.float32)
    made = ParametricMap(
        values=dose,
        reason=reason,
        grid=grid,
        quantity="absorbed dose",
        unit="Gy",
        standard_error=(2.0 + 0.1 * np.nan_to_num(dose)).astype(np.float32),
    )
    return FractionMaps(r2star=made, holmium=made, activity=made, dose=made)


def statistics(name: str, role: Role, mean: float, u: float, volume_ml: float, **changes: object) -> VolumeStatistics:
    """One volume's numbers around a mean dose: normal, with a spread of 0.3 times the mean."""
    at = np.linspace(0.002, 0.998, 60)
    dvh = exact_dvh(np.maximum(mean * (1 + 0.3 * ndtri(at)), 0.0), np.ones(at.size))
    tumour = role is Role.TUMOUR
    covered = volume_receiving(dvh, COVERAGE_GY)
    made = VolumeStatistics(
        name=name,
        role=role,
        status=VolumeStatus.OK,
        volume_ml=volume_ml,
        evaluable_fraction=0.98,
        dose_mean_gy=mean,
        dose_mean_u_gy=u,
        dose_sd_gy=0.3 * mean,
        cv=0.31,
        d90_gy=0.6 * mean,
        d70_gy=0.8 * mean,
        d50_gy=0.97 * mean,
        tnr=3.2 if tumour else None,
        coverage=covered if tumour else None,
        dvh=dvh,
        intervals={
            "dose_mean_gy": Spread(value=mean, u=u, low_95=mean - 2 * u, high_95=mean + 2 * u),
            "d70_gy": Spread(value=0.8 * mean, u=1.2 * u, low_95=0.8 * mean - 2.4 * u, high_95=0.8 * mean + 2.4 * u),
            "coverage": Spread(value=covered, u=0.05, low_95=max(0.0, covered - 0.1), high_95=min(1.0, covered + 0.1)),
        },
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    # As in the real ones: what has no value has no interval.
    return replace(made, intervals={k: v for k, v in made.intervals.items() if getattr(made, k) is not None})


def result(number: int, *, maps: FractionMaps | None = None) -> FractionResult:
    """The result after fraction `number` (from 0) of the position RHA: tumour 2 saturates in the last."""
    x = sum(ACTIVITIES[: number + 1])
    volumes = {
        "Tumour 1": statistics("Tumour 1", Role.TUMOUR, TUMOUR_1[number], 1.5 + 0.07 * TUMOUR_1[number], 43.6),
        "Tumour 2": statistics("Tumour 2", Role.TUMOUR, TUMOUR_2[number], 1.5 + 0.07 * TUMOUR_2[number], 21.4),
        "Tumour 3": VolumeStatistics(
            name="Tumour 3",
            role=Role.TUMOUR,
            status=VolumeStatus.NOT_EVALUABLE,
            volume_ml=4.2,
            evaluable_fraction=0.12,
            message="12 % evaluable: air interface",
        ),
        "Healthy liver": statistics("Healthy liver", Role.HEALTHY_LIVER, HEALTHY[number], 2.4, 1480.0, d70_gy=None),
        "Liver": statistics("Liver", Role.LIVER, HEALTHY[number] + 2, 2.4, 1548.0, d70_gy=None),
    }
    return FractionResult(
        position="RHA",
        fraction=number + 1,
        status=FractionStatus.OK,
        injected_mbq=ACTIVITIES[number],
        position_injected_mbq=x,
        cumulative_injected_mbq=x,
        measured_mbq=1.04 * x,
        measured_u_mbq=0.08 * x,
        recovery_ratio=1.04,
        recovery_u=0.08,
        series_instance_uid=f"1.2.{number}",
        acquired_at=START + timedelta(minutes=12 + 14 * number),
        registration=Registration(
            status=RegistrationStatus.OK,
            translation_mm=(0.1, 0.4, -1.15),
            rotation_deg=(0.0, 0.2, 0.2),
            similarity=0.97,
        ),
        volumes=volumes,
        trend=trend(number),
        projection=projection(number),
        activity_left={"Healthy liver": ActivityLeft(mbq=900.0 - 30.0 * number, method="line")},
        maps=maps,
    )


def trend(number: int) -> dict[str, TrendPoint]:
    """The trend after fraction `number`: the fourth point is tested; tumour 2 lies below its line."""
    if number < 2:
        message = f"{number + 1} of the 3 points that make the line"
        return {
            name: TrendPoint(volume=name, status=TrendStatus.TOO_FEW_POINTS, message=message)
            for name in ("Tumour 1", "Tumour 2", "Healthy liver")
        } | {"Tumour 3": TrendPoint(volume="Tumour 3", status=TrendStatus.NOT_EVALUABLE, message="air interface")}
    made = {}
    for name, doses in (("Tumour 1", TUMOUR_1), ("Tumour 2", TUMOUR_2), ("Healthy liver", HEALTHY)):
        x = np.cumsum(ACTIVITIES)
        slope, intercept = (float(v) for v in np.polyfit(x[:3], doses[:3], 1))
        line = {"volume": name, "slope_gy_per_mbq": slope, "intercept_gy": intercept}
        if number == 2:
            made[name] = TrendPoint(status=TrendStatus.FIT, message="line fitted", **line)
            continue
        expected = intercept + slope * float(x[3])
        deviation = doses[3] - expected
        made[name] = TrendPoint(
            status=TrendStatus.TESTED,
            expected_gy=expected,
            deviation_gy=deviation,
            deviation_pct=100 * deviation / expected,
            flagged=abs(deviation) >= 0.1 * expected,
            direction="below" if deviation < 0 else "above",
            prediction_interval_gy=(expected - 0.08 * expected, expected + 0.08 * expected),
            significant=abs(deviation) > 0.08 * expected,
            **line,
        )
    made["Tumour 3"] = TrendPoint(volume="Tumour 3", status=TrendStatus.NOT_EVALUABLE, message="air interface")
    return made


def injections(given: int) -> tuple[Injection, ...]:
    """Four fractions at RHA and two at LHA, of which the first `given` have happened."""
    planned = [("RHA", k + 1, a) for k, a in enumerate(ACTIVITIES)] + [("LHA", 1, 90.0), ("LHA", 2, 270.0)]
    return tuple(
        Injection(
            position=position,
            fraction=fraction,
            planned_mbq=activity + 3,
            activity_mbq=activity if number < given else None,
            time=START + timedelta(minutes=7 + 14 * number) if number < given else None,
        )
        for number, (position, fraction, activity) in enumerate(planned)
    )


def series_state(key: str, number: int, *, status: SeriesStatus, received: int = 400, minute: int = 12) -> SeriesState:
    """A 10-echo series of 40 slices."""
    return SeriesState(
        key=key,
        series_instance_uids=(f"1.2.{number}",),
        description="T2* mGRE 10 echoes",
        protocol="mGRE",
        status=status,
        reason="complete: 10 echoes × 40 slices" if status is SeriesStatus.COMPLETE else f"{received} of 400 images",
        echo_times_s=tuple(0.0012 * (k + 1) for k in range(10)),
        n_slices=40,
        received=received,
        expected=400,
        left_out=0,
        acquired_at=START + timedelta(minutes=minute),
        frame_of_reference_uid="1.2.3",
        field_strength_t=3.0,
        sequence=Sequence.GRADIENT_ECHO,
        holmium_refusal=None,
        revision=1,
        last_seq=number,
    )


def event(seq: int, minute: float, kind: Kind, payload: dict[str, object]) -> Event:
    """One row of the treatment file."""
    return Event(
        seq=seq,
        utc=(START + timedelta(minutes=minute)).astimezone(UTC),
        actor="operator",
        kind=kind,
        payload=payload,
        object_sha256=None,
        previous_hash="0" * 64,
        hash="1" * 64,
    )


def limit(volume: str, dose_gy: float, **provenance: str) -> LimitPlan:
    """A limit; what is not given of its provenance the plan does not state."""
    return LimitPlan(volume=volume, dose_gy=dose_gy, **provenance)


def projection(number: int) -> dict[str, Projection]:
    """What the fraction after `number` (from 0) of the position RHA would give; nothing after its last."""
    if number + 1 >= len(ACTIVITIES):
        return {}
    method = "proportional" if number < 2 else "line"
    made = {}
    for name, doses in (("Tumour 1", TUMOUR_1), ("Tumour 2", TUMOUR_2), ("Healthy liver", HEALTHY)):
        half = K95 * (2.0 + 0.08 * doses[number + 1])
        dose = doses[number + 1]
        made[name] = Projection(dose_gy=dose, low_95_gy=dose - half, high_95_gy=dose + half, method=method)
    none = Projection(dose_gy=None, low_95_gy=None, high_95_gy=None, method="none", message="not measured")
    return made | {"Tumour 3": none}


def plan() -> SimpleNamespace:
    """As much of a plan as the dashboard reads."""
    return SimpleNamespace(
        time_zone="Europe/Amsterdam",
        limits=(limit("Healthy liver", 55.0),),
        positions={
            "RHA": SimpleNamespace(territory=None, volumes=("Tumour 1", "Tumour 2")),
            "LHA": SimpleNamespace(territory=None, volumes=("Tumour 3",)),
        },
    )


def display_settings() -> SimpleNamespace:
    """As much of the settings as the dashboard reads."""
    return SimpleNamespace(
        display=SimpleNamespace(
            dose_maximum_gy=150.0,
            isodose_levels_gy=(20.0, 50.0, 80.0, 100.0, 120.0, 150.0),
            colour_map="inferno",
            stale_after_s=1800.0,
        ),
        quantification=QuantificationSettings(),
        alarms=AlarmSettings(),
    )


def _alarms() -> tuple[RaisedAlarm, ...]:
    return (
        RaisedAlarm(
            alarm=Alarm(
                id="trend:RHA:4:Tumour 2",
                priority=Priority.LOW,
                kind="trend_deviation",
                text="Tumour 2 after RHA F4: 88 ± 8 Gy, 17 % below the line of the first three fractions",
                raised_at=START + timedelta(minutes=55),
                position="RHA",
                fraction=4,
                volume="Tumour 2",
            )
        ),
        RaisedAlarm(
            alarm=Alarm(
                id="clock",
                priority=Priority.MEDIUM,
                kind="clock_offset",
                text="The scanner's clock is 74 s ahead of this machine's",
                raised_at=START + timedelta(minutes=1),
            ),
            acknowledged_by="J. Jansen",
            acknowledged_at=START + timedelta(minutes=3),
        ),
    )


_EVENTS = (
    event(1, -9, Kind.TREATMENT_CREATED, {"software_version": "0.1.0"}),
    event(2, -9, Kind.PLAN_LOADED, {}),
    event(3, -8, Kind.LISTENER_STARTED, {"ae_title": "HOLMIA", "port": 11112}),
    event(4, 0, Kind.ASSOCIATION_OPENED, {"calling_ae": "MR3T"}),
    event(5, 2, Kind.ASSOCIATION_CLOSED, {"how": "released", "instances": 400}),
    event(6, 7, Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": 1, "activity_MBq": 129.0}),
    event(7, 21, Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": 2, "activity_MBq": 387.0}),
    event(8, 35, Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": 3, "activity_MBq": 387.0}),
    event(9, 44, Kind.NOTE, {"label": "stasis", "text": "slow flow in segment VI"}),
    event(10, 49, Kind.INJECTION_RECORDED, {"position": "RHA", "fraction": 4, "activity_MBq": 387.0}),
)


def _reference(anatomy: Anatomy) -> EchoSeries:
    return EchoSeries(
        signal=np.stack([anatomy.values * f for f in (1.0, 0.8, 0.6)]),
        echo_times_s=(0.0012, 0.0024, 0.0036),
        grid=anatomy.grid,
        acquired_at=START + timedelta(minutes=1),
        series_instance_uid="1.2.0",
        field_strength_t=3.0,
    )


def treatment(
    results: int = 4, *, given: int | None = None, arriving: int | None = None, images: bool = True
) -> Snapshot:
    """A treatment with `results` fractions quantified, `given` injected, `arriving` images of the next series here."""
    grid = axial_grid()
    anatomy, volumes, shapes = phantom(grid)
    given = results if given is None else given
    made = tuple(result(k, maps=maps_of(grid, shapes, k) if images else None) for k in range(results))
    series = [series_state("reference", 1, status=SeriesStatus.COMPLETE, minute=1)]
    series += [
        series_state(f"f{k + 1}", 2 + k, status=SeriesStatus.COMPLETE, minute=12 + 14 * k) for k in range(results)
    ]
    bindings = [Binding(series_key="reference", role="reference", confirmed=True)]
    bindings += [
        Binding(series_key=f"f{k + 1}", role="fraction", position="RHA", fraction=k + 1, confirmed=k < 3)
        for k in range(results)
    ]
    if arriving is not None:
        series.append(
            series_state("next", 90, status=SeriesStatus.ARRIVING, received=arriving, minute=12 + 14 * results)
        )
    order = injections(given)
    awaited = order[results].key if given > results else None
    return Snapshot(
        head_seq=1234,
        head_hash="9f2a6c51" + "0" * 56,
        plan=plan(),  # type: ignore[arg-type]
        settings=display_settings(),  # type: ignore[arg-type]
        settings_sha256="1a2b3c4d" + "0" * 56,
        patient_name="DE VRIES^ANNA MARIA",
        patient_id="EM1-004",
        patient_birth_date="1957-08-21",
        patient_sex="F",
        series=tuple(series),
        bindings=tuple(bindings),
        injections=order,
        reference=_reference(anatomy) if images else None,
        anatomy=anatomy if images else None,
        volumes=volumes if images else (),
        volume_sources={
            name: VolumeSource(title="structure set 'Contours'", sha256=f"{number}c4e9a" + "0" * 58, version=number)
            for number, name in enumerate(("Liver", "Tumour 1", "Tumour 2", "Tumour 3"), start=1)
        },
        results=made,
        awaited=awaited,
        not_imaged_mbq=ACTIVITIES[given - 1] if given > results else 0.0,
        alarms=_alarms() if results == 4 else (),
        events=_EVENTS if results == 4 else _EVENTS[: 5 + given],
        latest_acquired_at=made[-1].acquired_at if made else None,
    )
