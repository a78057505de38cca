"""Tuning: a draft beside the treatment in force; what it computes is what ``--set`` would, bit for bit."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import ClassVar, get_args
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.overrides import parse_set
from config.plan import load_plan
from config.settings import QuantificationSettings, load_settings
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import small_options, write_phantom
from console.demo.phantom_headers import Flavour
from console.draft import Draft, DraftRefused
from console.engine import Engine
from console.engine_process import EngineProcess
from console.outputs.nifti import map_hashes
from console.reader import InThisProcess
from console.snapshot import Snapshot
from console.tasks import Tuning
from dicom_listener.events import Event, Kind
from dicom_listener.images import DecodedInstance
from dicom_listener.record import Record
from quantify.findings import FractionResult
from quantify.remembered import Remembered

NINE = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
ZONE = "Europe/Amsterdam"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A treatment file of two fractions and two tumours, as coarse as quantification bears."""
    folder = tmp_path_factory.mktemp("tuning")
    protocol = AcquisitionOptions(
        shape=(12, 30, 46), spacing_mm=(14.0, 9.0, 9.0), echo_times_s=(0.0012, 0.003, 0.0048, 0.0066), subsamples=1
    )
    phantom = write_phantom(
        folder / "p",
        small_options(
            flavour=Flavour.PHILIPS_ENHANCED,
            n_tumours=2,
            fractions=2,
            acquisition=protocol,
            anatomy_spacing_mm=(14.0, 9.0, 9.0),
            saturating_tumour=None,
        ),
    )
    plan, settings = load_plan(phantom.plan_path, site_time_zone=ZONE), load_settings()
    payload = {
        "plan": plan.to_mapping(),
        "sha256": plan.sha256,
        "settings": {"quantification": settings.quantification.to_mapping(), "alarms": settings.alarms.to_mapping()},
        "time_zone": ZONE,
    }
    path = folder / "t.holmia"
    with Record.create(path) as record:
        record.append(Kind.TREATMENT_CREATED, {"software_version": "test"}, actor="test", utc=NINE)
        record.append(Kind.PLAN_LOADED, payload, actor="test", utc=NINE)
        for series in phantom.series_folders:
            for image in sorted(series.rglob("*.dcm")):
                stored = {"association": series.name}
                record.append(Kind.INSTANCE_STORED, stored, actor="listener", utc=NINE, data=image.read_bytes())
            record.append(Kind.ASSOCIATION_CLOSED, {"association": series.name}, actor="listener", utc=NINE)
    return path


@pytest.fixture(scope="module")
def events(file) -> list[tuple[Event, bytes | None]]:
    with Record.open(file, read_only=True) as record:
        return [
            (event, record.object_bytes(event.object_sha256) if event.object_sha256 is not None else None)
            for event in record.events(0)
        ]


class Once(InThisProcess):
    """Decodes each object once for all engines of this module: that is no part of what is tested here."""

    known: ClassVar[dict[tuple[int, str], DecodedInstance]] = {}

    def decode(self, data: bytes, *, time_zone: ZoneInfo) -> DecodedInstance:
        key = (hash(data), time_zone.key)
        if key not in self.known:
            self.known[key] = super().decode(data, time_zone=time_zone)
        return self.known[key]


def engine_of(events, overrides=None) -> Engine:
    engine = Engine(overrides=overrides, reader=Once())
    for event, data in events:
        engine.take(event, data)
    return engine


def bits(result: FractionResult) -> tuple:
    """Everything that a result is, its curves and maps by their bytes."""
    curves = {
        name: own.dvh and (own.dvh.dose_gy.tobytes(), own.dvh.volume_fraction.tobytes())
        for name, own in result.volumes.items()
    }
    return result, map_hashes(result), curves


