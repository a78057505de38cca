"""How long a key press takes until the window has been painted: the live screen on 256 × 256 × 40 voxels."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QKeyEvent

from benchmarks.timing import Row, row
from config.plan import TreatmentPlan, plan_from_mapping
from config.settings import Settings
from console.dashboard.app import Dashboard, create_application
from console.dashboard.screen.view import PlaceCrosshair
from console.snapshot import Anatomy, Binding, Mode, Snapshot
from quantify.dvh import exact_dvh, thinned
from quantify.findings import (
    FractionMaps,
    FractionResult,
    FractionStatus,
    Injection,
    Registration,
    RegistrationStatus,
    VolumeStatistics,
    VolumeStatus,
)
from quantify.model import Array, EchoSeries, FloatArray, Grid, ParametricMap, Reason, Role, Volume

SHAPE = (40, 256, 256)
SPACING_MM = (5.0, 1.5, 1.5)
WINDOW = (1920, 1080)
FRAME_MS = 16.0
LONGEST_FRAME_MS = 50.0
_START = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
_ACTIVITIES_MBQ = (129.0, 387.0, 387.0, 387.0)
_GY_PER_MBQ = 0.11
# name, role, centre (LPS mm), radii (mm), dose relative to the hottest
_SHAPES = (
    ("Liver", Role.LIVER, (-60.0, -5.0, 0.0), (90.0, 76.0, 72.0), 0.24),
    ("Healthy liver", Role.HEALTHY_LIVER, (-60.0, -5.0, 0.0), (90.0, 76.0, 72.0), 0.24),
    ("Tumour 1", Role.TUMOUR, (-80.0, 5.0, 5.0), (27.0, 24.0, 22.0), 1.0),
    ("Tumour 2", Role.TUMOUR, (-35.0, -30.0, -12.0), (20.0, 18.0, 17.0), 0.75),
    ("Tumour 3", Role.TUMOUR, (-65.0, 30.0, 35.0), (12.0, 12.0, 11.0), 0.5),
)
SLICES = (Qt.Key.Key_Up,) * 12 + (Qt.Key.Key_Down,) * 24 + (Qt.Key.Key_Up,) * 12
CROSSHAIR = (Qt.Key.Key_Right,) * 20 + (Qt.Key.Key_Left,) * 40 + (Qt.Key.Key_Right,) * 20
FRACTIONS = (Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_4) * 6
GESTURES = {"paging through slices": SLICES, "moving the crosshair": CROSSHAIR, "switching fractions": FRACTIONS}


def frame_rows() -> list[Row]:
    """The three gestures on a finished treatment, nothing else going on."""
    dashboard = shown_dashboard(synthetic_snapshot())
    rows: list[Row] = []
    for gesture, keys in GESTURES.items():
        # Away from where the gesture before has been: most frames are cuts that were never drawn.
        dashboard.act(PlaceCrosshair(voxel=(20, 118, 80 + 20 * len(rows))))
        rows.append(frame_row(gesture, measured_frames(dashboard, keys)))
    closed(dashboard)
    return rows


def frame_row(gesture: str, frames_ms: Sequence[float]) -> Row:
    """The row of one gesture's frames."""
    over = sum(taken > LONGEST_FRAME_MS for taken in frames_ms)
    told = f"{over} over {LONGEST_FRAME_MS:.0f} ms; aim: median {FRAME_MS:.0f}, none over {LONGEST_FRAME_MS:.0f}"
    return row(f"frame: {gesture}", frames_ms, "ms", told)


def measured_frames(dashboard: Dashboard, keys: Sequence[Qt.Key]) -> list[float]:
    """From each key press until its frame is painted and nothing waits any more, ms."""
    taken = []
    for key in keys:
        start = time.perf_counter()
        press = QKeyEvent(QEvent.Type.KeyPress, key, Qt.KeyboardModifier.NoModifier)
        QCoreApplication.sendEvent(dashboard.window, press)
        QCoreApplication.processEvents()
        taken.append(1000.0 * (time.perf_counter() - start))
    return taken


def prepared_application() -> None:
    """Qt's application; without a display, on its offscreen platform."""
    if "DISPLAY" not in os.environ and "WAYLAND_DISPLAY" not in os.environ:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    create_application(["holmia-benchmark"])


def shown_dashboard(snapshot: Snapshot) -> Dashboard:
    """A live window of 1920 × 1080 with this treatment, painted."""
    prepared_application()
    dashboard = Dashboard(
        mode=Mode.LIVE,
        clock=lambda: snapshot.latest_acquired_at,
        on_operator_action=lambda _action: None,
        display=snapshot.settings.display if snapshot.settings is not None else None,
    )
    dashboard.window.resize(*WINDOW)
    dashboard.window.show()
    dashboard.receive(snapshot)
    for _ in range(10):
        QCoreApplication.processEvents()
    return dashboard


