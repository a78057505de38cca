"""What a treatment can ask of the quantification beside its series in order: each through the engine, from DICOM."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from console.demo.phantom_headers import Flavour
from dicom_listener.events import Kind
from quantify.findings import FractionStatus, Priority
from quantify.model import Role

from .test_engine import Feeder, bits, coarse, doses, fed, roles, write_phantom


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return write_phantom(tmp_path_factory.mktemp("quantifier") / "p", coarse(Flavour.PHILIPS_ENHANCED))


@pytest.fixture(scope="module")
def whole(phantom):
    return fed(phantom).results()


def without_two_fractions(phantom) -> list[Path]:
    """The series folders without those of the first two fractions: the third image shows all that was given."""
    return [folder for folder in phantom.series_folders if not folder.name.lower().endswith(("f1", "f2"))]


@pytest.fixture(scope="module")
def last_alone(phantom):
    return fed(phantom, folders=without_two_fractions(phantom)).results()


def key_of(feeder: Feeder, ending: str) -> str:
    return next(s.key for s in feeder.engine.snapshot().series if s.description.endswith(ending))


def altered(folder: Path, to: Path, change) -> Path:
    """A copy of a series with every file changed."""
    to.mkdir(parents=True)
    for path in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(to / path.name)
    return to


def once_more(*, minutes: int):
    """Make a series another one of the same signal, acquired so much later."""

    def change(dataset):
        dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[dataset.SeriesInstanceUID, "again"])
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[dataset.SOPInstanceUID, "again"])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        for element in dataset.iterall():
            if element.VR == "DT" and element.value:
                text = str(element.value)
                moved = datetime.strptime(text[:14], "%Y%m%d%H%M%S") + timedelta(minutes=minutes)
                element.value = moved.strftime("%Y%m%d%H%M%S") + text[14:]
            elif element.keyword in ("AcquisitionTime", "SeriesTime", "ContentTime") and element.value:
                text = str(element.value)
                moved = datetime.strptime(text[:6], "%H%M%S") + timedelta(minutes=minutes)
                element.value = moved.strftime("%H%M%S") + text[6:]

    return change


def test_every_derived_number_has_an_interval_that_holds_it(whole):
    last = whole["RHA F3"]
    for name, own in last.volumes.items():
        assert {"dose_mean_gy", "activity_mbq", "gain_gy", "d70_gy", "cv", "dose_normalised_gy"} <= set(own.intervals)
        for quantity, interval in own.intervals.items():
            assert interval.low_95 <= interval.value <= interval.high_95, (name, quantity)
        assert own.intervals["dose_mean_gy"].u == pytest.approx(own.dose_mean_u_gy, rel=0.03)
        assert sum(term.share_of_variance_pct for term in own.budget) == pytest.approx(100.0)
        assert own.dvh is not None
    low, high = last.recovery_interval
    assert low < last.recovery_ratio < high


def test_the_gains_of_all_fractions_add_up_to_the_dose(whole):
    for name in whole["RHA F3"].volumes:
        gains = [result.volumes[name].gain_gy for result in whole.values()]
        assert sum(gains) == pytest.approx(whole["RHA F3"].volumes[name].dose_mean_gy)


def test_normalised_doses_are_those_of_a_liver_that_holds_what_was_injected(whole):
    last = whole["RHA F3"]
    for own in last.volumes.values():
        assert own.dose_normalised_gy * last.recovery_ratio == pytest.approx(own.dose_mean_gy)


def test_the_next_fraction_is_projected_from_the_first_on(whole):
    first, second, third = whole.values()
    assert first.projection["Tumour 1"].method == "proportional"
    # Tumour 1 saturates, which no first two points can tell; the others take up in proportion.
    for name in ("Tumour 2", "Healthy liver"):
        own = second.projection[name]
        assert own.low_95_gy < third.volumes[name].dose_mean_gy < own.high_95_gy
    assert third.projection == {}, "nothing more is planned at this position"


def test_activity_left_falls_as_the_limit_comes_nearer(whole):
    left = [result.activity_left["Healthy liver"].mbq for result in whole.values()]
    assert left[0] > left[-1] >= 0


def test_an_operators_registration_is_used_and_named_until_it_is_taken_back(phantom, whole):
    feeder = fed(phantom)
    feeder.advance()
    key = key_of(feeder, "RHA F2")
    found = np.array(whole["RHA F2"].registration.reference_to_series_lps_mm)
    shifted = found.copy()
    shifted[2, 3] += 12.0
    feeder.event(Kind.REGISTRATION_GIVEN, series_key=key, reference_to_series_lps_mm=shifted.tolist(), name="Dr A")
    moved = feeder.results()["RHA F2"]
    assert moved.registration.given_by == "Dr A"
    assert "registration given by Dr A" in moved.notes
    np.testing.assert_allclose(moved.registration.reference_to_series_lps_mm, shifted)
    assert doses(moved) != doses(whole["RHA F2"])
    feeder.event(Kind.REGISTRATION_GIVEN, series_key=key, reference_to_series_lps_mm=[], name="Dr A")
    assert bits(feeder.results()) == bits(whole)


def test_a_new_baseline_that_shows_what_was_there_changes_no_dose(tmp_path):
    """The last series of the first position once more, as the second position's baseline: nothing new, nothing lost."""
    options = replace(coarse(Flavour.PHILIPS_ENHANCED), positions=("RHA", "LHA"), fractions=2)
    phantom = write_phantom(tmp_path / "two", options)
    whole = fed(phantom).results()
    feeder = Feeder()
    feeder.plan(phantom.plan_path)
    for folder in phantom.series_folders:
        feeder.send(folder)
        if folder.name.lower().endswith("rha_f2"):
            feeder.send(altered(folder, tmp_path / "again", once_more(minutes=2)))
    feeder.advance()
    again = [s.key for s in feeder.engine.snapshot().series if s.description.endswith("RHA F2")][-1]
    feeder.event(Kind.SERIES_ASSIGNED, series_key=again, role="baseline", position="LHA")
    results = feeder.results()
    assert "baseline" in roles(feeder)
    for label in ("RHA F2", "LHA F1", "LHA F2"):
        for name, dose in doses(results[label]).items():
            assert dose == pytest.approx(doses(whole[label])[name], rel=0.01), (label, name)
    assert any("new baseline" in note for note in results["LHA F1"].notes)
    assert results["RHA F2"].notes == ()
    terms = {term.name: term.u_gy for term in results["LHA F2"].volumes["Liver"].budget}
    plain = {term.name: term.u_gy for term in whole["LHA F2"].volumes["Liver"].budget}
    assert terms["offset of the reference"] > plain["offset of the reference"], "two references, two offsets"
    assert "new baseline" in feeder.engine.snapshot().methods