def known(engine: Engine) -> tuple:
    """All results, and what is said of them."""
    for _ in engine.advance():
        pass
    for result in engine.results:
        if result.error is None:
            engine.draw(result.key)
    snapshot = engine.snapshot()
    said = tuple((raised.alarm.kind, raised.alarm.text) for raised in snapshot.alarms)
    results = tuple(bits(result) for result in snapshot.results)
    return results, snapshot.methods, said, snapshot.settings_sha256, snapshot.structure_faults


class Told:
    """What a draft told, and a wait for what is wanted of it."""

    def __init__(self) -> None:
        self.all: list[object] = []
        self._more = threading.Condition()

    def __call__(self, told: object) -> None:
        with self._more:
            self.all.append(told)
            self._more.notify_all()

    def until(self, wanted):
        """The first of all that were told that is wanted."""
        with self._more:
            found = self._more.wait_for(lambda: next((one for one in self.all if wanted(one)), None), PATIENCE_S)
        assert found is not None, f"not told within {PATIENCE_S:g} s; the last was {self.all[-1:]}"
        return found


def is_draft(snapshot: object, overrides: dict, *, maps: bool) -> bool:
    """Whether it has the results of this draft, with their maps too if they are wanted."""
    return (
        isinstance(snapshot, Snapshot)
        and snapshot.overrides == overrides
        and not snapshot.computing
        and snapshot.results_inputs == snapshot.inputs != ""
        and len(snapshot.results) == 2
        and (not maps or all(result.maps is not None for result in snapshot.results))
    )


@pytest.fixture
def process(file, placed, tmp_path) -> Iterator[tuple[EngineProcess, Told, Path]]:
    copy, told = tmp_path / "copy.holmia", Told()
    shutil.copyfile(file, copy)
    with Record.open(copy) as record:
        for event, _ in placed[record.head().seq :]:
            record.append(event.kind, event.payload, actor=event.actor, utc=NINE)
    made = EngineProcess(Tuning(path=copy), on_snapshot=told, on_refused=told)
    made.start()
    yield made, told, copy
    made.stop()


def test_the_process_tells_each_draft_numbers_before_maps_refuses_what_cannot_be_and_records_nothing(process, placed):
    engine, told, path = process
    first = told.until(lambda s: is_draft(s, {}, maps=True))
    dose = first.results[-1].volumes["Liver"].dose_mean_gy
    overrides = parse_set(["tissue_density_g_per_mL=1.03", "trend.threshold_pct=5"])
    engine.lay_over(overrides)
    numbers = told.until(lambda s: is_draft(s, overrides, maps=False))
    assert all(result.maps is None for result in numbers.results)
    assert numbers.results[-1].volumes["Liver"].dose_mean_gy == pytest.approx(dose * 1.06 / 1.03)
    whole = told.until(lambda s: is_draft(s, overrides, maps=True))
    for early, late in zip(numbers.results, whole.results, strict=True):
        assert {**early.trend} == {**late.trend}
        assert early.recovery_u == late.recovery_u
        for name, own in late.volumes.items():
            first = early.volumes[name]
            assert (first.dose_mean_gy, first.dose_mean_u_gy, first.d70_gy, first.tnr, first.message) == (
                (own.dose_mean_gy, own.dose_mean_u_gy, own.d70_gy, own.tnr, own.message)
            ), "what is told first stays"
            wanted = own.intervals.keys() & {"dose_mean_gy", "d70_gy"}
            assert first.intervals == {quantity: own.intervals[quantity] for quantity in wanted}
            assert (first.dvh, first.gain_gy, first.v_x) == (None, None, ()), "what follows is not there yet"
    cold = engine_of(placed, overrides)
    known(cold)
    assert [bits(result) for result in whole.results] == [bits(result) for result in cold.results]

    engine.lay_over({"trend.threshold_pct": 5.0})
    engine.lay_over({"trend.threshold_pct": -5.0})
    refused = told.until(lambda one: isinstance(one, DraftRefused))
    assert refused.overrides == {"trend.threshold_pct": -5.0}
    assert "threshold_pct is -5.0; expected" in refused.text
    told.until(lambda s: is_draft(s, {"trend.threshold_pct": 5.0}, maps=False))
    assert engine.failure == ""
    with Record.open(path) as record:
        assert record.head().seq == len(placed), "a draft records nothing"
        time.sleep(0.3)  # longer than between two words on reading
        record.append(Kind.RESULT_SHOWN, {"position": "RHA", "fraction": 1}, actor="console", utc=NINE)
        record.append(Kind.NOTE, {"text": "and one more"}, actor="test", utc=NINE)
    time.sleep(0.5)
    last = [one for one in told.all if isinstance(one, Snapshot)][-1]
    assert last.computing == "", "an event that changes no result leaves the draft as computed as it was"