def closed(dashboard: Dashboard) -> None:
    """Close the window and let Qt delete it."""
    dashboard.window.close()
    dashboard.window.deleteLater()
    dashboard.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()


def synthetic_snapshot() -> Snapshot:
    """A finished treatment of four fractions and five volumes: the shapes are analytic, every number is made up."""
    grid = Grid(
        shape=SHAPE,
        affine_lps_mm=np.array(
            [
                [0, 0, SPACING_MM[2], -SPACING_MM[2] * SHAPE[2] / 2],
                [0, SPACING_MM[1], 0, -SPACING_MM[1] * SHAPE[1] / 2],
                [SPACING_MM[0], 0, 0, -SPACING_MM[0] * SHAPE[0] / 2],
                [0, 0, 0, 1],
            ],
            dtype=np.float64,
        ),
        frame_of_reference_uid="1.2.3",
    )
    shapes = {name: _ellipsoid(grid, centre, radii) for name, _, centre, radii, _ in _SHAPES}
    for name, role, *_ in _SHAPES:
        if role is Role.TUMOUR:
            shapes["Healthy liver"] = np.minimum(shapes["Healthy liver"], 1.0 - shapes[name])
    anatomy = _anatomy(grid, shapes)
    volumes = tuple(
        Volume(name=name, role=role, occupancy=shapes[name], grid=grid, contour_volume_ml=0.0)
        for name, role, *_ in _SHAPES
    )
    results = _results(grid, shapes)
    return Snapshot(
        head_seq=2075,
        head_hash="9f2a6c51" * 8,
        plan=_plan(),
        settings=Settings(),
        settings_sha256="1a2b3c4d" * 8,
        patient_name="PHANTOM^BENCHMARK",
        patient_id="BENCH-1",
        patient_birth_date="1960-01-01",
        patient_sex="O",
        bindings=(
            Binding(series_key="reference", role="reference", confirmed=True),
            *(
                Binding(series_key=f"f{r.fraction}", role="fraction", position="RHA", fraction=r.fraction)
                for r in results
            ),
        ),
        injections=_injections(),
        reference=EchoSeries(
            signal=np.stack([anatomy.values * np.float32(0.9**echo) for echo in range(10)]),
            echo_times_s=tuple(0.0012 * (echo + 1) for echo in range(10)),
            grid=grid,
            acquired_at=_START,
            series_instance_uid="1.2.0",
            field_strength_t=3.0,
        ),
        anatomy=anatomy,
        volumes=volumes,
        results=results,
        latest_acquired_at=results[-1].acquired_at,
    )


def _ellipsoid(grid: Grid, centre: tuple[float, ...], radii: tuple[float, ...]) -> Array:
    """Occupancy with a border two voxels wide, float32."""
    z, y, x = (
        (np.arange(n) * s + origin - c) / r
        for n, s, origin, c, r in zip(
            grid.shape, grid.spacing_mm, grid.affine_lps_mm[2::-1, 3], centre[::-1], radii[::-1], strict=True
        )
    )
    distance = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
    border = (1.0 - distance) * min(radii) / (2 * SPACING_MM[1]) + 0.5
    return np.asarray(np.clip(border, 0.0, 1.0), dtype=np.float32)


def _anatomy(grid: Grid, shapes: dict[str, Array]) -> Anatomy:
    rng = np.random.default_rng(5)
    values = 80.0 * _ellipsoid(grid, (0.0, 0.0, 0.0), (178.0, 120.0, 900.0)) + 60.0 * shapes["Liver"]
    values = values - 40.0 * shapes["Tumour 1"] - 30.0 * shapes["Tumour 2"] + rng.normal(0.0, 8.0, grid.shape)
    return Anatomy(values=np.abs(values).astype(np.float32), grid=grid, description="T1")