def test_a_series_with_fewer_echoes_is_held_against_the_same_echoes_of_the_reference(tmp_path):
    phantom = write_phantom(tmp_path / "c", coarse(Flavour.SIEMENS_CLASSIC))
    complete = fed(phantom).results()
    second = next(folder for folder in phantom.series_folders if "F2" in folder.name or "f2" in folder.name)
    last_echo = max(float(pydicom.dcmread(p, stop_before_pixels=True).EchoTime) for p in second.rglob("*.dcm"))
    for path in second.rglob("*.dcm"):
        if float(pydicom.dcmread(path, stop_before_pixels=True).EchoTime) == last_echo:
            path.unlink()
    feeder = Feeder()
    feeder.plan(phantom.plan_path, quantification={"minimum_common_echoes": 4})
    for folder in phantom.series_folders:
        feeder.send(folder)
    feeder.engine.end()
    result = feeder.results()["RHA F2"]
    assert result.error is None
    assert "fitted on the 4 echoes that it has in common with the reference" in result.notes
    for name, dose in doses(result).items():
        assert dose == pytest.approx(doses(complete["RHA F2"])[name], rel=0.1, abs=3.0)


def test_a_series_assigned_before_it_is_complete_counts_once_it_is(tmp_path):
    phantom = write_phantom(tmp_path / "c", replace(coarse(Flavour.SIEMENS_CLASSIC), fractions=1))
    folder = phantom.series_folders[-1]
    files = sorted(folder.rglob("*.dcm"))
    feeder = fed(phantom, folders=phantom.series_folders[:-1])
    for path in files[3:]:
        feeder.event(Kind.INSTANCE_STORED, path.read_bytes(), association="first")
    feeder.event(Kind.ASSOCIATION_CLOSED, association="first")
    feeder.advance()
    key = key_of(feeder, "RHA F1")
    feeder.event(Kind.SERIES_ASSIGNED, series_key=key, role="fraction", position="RHA", fraction=1)
    feeder.engine.end()
    assert "not complete" in feeder.results()["RHA F1"].error
    for path in files[:3]:
        feeder.event(Kind.INSTANCE_STORED, path.read_bytes(), association="second")
    feeder.event(Kind.ASSOCIATION_CLOSED, association="second")
    assert feeder.results()["RHA F1"].error is None


def test_structures_of_another_frame_of_reference_come_over_with_their_anatomy(phantom, whole, tmp_path):
    """The anatomy was acquired on another day's frame: shifted coordinates, another identifier."""
    frame, shift = generate_uid(), np.array([7.0, -5.0, 9.0])

    def elsewhere(dataset):
        for element in dataset.iterall():
            if element.keyword in ("FrameOfReferenceUID", "ReferencedFrameOfReferenceUID"):
                element.value = frame
            elif element.keyword == "ImagePositionPatient":
                element.value = [float(v) + s for v, s in zip(element.value, shift, strict=True)]
            elif element.keyword == "ContourData":
                moved = np.array(element.value, dtype=float).reshape(-1, 3) + shift
                element.value = [f"{v:.4f}" for v in moved.ravel()]

    feeder = Feeder()
    feeder.plan(phantom.plan_path)
    for number, folder in enumerate(phantom.series_folders):
        header = pydicom.dcmread(next(iter(folder.rglob("*.dcm"))), stop_before_pixels=True)
        other = header.Modality == "RTSTRUCT" or folder == phantom.series_folders[0]
        feeder.send(altered(folder, tmp_path / str(number), elsewhere) if other else folder)
    results = feeder.results()
    snapshot = feeder.engine.snapshot()
    assert any("brought over by registration" in fault for fault in snapshot.structure_faults)
    assert list(results) == list(whole)
    for name, dose in doses(results["RHA F3"]).items():
        assert dose == pytest.approx(doses(whole["RHA F3"])[name], rel=0.1), name