def test_a_plan_that_no_longer_goes_with_the_draft_is_followed_without_it(file, events, tmp_path):
    """A draft names the second tumour; then the plan is revised and has only one."""
    path, told, drafts, stopping = tmp_path / "revised.holmia", Told(), SimpleQueue(), threading.Event()
    created, (plan, _) = events[0][0], events[1]
    with Record.create(path) as record:
        record.append(created.kind, created.payload, actor="test", utc=NINE)
        record.append(plan.kind, plan.payload, actor="test", utc=NINE)
        drafts.put({"injections[1].planned_MBq": 500.0})
        draft = Draft(record=record, engine=Engine(), drafts=drafts, tell=told)
        follower = threading.Thread(target=draft.run, args=(stopping.is_set,))
        follower.start()
        told.until(lambda s: isinstance(s, Snapshot) and s.overrides and s.plan is not None)
        shorter = {**plan.payload["plan"], "injections": plan.payload["plan"]["injections"][:1]}
        record.append(Kind.PLAN_REVISED, {**plan.payload, "plan": shorter}, actor="test", utc=NINE)
        refused = told.until(lambda one: isinstance(one, DraftRefused))
        told.until(lambda s: isinstance(s, Snapshot) and s.plan is not None and len(s.plan.injections) == 1)
        stopping.set()
        follower.join(PATIENCE_S)
    assert "injections[1]" in refused.text


@pytest.fixture(scope="module")
def placed(events) -> list[tuple[Event, bytes | None]]:
    """The events with an operator's registration of each fraction: nothing is searched for, which is quick."""
    engine = engine_of(events)
    keys = [b.series_key for b in engine.snapshot().bindings if b.role == "fraction"]
    unmoved = [[float(row == column) for column in range(4)] for row in range(4)]
    last = events[-1][0]
    said = [
        replace(
            last,
            seq=last.seq + number,
            kind=Kind.REGISTRATION_GIVEN,
            payload={"series_key": key, "reference_to_series_lps_mm": unmoved, "name": "Dr A"},
        )
        for number, key in enumerate(keys, 1)
    ]
    return [*events, *((event, None) for event in said)]


@pytest.fixture
def warm(placed, _an_engine) -> Engine:
    """An engine that has computed the settings in force, whatever was tried with it before."""
    _an_engine.lay_over({})
    known(_an_engine)
    return _an_engine


