"""The engine: events in, results out, whatever their pace; references, windows, failures and what is not imaged."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import console.series_maps
from config.plan import load_plan, plan_from_mapping
from config.settings import load_settings
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomOptions, PhantomTreatment, small_options, write_phantom
from console.demo.phantom_headers import Flavour
from console.engine import AlarmFound, Engine, FractionComputed, SeriesComplete
from console.outputs.nifti import map_hashes
from console.reader import InThisProcess, Reader, RememberingReader
from dicom_listener.events import Event, Kind
from dicom_listener.images import DecodedInstance, ImageKind, MrImage, Sequence
from quantify.findings import FractionResult, FractionStatus, Registration, RegistrationStatus

ZONE = "Europe/Amsterdam"
SETTINGS = load_settings()
START = datetime(2026, 3, 4, 8, 0, tzinfo=UTC)
READ_BEFORE = RememberingReader(InThisProcess())
"""Of all engines here but those that say otherwise: what a file holds does not depend on who reads it, or when."""


def coarse(flavour: Flavour) -> PhantomOptions:
    """A phantom that shows laws, not accuracy: one position, three fractions, five echoes."""
    protocol = AcquisitionOptions(
        shape=(16, 44, 66),
        spacing_mm=(10.0, 6.0, 6.0),
        echo_times_s=(0.0012, 0.003, 0.0055, 0.0085, 0.012),
        subsamples=1,
    )
    return small_options(
        flavour=flavour, n_tumours=2, fractions=3, acquisition=protocol, anatomy_spacing_mm=(10.0, 6.0, 6.0)
    )


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> PhantomTreatment:
    """One object a series: few events."""
    return write_phantom(tmp_path_factory.mktemp("engine") / "p", coarse(Flavour.PHILIPS_ENHANCED))


@pytest.fixture(scope="module")
def classic(tmp_path_factory) -> PhantomTreatment:
    """One object an image."""
    return write_phantom(tmp_path_factory.mktemp("engine") / "c", coarse(Flavour.SIEMENS_CLASSIC))


@dataclass
class Feeder:
    """Numbers events and hands them to an engine; `updates` is everything it told."""

    engine: Engine = field(default_factory=lambda: Engine(reader=READ_BEFORE))
    updates: list = field(default_factory=list)
    seq: int = 0

    def event(self, kind: str, data: bytes | None = None, **payload: object) -> None:
        self.seq += 1
        one = Event(
            seq=self.seq,
            utc=START + timedelta(seconds=self.seq),
            actor="test",
            kind=kind,
            payload=payload,
            object_sha256="x" if data is not None else None,
            previous_hash="",
            hash=f"hash-{self.seq}",
        )
        self.engine.take(one, data)

    def plan(self, path: Path, kind: str = Kind.PLAN_LOADED, **changes: object) -> None:
        mapping = load_plan(path, site_time_zone=ZONE).to_mapping()
        plan = plan_from_mapping({**mapping, **changes}, site_time_zone=ZONE)
        settings = {"quantification": SETTINGS.quantification.to_mapping(), "alarms": SETTINGS.alarms.to_mapping()}
        self.event(kind, plan=plan.to_mapping(), sha256=plan.sha256, settings=settings, time_zone=ZONE)

    def send(self, folder: Path, *, name: str = "", leave_out: int = 0, shuffle: int | None = None, repeat: int = 1):
        files = sorted(folder.rglob("*.dcm"))[leave_out:]
        if shuffle is not None:
            random.Random(shuffle).shuffle(files)
        association = name or folder.name
        for path in files:
            for _ in range(repeat):
                self.event(Kind.INSTANCE_STORED, path.read_bytes(), association=association)
        self.event(Kind.ASSOCIATION_CLOSED, association=association)

    def advance(self) -> list:
        new = list(self.engine.advance())
        self.updates += new
        return new

    def results(self) -> dict[str, FractionResult]:
        self.advance()
        return {result.label: result for result in self.engine.results}


def fed(
    phantom: PhantomTreatment, *, folders: Iterable[Path] | None = None, reader: Reader | None = None, **send
) -> Feeder:
    """Plan, then the folders one after the other (all by default), without computing."""
    feeder = Feeder(engine=Engine(reader=reader or READ_BEFORE))
    feeder.event(Kind.TREATMENT_CREATED)
    feeder.plan(phantom.plan_path)
    for folder in phantom.series_folders if folders is None else folders:
        feeder.send(folder, **send)
    return feeder


@pytest.fixture(scope="module")
def whole(phantom) -> dict[str, FractionResult]:
    """The results of the whole phantom, all events first."""
    return fed(phantom).results()


def bits(results: dict[str, FractionResult]) -> dict:
    return {label: (result, map_hashes(result)) for label, result in results.items()}


def doses(result: FractionResult) -> dict[str, float | None]:
    return {name: own.dose_mean_gy for name, own in result.volumes.items()}


def roles(feeder: Feeder) -> list[str]:
    return [b.role for b in feeder.engine.snapshot().bindings]


def test_a_treatment_is_quantified(phantom, whole):
    assert list(whole) == ["RHA F1", "RHA F2", "RHA F3"]
    assert [r.status for r in whole.values()] == [FractionStatus.OK] * 3
    assert [r.error for r in whole.values()] == [None] * 3
    assert 0.85 < whole["RHA F3"].recovery_ratio < 1.15
    assert list(whole["RHA F1"].volumes) == ["Tumour 1", "Tumour 2", "Liver", "Healthy liver"]


@pytest.mark.parametrize("every", [1, 3])
def test_the_pace_of_events_changes_no_bit(phantom, whole, every):
    feeder = Feeder()
    original = feeder.engine.take

    def take_and_advance(event: Event, data: bytes | None = None) -> None:
        original(event, data)
        if event.seq % every == 0:
            feeder.advance()

    feeder.engine.take = take_and_advance
    feeder.event(Kind.TREATMENT_CREATED)
    feeder.plan(phantom.plan_path)
    for folder in phantom.series_folders:
        feeder.send(folder)
    assert bits(feeder.results()) == bits(whole)


def test_the_order_of_images_changes_no_bit(classic):
    sorted_, shuffled = fed(classic), fed(classic, shuffle=5)
    assert bits(sorted_.results()) == bits(shuffled.results())
    assert len(sorted_.engine.results) == 3


def test_an_object_that_comes_twice_changes_no_bit(phantom, whole):
    assert bits(fed(phantom, repeat=2, reader=InThisProcess()).results()) == bits(whole)


def test_every_series_and_fraction_is_told_once_and_idle_calls_tell_nothing(phantom):
    feeder = Feeder()
    feeder.event(Kind.TREATMENT_CREATED)
    feeder.plan(phantom.plan_path)
    for folder in phantom.series_folders:
        feeder.send(folder)
        feeder.advance()
        assert feeder.advance() == []
    told = [u.state.description for u in feeder.updates if isinstance(u, SeriesComplete)]
    assert len(told) == len(set(told)) == 5
    computed = [u for u in feeder.updates if isinstance(u, FractionComputed)]
    assert [u.result.label for u in computed] == ["RHA F1", "RHA F2", "RHA F3"]
    assert all(u.stored_at is not None for u in computed)


def test_the_snapshot_follows_the_course(phantom):
    feeder = fed(phantom, folders=phantom.series_folders[:3])
    feeder.advance()
    before = feeder.engine.snapshot()
    happened = sum(i.activity_mbq for i in phantom.treatment.injections)
    assert before.results == ()
    assert before.awaited == ("RHA", 1)
    assert before.not_imaged_mbq == pytest.approx(happened)
    assert not before.complete
    feeder.send(phantom.fractions[0])
    feeder.advance()
    after = feeder.engine.snapshot()
    assert after.awaited == ("RHA", 2)
    assert after.not_imaged_mbq == pytest.approx(happened - phantom.treatment.injections[0].activity_mbq)
    for folder in phantom.fractions[1:]:
        feeder.send(folder)
    feeder.advance()
    last = feeder.engine.snapshot()
    assert last.complete
    assert last.awaited is None
    assert last.not_imaged_mbq == 0.0
    assert last.head_seq == feeder.seq
    assert last.head_hash == f"hash-{feeder.seq}"
    assert (last.patient_id, last.patient_birth_date) == ("EM1-004", last.plan.patient.birth_date.isoformat())


def test_without_a_plan_nothing_is_computed_and_nothing_breaks(phantom):
    feeder = Feeder()
    feeder.send(phantom.reference)
    feeder.send(phantom.fractions[0])
    assert feeder.results() == {}
    assert feeder.engine.snapshot().plan is None
    assert feeder.engine.snapshot().alarms == ()


def test_without_structures_there_are_maps_only(phantom, whole):
    feeder = fed(phantom, folders=(phantom.reference, phantom.fractions[0]))
    (result,) = feeder.results().values()
    assert result.status == FractionStatus.OK
    assert result.volumes == {}
    assert result.recovery_ratio is None
    assert result.maps is not None


def test_structures_that_come_late_complete_the_results(phantom, whole):
    order = (phantom.anatomy, phantom.reference, *phantom.fractions, phantom.structures)
    feeder = fed(phantom, folders=order[:-1])
    assert all(r.volumes == {} for r in feeder.results().values())
    feeder.send(phantom.structures)
    assert bits(feeder.results()) == bits(whole)


def test_a_revised_plan_computes_everything_anew(phantom, whole):
    feeder = fed(phantom)
    feeder.advance()
    plan = load_plan(phantom.plan_path, site_time_zone=ZONE).to_mapping()
    feeder.plan(
        phantom.plan_path,
        Kind.PLAN_REVISED,
        microspheres={**plan["microspheres"], "specific_activity_MBq_per_mg": 6.0},
    )
    for label, result in feeder.results().items():
        for name, dose in doses(result).items():
            assert dose == pytest.approx(0.5 * doses(whole[label])[name], rel=1e-5)


def test_overrides_are_a_what_if(phantom, whole):
    feeder = Feeder(engine=Engine(overrides={"calibration.relaxivity_per_s_per_mg_mL": 109.0}))
    feeder.plan(phantom.plan_path)
    for folder in phantom.series_folders:
        feeder.send(folder)
    for label, result in feeder.results().items():
        for name, dose in doses(result).items():
            assert dose == pytest.approx(2.0 * doses(whole[label])[name], rel=1e-5)


def test_a_recorded_activity_changes_recovery_and_not_dose(phantom, whole):
    feeder = fed(phantom)
    feeder.advance()
    given = phantom.treatment.injections[2].activity_mbq
    feeder.event(Kind.INJECTION_RECORDED, position="RHA", fraction=3, activity_MBq=given / 2)
    last = feeder.results()["RHA F3"]
    assert doses(last) == doses(whole["RHA F3"])
    assert last.cumulative_injected_mbq == pytest.approx(whole["RHA F3"].cumulative_injected_mbq - given / 2)
    assert last.recovery_ratio > whole["RHA F3"].recovery_ratio


def test_an_aborted_injection_of_unknown_activity_leaves_dose_and_withholds_recovery(phantom, whole):
    feeder = fed(phantom)
    feeder.event(Kind.INJECTION_RECORDED, position="RHA", fraction=3, aborted=True, activity_MBq=None)
    last = feeder.results()["RHA F3"]
    assert last.status == FractionStatus.PROVISIONAL
    assert last.recovery_ratio is None
    assert doses(last) == pytest.approx(doses(whole["RHA F3"]), rel=1e-3)


def test_a_cancelled_injection_leaves_its_series_to_the_one_before(phantom):
    feeder = fed(phantom)
    feeder.event(Kind.INJECTION_RECORDED, position="RHA", fraction=3, cancelled=True)
    results = feeder.results()
    assert list(results) == ["RHA F1", "RHA F2"]
    assert results["RHA F2"].provisional_reasons == ("two series in this fraction's window; the last is used",)
    assert results["RHA F2"].status == FractionStatus.PROVISIONAL
    alarms = feeder.engine.snapshot().alarms
    assert any(raised.alarm.kind == "ambiguous_series" and raised.active for raised in alarms)


def test_the_operator_settles_two_series_in_one_window(phantom, whole):
    feeder = fed(phantom)
    feeder.event(Kind.INJECTION_RECORDED, position="RHA", fraction=3, cancelled=True)
    feeder.advance()
    key = next(s.key for s in feeder.engine.snapshot().series if s.description.endswith("RHA F2"))
    feeder.event(Kind.SERIES_ASSIGNED, series_key=key, role="fraction", position="RHA", fraction=2)
    result = feeder.results()["RHA F2"]
    assert doses(result) == doses(whole["RHA F2"])
    assert result.status == FractionStatus.OK
    raised = [a for a in feeder.engine.snapshot().alarms if a.alarm.kind == "ambiguous_series"]
    assert [a.active for a in raised] == [False], "latched, but its cause has gone"


def test_the_reference_is_the_last_series_before_the_first_injection(phantom):
    """Until the injection is recorded, a series that shows it looks like a later reference."""
    feeder = Feeder()
    feeder.plan(phantom.planned_only_path)
    for folder in phantom.series_folders[:4]:
        feeder.send(folder)
    assert feeder.results() == {}
    assert roles(feeder) == ["anatomy", "repeatability", "reference"]
    first = phantom.treatment.injections[0]
    feeder.event(
        Kind.INJECTION_RECORDED,
        position="RHA",
        fraction=1,
        activity_MBq=first.activity_mbq,
        time=first.time.isoformat(),
    )
    assert list(feeder.results()) == ["RHA F1"]
    assert roles(feeder) == ["anatomy", "reference", "fraction"]


def test_a_reference_that_a_fraction_was_held_against_stays(phantom):
    feeder = fed(phantom, folders=phantom.series_folders[:4])
    feeder.advance()
    assert roles(feeder) == ["anatomy", "reference", "fraction"]
    second = phantom.treatment.injections[1]
    feeder.event(Kind.INJECTION_RECORDED, position="RHA", fraction=1, time=second.time.isoformat())
    feeder.advance()
    assert roles(feeder) == ["anatomy", "reference", "repeatability"]


def test_the_clock_offset_moves_series_between_windows_only_once_confirmed(phantom):
    feeder = fed(phantom, folders=phantom.series_folders[:5])
    assert list(feeder.results()) == ["RHA F1", "RHA F2"]
    feeder.event(Kind.CLOCK_OFFSET_CONFIRMED, seconds=14 * 60.0)
    assert list(feeder.results()) == ["RHA F1"]
    assert roles(feeder) == ["anatomy", "reference", "repeatability", "fraction"]


def test_a_failed_registration_withholds_the_dose_and_the_next_increment_spans_it(phantom, whole, monkeypatch):
    real = console.series_maps.register

    def register(*, moving, **rest):
        if moving.description.endswith("F2"):
            return Registration(status=RegistrationStatus.FAILED, message="similarity 0.31 is below 0.50.")
        return real(moving=moving, **rest)

    monkeypatch.setattr(console.series_maps, "register", register)
    feeder = fed(phantom)
    results = feeder.results()
    second, third = results["RHA F2"], results["RHA F3"]
    assert second.status == FractionStatus.FAILED
    assert second.error == "registration to the reference failed: similarity 0.31 is below 0.50."
    assert (second.maps, second.volumes, second.recovery_ratio) == (None, {}, None)
    assert second.registration.status == RegistrationStatus.FAILED
    assert third.status == FractionStatus.OK
    assert third.cumulative_injected_mbq == whole["RHA F3"].cumulative_injected_mbq
    assert doses(third) == pytest.approx(doses(whole["RHA F3"]), rel=0.01)
    kinds = [a.alarm.kind for a in feeder.engine.snapshot().alarms]
    assert "registration_failed" in kinds
    assert feeder.engine.snapshot().complete, "an error is an answer too"


def test_an_injection_outside_the_mri_counts_for_the_next_series(phantom, whole):
    folders = [f for f in phantom.series_folders if f != phantom.fractions[1]]
    feeder = fed(phantom, folders=folders[:-1])
    feeder.event(Kind.INJECTION_RECORDED, position="RHA", fraction=2, outside_mri=True)
    feeder.advance()
    waiting = sum(i.activity_mbq for i in phantom.treatment.injections[1:])
    assert feeder.engine.snapshot().not_imaged_mbq == pytest.approx(waiting)
    feeder.send(folders[-1])
    results = feeder.results()
    assert results["RHA F2"].error == "given outside the MRI: not imaged; its activity counts for the next series"
    assert doses(results["RHA F3"]) == pytest.approx(doses(whole["RHA F3"]), rel=0.01)


def test_a_missing_series_is_an_error_once_a_later_one_came_or_the_file_ended(phantom):
    feeder = fed(phantom, folders=[*phantom.series_folders[:3], phantom.fractions[1]])
    results = feeder.results()
    assert results["RHA F1"].error == "no holmium series was acquired between this injection and the next"
    assert results["RHA F2"].status == FractionStatus.OK
    assert "RHA F3" not in results, "its series may still come"
    feeder.engine.end()
    assert feeder.results()["RHA F3"].status == FractionStatus.FAILED


def failures(feeder):
    kinds = [update.alarm.kind for update in feeder.updates if isinstance(update, AlarmFound)]
    return [kind for kind in kinds if kind in ("series_incomplete", "fraction_failed")]


def test_an_incomplete_series_gives_no_dose_until_the_rest_comes(classic):
    feeder = fed(classic, folders=classic.series_folders[:3])
    feeder.send(classic.fractions[0], leave_out=1)
    (result,) = feeder.results().values()
    assert result.status == FractionStatus.FAILED
    assert result.error.startswith("its series is not complete: ")
    assert "1 of 80 images missing" in result.error
    assert failures(feeder) == [], "the rest may still come"
    uid = feeder.engine.snapshot().series[-1].series_instance_uids[0]
    feeder.event(Kind.SERIES_QUIET, series_instance_uid=uid, seconds=10.0, instances=79)
    feeder.event(Kind.SERIES_QUIET, series_instance_uid=uid, seconds=39.0, instances=79)
    feeder.advance()
    assert failures(feeder) == []
    feeder.event(Kind.SERIES_QUIET, series_instance_uid=uid, seconds=40.0, instances=79)
    feeder.advance()
    assert failures(feeder) == ["series_incomplete"]
    first = min(classic.fractions[0].rglob("*.dcm"))
    feeder.event(Kind.INSTANCE_STORED, first.read_bytes(), association="again")
    feeder.event(Kind.ASSOCIATION_CLOSED, association="again")
    (late,) = feeder.results().values()
    assert late.status == FractionStatus.OK
    (whole_at_once,) = fed(classic, folders=classic.series_folders[:4]).results().values()
    assert doses(late) == doses(whole_at_once)
    raised = [a for a in feeder.engine.snapshot().alarms if a.alarm.kind == "series_incomplete"]
    assert [a.active for a in raised] == [False]


def test_other_echo_times_are_refused_with_their_sentence(phantom, tmp_path):
    base = coarse(Flavour.PHILIPS_ENHANCED)
    protocol = replace(base.acquisition, echo_times_s=(0.0012, 0.003, 0.0055, 0.0085, 0.014))
    other = write_phantom(tmp_path / "other", replace(base, fractions=1, acquisition=protocol))
    feeder = fed(phantom, folders=phantom.series_folders[:3])
    feeder.send(other.fractions[0])
    (result,) = feeder.results().values()
    assert result.status == FractionStatus.FAILED
    assert result.error == (
        "its series cannot be used: echo times 1.2/3/5.5/8.5/14 ms differ from the reference's 1.2/3/5.5/8.5/12 ms: "
        "4 in common, 6 are needed; repeat the series with the reference's protocol"
    )
    assert "series_refused" in [u.alarm.kind for u in feeder.updates if isinstance(u, AlarmFound)]


def test_another_field_strength_is_refused_for_reference_and_fractions(phantom):
    feeder = Feeder()
    plan = load_plan(phantom.plan_path, site_time_zone=ZONE).to_mapping()
    calibration = {**plan["calibration"], "field_T": 1.5, "relaxivity_per_s_per_mg_mL": 109.0}
    feeder.plan(phantom.plan_path, calibration=calibration)
    for folder in phantom.series_folders[:4]:
        feeder.send(folder)
    feeder.advance()
    assert feeder.engine.results == ()
    sentences = [b.why for b in feeder.engine.snapshot().bindings if b.role == "refused"]
    assert len(sentences) == 2
    assert all("acquired at 3 T but the relaxivity was calibrated at 1.5 T" in sentence for sentence in sentences)


def test_an_alarm_is_acknowledged_by_name_and_stays(phantom):
    feeder = fed(phantom, folders=[*phantom.series_folders[:3], phantom.fractions[0]])
    feeder.event(Kind.INSTANCE_QUARANTINED, association="a", sha256="0", cause="other_patient", text="x")
    feeder.advance()
    (raised,) = [a for a in feeder.engine.snapshot().alarms if a.alarm.kind == "patient_mismatch"]
    assert raised.acknowledged_by is None
    feeder.event(Kind.ALARM_ACKNOWLEDGED, alarm=raised.alarm.id, name="Dr. A")
    (seen,) = [a for a in feeder.engine.snapshot().alarms if a.alarm.kind == "patient_mismatch"]
    assert (seen.acknowledged_by, seen.active) == ("Dr. A", True), "acknowledging is not clearing"


def test_what_is_not_dicom_changes_nothing(phantom, whole):
    feeder = fed(phantom, folders=phantom.series_folders[:3])
    feeder.event(Kind.INSTANCE_STORED, b"\0" * 128 + b"DICM" + b"rubbish" * 40, association="bad")
    feeder.event(Kind.INSTANCE_STORED, b"", association="bad")
    feeder.event(Kind.ASSOCIATION_CLOSED, association="bad")
    for folder in phantom.fractions:
        feeder.send(folder)
    assert bits(feeder.results()) == bits(whole)


def test_a_series_split_over_three_associations_is_one_series(classic):
    at_once = fed(classic, folders=classic.series_folders[:4]).results()
    feeder = fed(classic, folders=classic.series_folders[:3])
    files = sorted(classic.fractions[0].rglob("*.dcm"))
    for part in range(3):
        for path in files[part::3]:
            feeder.event(Kind.INSTANCE_STORED, path.read_bytes(), association=f"part-{part}")
        feeder.event(Kind.ASSOCIATION_CLOSED, association=f"part-{part}")
        feeder.advance()
    assert bits(feeder.results()) == bits(at_once)
    assert failures(feeder) == []


def test_fractions_that_come_late_in_one_association_are_told_apart_by_their_time(tmp_path):
    """Five, in an order of chance, after the treatment; and each of them once more."""
    base = coarse(Flavour.SIEMENS_CLASSIC)
    protocol = replace(
        base.acquisition, shape=(16, 32, 48), spacing_mm=(10.0, 8.0, 8.0), echo_times_s=(0.0012, 0.004, 0.009)
    )
    options = replace(
        base, positions=("RHA", "LHA"), fractions=3, acquisition=protocol, anatomy_spacing_mm=(10.0, 8.0, 8.0)
    )
    phantom = write_phantom(tmp_path / "late", options)
    in_time = fed(phantom, folders=phantom.series_folders[:8])  # what is bound to what is enough: doses follow from it
    late = fed(phantom, folders=phantom.series_folders[:3])
    files = [path for folder in phantom.fractions[:5] for path in sorted(folder.rglob("*.dcm"))]
    random.Random(4).shuffle(files)
    for path in [*files, *files[::7]]:
        late.event(Kind.INSTANCE_STORED, path.read_bytes(), association="late")
    late.event(Kind.ASSOCIATION_CLOSED, association="late")
    found, expected = late.engine.snapshot(), in_time.engine.snapshot()
    assert [b.fraction for b in found.bindings if b.role == "fraction"] == [1, 2, 3, 1, 2]
    assert [replace(b, why="") for b in found.bindings] == [replace(b, why="") for b in expected.bindings]
    told = [[replace(s, reason="", last_seq=0) for s in snapshot.series] for snapshot in (found, expected)]
    assert told[0] == told[1]


def test_an_ambiguous_match_is_asked_and_the_answer_decides(phantom):
    """Two series in one window: the later is used and the question raised; the operator's word settles it."""
    feeder = fed(phantom, folders=phantom.series_folders[:5])
    feeder.plan(phantom.plan_path, kind=Kind.PLAN_REVISED, injections=in_one_window(phantom))
    (result,) = feeder.results().values()
    assert result.status == FractionStatus.PROVISIONAL
    asked = [a for a in feeder.engine.snapshot().alarms if a.alarm.kind == "ambiguous_series"]
    assert [a.active for a in asked] == [True]
    first, second = (b.series_key for b in feeder.engine.snapshot().bindings[-2:])
    feeder.event(Kind.SERIES_ASSIGNED, series_key=first, role="fraction", position="RHA", fraction=1)
    feeder.event(Kind.SERIES_ASSIGNED, series_key=second, role="ignore", position=None, fraction=None)
    (answered,) = feeder.results().values()
    assert answered.status == FractionStatus.OK
    assert answered.acquired_at < result.acquired_at
    assert [a.active for a in feeder.engine.snapshot().alarms if a.alarm.kind == "ambiguous_series"] == [False]
    for key in (first, second):
        feeder.event(Kind.SERIES_ASSIGNED, series_key=key, role="automatic", position=None, fraction=None)
    assert bits(feeder.results()) == bits({result.label: result})
    assert [a.active for a in feeder.engine.snapshot().alarms if a.alarm.kind == "ambiguous_series"] == [True]