def _results(grid: Grid, shapes: dict[str, Array]) -> tuple[FractionResult, ...]:
    rng = np.random.default_rng(6)
    rows, columns = (np.arange(n) * 1.5 for n in SHAPE[1:])
    wave = 1.0 + 0.3 * np.sin(rows / 19.0)[None, :, None] * np.cos(columns / 23.0)[None, None, :]
    relative = np.zeros(grid.shape)
    for name, _, _, _, weight in _SHAPES:
        relative = np.maximum(relative, weight * shapes[name])
    relative = relative * wave + 0.02 * rng.normal(size=grid.shape)
    reason = np.where(shapes["Liver"] > 0.05, Reason.EVALUABLE, Reason.NO_SIGNAL).astype(np.uint8)
    reason[shapes["Tumour 3"] > 0.6] = Reason.AIR_INTERFACE
    found: list[FractionResult] = []
    for number in range(len(_ACTIVITIES_MBQ)):
        injected = sum(_ACTIVITIES_MBQ[: number + 1])
        hot = (relative * injected * _GY_PER_MBQ > 125.0) & (reason == Reason.EVALUABLE)
        why = np.where(hot, np.uint8(Reason.LOWER_BOUND), reason)
        dose = _map(grid, relative * injected * _GY_PER_MBQ, why, "absorbed dose", "Gy")
        before = found[-1].maps if found else None
        gain = dose.values - before.dose.values if before is not None else dose.values
        r2star = _map(grid, 30.0 + dose.values, why, "R2*", "1/s")
        maps = FractionMaps(
            r2star=r2star,
            holmium=dose,
            activity=dose,
            dose=dose,
            increment=_map(grid, gain, why, "dose gained since the last image", "Gy") if before is not None else None,
        )
        found.append(_result(number, injected, maps, shapes))
    return tuple(found)


def _map(grid: Grid, values: FloatArray | Array, reason: np.ndarray, quantity: str, unit: str) -> ParametricMap:
    known = (reason == Reason.EVALUABLE) | (reason == Reason.LOWER_BOUND)
    numbers = np.where(known, values, np.nan).astype(np.float32)
    error = np.where(known, 2.0 + 0.1 * np.abs(values), np.nan).astype(np.float32)
    return ParametricMap(values=numbers, reason=reason, grid=grid, quantity=quantity, unit=unit, standard_error=error)


def _result(number: int, injected_mbq: float, maps: FractionMaps, shapes: dict[str, Array]) -> FractionResult:
    volumes = {}
    for name, role, *_ in _SHAPES:
        doses = maps.dose.values[(shapes[name] > 0.5) & np.isfinite(maps.dose.values)][::7].astype(np.float64)
        usable = doses.size > 1 and name != "Tumour 3"
        volumes[name] = VolumeStatistics(
            name=name,
            role=role,
            status=VolumeStatus.OK if usable else VolumeStatus.NOT_EVALUABLE,
            volume_ml=float(shapes[name].sum()) * float(np.prod(SPACING_MM)) / 1000.0,
            evaluable_fraction=1.0 if usable else 0.1,
            dose_mean_gy=float(doses.mean()) if usable else None,
            dose_mean_u_gy=2.0 + 0.07 * float(doses.mean()) if usable else None,
            d70_gy=float(np.percentile(doses, 30)) if usable else None,
            dvh=thinned(exact_dvh(doses, np.ones_like(doses))) if usable else None,  # as the engine gives it
        )
    return FractionResult(
        position="RHA",
        fraction=number + 1,
        status=FractionStatus.OK,
        injected_mbq=_ACTIVITIES_MBQ[number],
        position_injected_mbq=injected_mbq,
        cumulative_injected_mbq=injected_mbq,
        measured_mbq=1.02 * injected_mbq,
        measured_u_mbq=0.08 * injected_mbq,
        recovery_ratio=1.02,
        recovery_u=0.08,
        series_instance_uid=f"1.2.{number + 1}",
        acquired_at=_START + timedelta(minutes=12 + 14 * number),
        registration=Registration(status=RegistrationStatus.OK, translation_mm=(0.1, 0.4, -1.1), similarity=0.97),
        volumes=volumes,
        maps=maps,
    )


def _injections() -> tuple[Injection, ...]:
    return tuple(
        Injection(
            position="RHA",
            fraction=number + 1,
            planned_mbq=activity,
            activity_mbq=activity,
            time=_START + timedelta(minutes=7 + 14 * number),
        )
        for number, activity in enumerate(_ACTIVITIES_MBQ)
    )


def _plan() -> TreatmentPlan:
    batch = {
        "holmium_fraction": 0.19,
        "specific_activity_MBq_per_mg": 7.5,
        "reference_time": _START.isoformat(),
    }
    return plan_from_mapping(
        {
            "schema": 1,
            "time_zone": "Europe/Amsterdam",
            "patient": {"id": "BENCH-1"},
            "microspheres": batch,
            "calibration": {"relaxivity_per_s_per_mg_mL": 92.0, "field_T": 3.0, "holmium_fraction": 0.19},
            "positions": {"RHA": {}},
            "limits": [{"volume": "Healthy liver", "dose_Gy": 55.0}],
            "injections": [
                {
                    "position": "RHA",
                    "fraction": injection.fraction,
                    "planned_MBq": injection.planned_mbq,
                    "activity_MBq": injection.activity_mbq,
                    "time": injection.time.isoformat() if injection.time is not None else "",
                }
                for injection in _injections()
            ],
        },
        site_time_zone="Europe/Amsterdam",
    )