def test_a_repeated_reference_measures_the_scatter_between_series(phantom, whole, tmp_path):
    reference = phantom.series_folders[2]
    feeder = Feeder()
    feeder.plan(phantom.plan_path)
    feeder.send(altered(reference, tmp_path / "earlier", once_more(minutes=-30)))
    for folder in phantom.series_folders:
        feeder.send(folder)
    results = feeder.results()
    assert "repeatability" in roles(feeder)
    assert "measured from a repeated reference" in feeder.engine.snapshot().methods
    assert doses(results["RHA F3"]) == doses(whole["RHA F3"]), "it changes no dose"
    # The very same signal twice: no scatter but the relative one, so less than the working value gives.
    assert results["RHA F1"].volumes["Liver"].u_repeat_gy < whole["RHA F1"].volumes["Liver"].u_repeat_gy
    assert results["RHA F1"].status == FractionStatus.OK


@pytest.mark.parametrize(
    ("settings", "within"),
    [
        ({"s0": "blended"}, 0.03),
        ({"fit": "log_linear"}, 0.08),
        ({"fat_model": "six_peak"}, 0.06),
        ({"reference_mode": "volume_mean"}, 0.06),
        ({"reference_mode": "liver_mean"}, 0.15),
        ({"registration": {"deformable": "demons"}}, 0.12),
        ({"dose_model": "kernel"}, 0.2),
        ({"field_gradient_correction": True}, 0.0),
        ({"statistics": {"bed": True}}, 0.0),
    ],
    ids=lambda value: str(value),
)
def test_every_way_to_quantify_reaches_the_dose(phantom, last_alone, settings, within):
    """Another way is another number, but not another treatment; the methods text says which way it was."""
    feeder = Feeder()
    feeder.plan(phantom.plan_path, quantification=settings)
    for folder in without_two_fractions(phantom):
        feeder.send(folder)
    result, usual = feeder.results()["RHA F3"], last_alone["RHA F3"]
    assert result.error is None
    for name, own in result.volumes.items():
        assert own.dose_mean_gy == pytest.approx(usual.volumes[name].dose_mean_gy, rel=within + 1e-9), name
        assert own.dose_mean_gy != usual.volumes[name].dose_mean_gy or within == 0.0
    assert feeder.engine.snapshot().methods != ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fit": "arlo"}, "evenly"),
        ({"absorbed_energy_mJ_per_MBq": 50.0}, "50"),
    ],
    ids=["arlo and uneven echoes", "the energy of 90Y"],
)
def test_a_way_that_is_not_possible_is_one_alarm_and_no_dose(phantom, settings, words):
    feeder = Feeder()
    feeder.plan(phantom.plan_path, quantification=settings)
    for folder in without_two_fractions(phantom):
        feeder.send(folder)
    assert feeder.results() == {}
    (alarm,) = [r.alarm for r in feeder.engine.snapshot().alarms if r.alarm.kind == "not_quantified"]
    assert words in alarm.text
    assert alarm.priority == Priority.HIGH


def test_with_the_kernel_activity_and_recovery_stay_and_tumours_lose_to_their_surroundings(phantom, last_alone):
    feeder = Feeder()
    feeder.plan(phantom.plan_path, quantification={"dose_model": "kernel"})
    for folder in without_two_fractions(phantom):
        feeder.send(folder)
    result, local = feeder.results()["RHA F3"], last_alone["RHA F3"]
    assert result.recovery_ratio == pytest.approx(local.recovery_ratio)
    for name, own in result.volumes.items():
        assert own.activity_mbq == pytest.approx(local.volumes[name].activity_mbq)
        if own.role == Role.TUMOUR:
            assert own.tnr == pytest.approx(local.volumes[name].tnr)
            assert own.dose_mean_gy < local.volumes[name].dose_mean_gy
            assert own.dose_sd_gy < local.volumes[name].dose_sd_gy


def test_contrast_ends_the_blending_of_s0(phantom, last_alone):
    feeder = Feeder()
    feeder.plan(phantom.plan_path, quantification={"s0": "blended"})
    first = phantom.treatment.injections[0].time - timedelta(minutes=1)
    feeder.event(Kind.NOTE, label="contrast", text="", time=first.isoformat())
    for folder in without_two_fractions(phantom):
        feeder.send(folder)
    assert doses(feeder.results()["RHA F3"]) == doses(last_alone["RHA F3"])


def test_the_methods_text_names_what_ran(phantom, whole):
    feeder = fed(phantom)
    feeder.advance()
    text = feeder.engine.snapshot().methods
    for words in (
        "5 echoes",
        "nonlinear",
        "15.87 mJ/MBq",
        "1.06 g/mL",
        "mutual information",
        "218",
        "2000 seeded samples",
    ):
        assert words in text, words