def in_one_window(phantom: PhantomTreatment) -> list[dict]:
    """The plan's injections with only the first: two fractions' series then follow it."""
    return load_plan(phantom.plan_path, site_time_zone=ZONE).to_mapping()["injections"][:1]


def test_the_engine_reads_by_what_it_is_given(phantom):
    """A reader that finds nothing to use gives a treatment without images, and no error."""

    class Blind(InThisProcess):
        def decode(self, data, *, time_zone):
            return DecodedInstance(reason="nothing")

    engine = Engine(reader=Blind())
    feeder = Feeder(engine=engine)
    feeder.plan(phantom.plan_path)
    feeder.send(phantom.reference)
    assert feeder.results() == {}
    assert engine.snapshot().series == ()


ECHOES, SLICES = 4, 3


class Prepared(InThisProcess):
    """Reads what a test has made: the bytes of an object are the number of its image."""

    def __init__(self) -> None:
        self.images: list[MrImage] = []

    def decode(self, data, *, time_zone):
        image = self.images[int(data)]
        return DecodedInstance(series_instance_uid=image.series_instance_uid, images=(image,))


@pytest.fixture
def prepared(phantom) -> Feeder:
    """A treatment with a plan, whose series come from `sent`; nothing is fitted as long as nobody asks for results."""
    feeder = Feeder(engine=Engine(reader=Prepared()))
    feeder.plan(phantom.plan_path)
    feeder.first_injection = phantom.treatment.injections[0].time
    return feeder