@pytest.fixture(scope="module")
def _an_engine(placed) -> Engine:
    return engine_of(placed)


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its TOML path."""
    for field in model.model_fields.values():
        path = prefix + (field.alias or "")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, path + ".")
        else:
            yield path, field


def changed(field: FieldInfo) -> object:
    """Another value that the setting may have."""
    default = field.default
    if isinstance(default, bool):
        return not default
    if isinstance(default, str):
        return next(value for value in get_args(field.annotation) if value not in (default, "arlo"))
    if isinstance(default, tuple):
        return [20.0, 60.0]
    if isinstance(default, int):
        return default + 1
    return round(0.97 * default if default else 1.0, 6)


SETTINGS = {path: changed(field) for path, field in settings_of(QuantificationSettings)}
GROUPS = 2


@pytest.mark.parametrize("group", range(GROUPS))
def test_with_any_setting_changed_what_is_kept_gives_what_a_new_engine_does(placed, warm, group):
    """Changed one half after the other: what is kept of the first must not outlive the second."""
    overrides: dict[str, object] = {}
    engine, paths = warm, [*SETTINGS][group::GROUPS]
    for half in (paths[::2], paths[1::2]):
        overrides |= {path: SETTINGS[path] for path in half}
        engine.lay_over(overrides)
        for _ in engine.advance(maps=False):
            pass
    kept = known(engine)
    assert kept[0], "nothing was quantified"
    assert kept == known(engine_of(placed, overrides))


def test_a_newer_draft_takes_the_place_of_one_whose_maps_are_on_their_way(placed):
    told, drafts = Told(), SimpleQueue()
    engine = engine_of(placed)
    draft = Draft(record=None, engine=engine, drafts=drafts, tell=told)
    drafts.put({"trend.threshold_pct": 5.0})
    draft._compute()
    assert told.all[-1].results[-1].maps is None, "the maps of what nobody looks at any more are not drawn"
    draft._lay_over(draft._next())
    draft._compute()
    assert all(result.maps is not None for result in told.all[-1].results)
    maps = [result.maps for result in told.all[-1].results]
    draft._lay_over([{"trend.threshold_pct": 6.0}])
    told.all.clear()
    draft._compute()
    (only,) = [one for one in told.all if not one.computing]
    assert [result.maps for result in only.results] == maps, "what stays the same is neither drawn nor sent again"


def test_what_two_threads_ask_for_is_computed_once_and_kept_with_what_they_ask_it_for():
    memory, settings, computed = Remembered(), QuantificationSettings(), []

    def part(settings: QuantificationSettings) -> float:
        time.sleep(0.02)
        computed.append("part")
        return settings.tissue_density_g_per_ml

    def whole(settings: QuantificationSettings) -> list[float]:
        return memory.together([lambda: memory.recall(("part",), (), settings, part)] * 3)

    for density in (1.06, 1.06, 1.03):
        of = settings.model_copy(update={"tissue_density_g_per_ml": density})
        assert memory.recall(("whole",), (), of, whole) == [density] * 3
        memory.forget_unused()
    assert len(computed) == 2, "once for each density"
    assert memory.reads() == {stage: {"tissue_density_g_per_ml"} for stage in (("part",), ("whole",))}
    with pytest.raises(ZeroDivisionError):
        memory.together([lambda: 1, lambda: 1 // 0])


def test_what_a_draft_changes_back_is_there_at_once(warm, monkeypatch):
    engine = warm
    before = known(engine)
    for draft in ({"fit": "log_linear"}, {"noise_floor_sigma": 5.0}, {"s0": "blended"}):
        engine.lay_over(draft)
        assert known(engine) != before
    monkeypatch.setattr("console.series_maps.align", lambda *_, **__: pytest.fail("it was there"))
    monkeypatch.setattr("console.series_maps.fit_r2star", lambda *_, **__: pytest.fail("it was there"))
    engine.lay_over({})
    assert known(engine) == before


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        ({"tissue_density_g_per_mL": 1.0}, ("decay", "placed", "aligned", "holmium", "content", "held", "cold")),
        ({"uncertainty.relaxivity_pct": 3.0}, ("held", "dose", "maps", "variants")),
        ({"trend.threshold_pct": 5.0}, ("judged", "dose", "maps")),
        ({"noise_floor_sigma": 5.0}, ("decay", "placed", "drawn", "decay of the reference")),
        ({"registration.margin_mm": 11.0}, ("decay", "reference", "drawn")),
    ],
    ids=["density", "uncertainty", "trend", "noise", "registration"],
)
def test_a_change_redoes_only_what_read_it(warm, overrides, kept):
    engine = warm
    memory = engine._quantifier._memory
    before = {stage: tuple(own) for stage, own in memory._kept.items()}
    engine.lay_over(overrides)
    known(engine)
    after = {stage: own[0] for stage, own in memory._kept.items()}
    assert {stage[0] for stage in after if any(after[stage] is own for own in before.get(stage, ()))} >= set(kept)