def sent(feeder: Feeder, minutes: float, *, echoes=range(ECHOES), leave_out: int = 0, close: bool = True, read_in=None):
    """Send a tiny series acquired so long after the first injection, a series UID for each echo.

    With `read_in`, its header states the time on the wall without an offset, and is read in that zone.
    """
    acquired_at = feeder.first_injection + timedelta(minutes=minutes)
    if read_in is not None:
        acquired_at = acquired_at.astimezone(ZoneInfo(ZONE)).replace(tzinfo=read_in)
    reader = feeder.engine._reader
    association = f"at {minutes}"
    for echo in echoes:
        for index in range(SLICES - (leave_out if echo == ECHOES - 1 else 0)):
            image = MrImage(
                signal=np.full((4, 4), 100.0 - echo - index, dtype=np.float32),
                kind=ImageKind.MAGNITUDE,
                echo_time_s=0.002 * (echo + 1),
                position_mm=(0.0, 0.0, 4.0 * index),
                row_direction=(1.0, 0.0, 0.0),
                column_direction=(0.0, 1.0, 0.0),
                pixel_spacing_mm=(3.0, 3.0),
                frame_of_reference_uid="1.2",
                study_instance_uid="1.3",
                series_instance_uid=f"1.4.{minutes}.{echo}",
                sop_instance_uid=f"1.5.{minutes}.{echo}.{index}",
                frame_number=None,
                series_number=1,
                acquisition_number=1,
                acquired_at=acquired_at,
                protocol="gre",
                description=f"gre {minutes}",
                sequence=Sequence.GRADIENT_ECHO,
                field_strength_t=3.0,
            )
            reader.images.append(image)
            feeder.event(Kind.INSTANCE_STORED, str(len(reader.images) - 1).encode(), association=association)
    if close:
        feeder.event(Kind.ASSOCIATION_CLOSED, association=association)


def assign(feeder: Feeder, key: str, role: str, of: tuple[str, int] | None = None) -> None:
    position, fraction = of or (None, None)
    feeder.event(Kind.SERIES_ASSIGNED, series_key=key, role=role, position=position, fraction=fraction)


def keys(feeder: Feeder) -> list[str]:
    return [state.key for state in feeder.engine.snapshot().series]


def test_a_reference_assigned_by_mistake_is_none_once_that_is_taken_back(prepared):
    """A fraction was held against it meanwhile: the lock is for what was found, the word of the operator can be taken
    back."""
    for minutes in (-10, 2, 4):
        sent(prepared, minutes)
    assign(prepared, keys(prepared)[1], "reference")
    assert roles(prepared) == ["repeatability", "reference", "fraction"]
    assign(prepared, keys(prepared)[1], "automatic")
    assert roles(prepared) == ["reference", "superseded", "fraction"]


def test_a_series_completes_at_once_if_it_is_like_the_reference_that_the_operator_chose_later(prepared):
    sent(prepared, -20, echoes=range(1, ECHOES))
    sent(prepared, 1, echoes=range(1, ECHOES))
    assert roles(prepared) == ["reference", "fraction"]
    sent(prepared, -10)
    assign(prepared, keys(prepared)[1], "reference")
    sent(prepared, 4, close=False)
    assert prepared.engine.snapshot().series[-1].reason.endswith("same as the reference")


def test_what_the_operator_said_of_a_series_stays_when_its_first_echo_begins_last(prepared):
    sent(prepared, -10)
    sent(prepared, 2, echoes=range(1, ECHOES), close=False)
    early = keys(prepared)[-1]
    assign(prepared, early, "ignore")
    sent(prepared, 2, echoes=(0,))
    assert keys(prepared)[-1] != early
    assert roles(prepared) == ["reference", "ignored"]
    assign(prepared, early, "fraction", of=("RHA", 1))
    assert [b.confirmed for b in prepared.engine.snapshot().bindings] == [False, True]
    assign(prepared, keys(prepared)[-1], "automatic")
    assert [(b.role, b.confirmed) for b in prepared.engine.snapshot().bindings] == [
        ("reference", False),
        ("fraction", False),
    ]


def test_a_reference_with_holes_is_told_and_nothing_is_computed(prepared):
    sent(prepared, -10, leave_out=1)
    assign(prepared, keys(prepared)[0], "reference")
    assert prepared.results() == {}
    (alarm,) = (a.alarm for a in prepared.engine.snapshot().alarms if a.alarm.kind == "not_quantified")
    assert alarm.text.startswith("Nothing can be quantified: the reference is incomplete: 1 of 12 images missing")


def test_a_revised_time_zone_moves_the_series_that_came_before(prepared, phantom):
    """Times without an offset are in the plan's zone, whenever the plan said which."""
    prepared.plan(phantom.plan_path, kind=Kind.PLAN_REVISED, time_zone="UTC")
    for minutes in (-10, 2):
        sent(prepared, minutes, read_in=ZoneInfo("UTC"))
    wrong = prepared.engine.snapshot()
    assert "reference" not in [b.role for b in wrong.bindings]
    prepared.plan(phantom.plan_path, kind=Kind.PLAN_REVISED)
    sent(prepared, 4, read_in=ZoneInfo(ZONE))
    right = prepared.engine.snapshot()
    assert [b.role for b in right.bindings] == ["reference", "superseded", "fraction"]
