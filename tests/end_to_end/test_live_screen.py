"""A whole treatment watched in the real window against a real listener, by keyboard and by mouse, in every state.

The tests are the steps of one treatment: each goes on where the one before ended.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from changed_files import later, new_series, of_patient, rewritten, spin_echo
from conftest import coarse_options
from holmia_processes import Running, events_of, listening, run_well
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from watched_treatment import (
    NAME,
    UNREACHED,
    Watched,
    at_1_5_tesla,
    label_map_in_air,
    out_of_place,
    plan_with_a_vial,
    row_saying,
    words_of,
)

from console.dashboard.app import create_application
from console.dashboard.screen.model import Screen
from console.dashboard.screen.view import Details, Quantity
from console.demo.phantom_acquisition import AcquisitionOptions
from console.demo.phantom_dicom import PhantomTreatment, write_phantom
from console.snapshot import Mode
from dicom_listener.record import Record
from quantify.findings import FractionStatus, RegistrationStatus, TrendStatus, VolumeStatus

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("live_screen"), pytest.mark.usefixtures("in_order")]

SITE = "[site]\nseries_quiet_s = 4.0\n[alarms]\nincomplete_after_s = 0.0\n"
PROTOCOL = AcquisitionOptions(
    shape=(12, 40, 60), spacing_mm=(13.3, 6.6, 6.6), echo_times_s=(0.0012, 0.004, 0.012), subsamples=1
)
IMAGES = 12 * 3
MISSING = (7, 30, 31)
HIGH_UPTAKES = (2.9, 9.0)
"""Of the two tumours: after the last fraction the second is so dark that its dose is a lower bound."""


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What the scanner has: the phantom's series, and series that a scanner might also send."""

    phantom: PhantomTreatment
    stranger: Path
    spin_echo: Path
    other_field: Path
    part: Path
    rest: Path
    moved: Path
    plan: Path
    site: Path


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    folder = tmp_path_factory.mktemp("scanner")
    phantom = write_phantom(folder / "phantom", coarse_options(fractions=4, uptakes=HIGH_UPTAKES, acquisition=PROTOCOL))
    first, second, third, _ = phantom.fractions
    minute = timedelta(minutes=1)
    part, rest = folder / "part", folder / "rest"
    for where in (part, rest):
        where.mkdir()
    for number, path in enumerate(sorted(second.iterdir())):
        shutil.copy(path, (rest if number in MISSING else part) / path.name)
    few = folder / "few"
    few.mkdir()
    for path in sorted(first.iterdir())[:3]:
        shutil.copy(path, few / path.name)
    site = folder / "site.toml"
    site.write_text(SITE, encoding="utf-8")
    return Scanned(
        phantom=phantom,
        stranger=rewritten(
            few, folder / "stranger", new_series("x"), later(minute), of_patient("EM1-005", "Other^Person")
        ),
        spin_echo=rewritten(first, folder / "spin_echo", new_series("t2"), later(11 * minute), spin_echo),
        other_field=rewritten(first, folder / "other_field", new_series("1.5T"), later(12 * minute), at_1_5_tesla),
        part=part,
        rest=rest,
        moved=rewritten(third, folder / "moved", new_series("moved"), later(-minute), out_of_place),
        plan=plan_with_a_vial(phantom.planned_only_path, folder / "with_a_vial.toml", phantom.treatment.injections[1]),
        site=site,
    )


@dataclass(kw_only=True)
class Course:
    """What the steps share, and how far they have come."""

    room: Watched
    listener: Running
    ended_well: set[str]


@pytest.fixture(scope="module")
def course(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    create_application(["holmia"])
    file = tmp_path_factory.mktemp("live") / "live.holmia"
    with contextlib.ExitStack() as ended_at_last:
        listener, port = ended_at_last.enter_context(listening(file, scanned.plan, "--site", scanned.site))
        record = ended_at_last.enter_context(Record.open(file))
        start = scanned.phantom.treatment.injections[0].time - timedelta(minutes=20)
        with contextlib.closing(Watched(record, port, start)) as room:
            yield Course(room=room, listener=listener, ended_well=set())


@pytest.fixture
def in_order(request: pytest.FixtureRequest, course: Course) -> Iterator[None]:
    """A step needs those before it: alone it would say nothing."""
    steps = [name for name in vars(request.module) if name.startswith("test_")]
    own = request.node.originalname
    if not course.ended_well.issuperset(steps[: steps.index(own)]):
        pytest.skip("a step before this one failed or was not run: run the whole file")
    failures = request.session.testsfailed
    yield
    if request.session.testsfailed == failures:
        course.ended_well.add(own)


@pytest.fixture
def room(course: Course) -> Watched:
    return course.room


def test_before_anything_arrives_the_window_says_what_it_waits_for(room: Watched) -> None:
    room.until(lambda s: "reference" in s.guide.sentence, "waiting for the reference")
    assert [step.current for step in room.screen.guide.steps].count(True) == 1
    assert room.screen.images_message
    assert room.screen.glance == ()
    assert "no dose" in room.screen.badge.text
    assert room.screen.header.mode is Mode.LIVE
    assert room.screen.unacknowledged == ()
    assert "given" not in words_of(room.screen.fractions)


def test_the_reference_is_seen_to_arrive_image_by_image(room: Watched, scanned: Scanned) -> None:
    room.send(scanned.phantom.anatomy)
    room.send(scanned.phantom.structures)
    with room.arriving(scanned.phantom.reference, halted_at=20):
        room.until(lambda s: s.guide.progress is not None and s.guide.progress.received == 20, "20 images received")
        assert "20" in words_of(room.screen.series)
        assert room.window.guide.progress.isVisible()
    room.until(lambda s: "injection RHA F1" in s.guide.sentence, "waiting for the first injection")
    assert room.screen.guide.progress is None
    assert len(room.screen.planes) == 3
    assert room.screen.glance == ()


def test_an_alarm_is_latched_acknowledged_by_name_by_keyboard_and_outlives_its_cause(
    room: Watched, tmp_path: Path
) -> None:
    room.until(lambda s: len(s.unacknowledged) == 1, f"{UNREACHED} is missing")
    row = row_saying(room.screen.alarms, UNREACHED)
    assert "not acknowledged" in words_of(room.screen.alarms)
    # Without a name nothing is acknowledged, and Esc leaves everything as it is.
    room.press(Qt.Key.Key_A)
    assert room.window.acknowledging.isVisible()
    room.press(Qt.Key.Key_Return)
    assert room.window.acknowledging.isVisible()
    room.press(Qt.Key.Key_Escape)
    assert not room.window.acknowledging.isVisible()
    assert "alarm_acknowledged" not in room.kinds()
    room.press(Qt.Key.Key_A)
    room.write(NAME)
    room.press(Qt.Key.Key_Return)
    room.until(lambda s: not s.unacknowledged, "acknowledged")
    row = row_saying(room.screen.alarms, UNREACHED, NAME)
    assert "active" in room.screen.alarms.rows[row].cells[-1].text
    # The volume comes as a label map: the cause is gone, the alarm is not.
    file = label_map_in_air(room.snapshot, tmp_path / "air.nii.gz")
    run_well("volumes", room.record.path, file, "--label", f"1={UNREACHED}", "--by", NAME)
    room.until(lambda s: "cause gone" in words_of(s.alarms), "cause gone")
    row_saying(room.screen.alarms, UNREACHED, NAME, "cause gone")
    assert any(volume.name == UNREACHED for volume in room.snapshot.volumes)


def test_a_result_announces_itself(room: Watched, scanned: Scanned) -> None:
    injection = scanned.phantom.treatment.injections[0]
    room.give(injection)
    room.until(lambda s: "series RHA F1" in s.guide.sentence, "waiting for the series of F1")
    room.until(lambda s: f"{injection.activity_mbq:.0f} MBq" in words_of(s.ledger), "activity given, not imaged")
    assert "not imaged" in words_of(room.screen.ledger)
    room.moment = injection.acquired_at + timedelta(minutes=2)
    seen: list[str] = []

    def computed(screen: Screen) -> bool:
        seen.append(screen.guide.sentence.lower())
        return bool(screen.glance)

    with room.arriving(scanned.phantom.fractions[0], halted_at=30):
        room.until(lambda s: s.guide.progress is not None and s.guide.progress.received == 30, "30 images of F1")
        assert room.screen.guide.progress is not None
        assert room.screen.guide.progress.expected == IMAGES
        assert "F1" in room.screen.guide.progress.words
    room.until(computed, "the first result")
    assert any("computing" in sentence for sentence in seen)
    room.until(lambda s: "F1" in s.news.text, "the news of F1")
    assert room.screen.news.fresh
    assert "RHA F1" in room.screen.badge.text
    assert not room.screen.badge.stale
    assert {"Tumour 1", "Tumour 2"} <= {number.label for number in room.screen.glance}
    assert all("±" in n.detail for n in room.screen.glance if n.label in ("Tumour 1", "Tumour 2"))
    # Its volume lies where there is no signal: no dose is not a dose of zero.
    statistics = room.result(1).volumes[UNREACHED]  # type: ignore[union-attr]
    assert statistics.status is VolumeStatus.NOT_EVALUABLE
    missing = next(n for n in room.screen.glance if n.label == UNREACHED)
    assert not any(sign.isdigit() for sign in missing.value)
    assert "evaluable" in f"{missing.value} {missing.detail} {missing.note}"
    # Which series is which fraction is the physicist's word, which nobody has given.
    assert "unconfirmed" in f"{words_of(room.screen.series)} {words_of(room.screen.fractions)}"
    # Once read, the news stays to be read, but no longer shines.
    room.press(Qt.Key.Key_Return)
    assert not room.screen.news.fresh
    assert "F1" in room.screen.news.text


def test_after_an_injection_what_was_known_is_stale(room: Watched, scanned: Scanned) -> None:
    first, second = scanned.phantom.treatment.injections[:2]
    room.moment = first.acquired_at + timedelta(minutes=31)
    room.live.dashboard.redraw()
    assert room.screen.badge.stale
    assert "older" in room.screen.badge.text
    room.moment = first.acquired_at + timedelta(minutes=2)
    room.live.dashboard.redraw()
    assert not room.screen.badge.stale
    room.give(second, activity_MBq=None)  # from the vial
    room.until(lambda s: s.badge.stale, "stale")
    assert room.screen.badge.state.text == "▨ STALE"
    assert "RHA F2" in room.screen.badge.text
    assert "STALE" in room.screen.glance_title.text
    assert all(view.stale for view in room.window.images.views if view.isVisible())
    assert "not imaged" in words_of(room.screen.ledger)


def test_another_patients_images_are_a_high_alarm_acknowledged_by_mouse(room: Watched, scanned: Scanned) -> None:
    before = room.screen.glance
    room.send(scanned.stranger)
    room.until(lambda s: s.unacknowledged, "the alarm of another patient")
    row = row_saying(room.screen.alarms, "HIGH", "another patient")
    assert "▲▲▲" in room.screen.alarms.rows[row].cells[0].text
    assert "Other" not in room.described()
    assert room.screen.glance == before
    room.click_row(room.window.alarms, row)
    assert room.window.acknowledging.isVisible()
    room.window.acknowledging.name.setFocus()
    room.window.acknowledging.name.clear()
    QTest.keyClicks(room.window.acknowledging.name, "B. Bakker")
    room.click_button(room.window.acknowledging, "acknowledge")
    room.until(lambda s: not s.unacknowledged, "acknowledged")
    # Seen is not solved: the images are still there.
    row = row_saying(room.screen.alarms, "another patient", "B. Bakker")
    assert "active" in room.screen.alarms.rows[row].cells[-1].text


def test_a_series_that_cannot_be_used_is_named_with_its_reason(room: Watched, scanned: Scanned) -> None:
    room.send(scanned.spin_echo)
    room.until(lambda s: "ignored" in words_of(s.series), "the spin echo is ignored")
    cells = room.screen.series.rows[row_saying(room.screen.series, "ignored")].cells
    assert "spin echo" in " ".join(cell.text + cell.tooltip for cell in cells).lower()
    assert room.result(2) is None
    room.send(scanned.other_field)
    room.until(lambda s: "refused" in words_of(s.series), "the series of another field strength is refused")
    row_saying(room.screen.alarms, "MEDIUM", "1.5 T")
    room.until(lambda s: "refused" in words_of(s.fractions), "F2 has no dose")
    assert "refused" in room.screen.guide.sentence
    assert not any("F2" in number.label and number.value[0].isdigit() for number in room.screen.glance)
    assert room.screen.badge.stale


def test_an_incomplete_series_gives_no_dose_until_the_rest_arrives(room: Watched, scanned: Scanned) -> None:
    room.moment = scanned.phantom.treatment.injections[1].acquired_at + timedelta(minutes=2)
    before = room.screen.badge.text
    assert "F1" in before
    with room.arriving(scanned.part, halted_at=20):
        room.until(lambda s: s.guide.progress is not None and s.guide.progress.received == 20, "20 images of F2")
    room.until(lambda s: "incomplete" in words_of(s.series), "incomplete")
    room.until(lambda s: any("incomplete" in c.text for r in s.alarms.rows for c in r.cells), "the alarm")
    assert f"{IMAGES - len(MISSING)}" in words_of(room.screen.series)
    assert f"{IMAGES}" in words_of(room.screen.series)
    failed = room.result(2)
    assert failed is not None
    assert failed.status is FractionStatus.FAILED
    # No number of F2; those of F1 stay readable, and are called stale.
    assert room.screen.glance[0].sentence
    assert room.screen.badge.stale
    assert "F1" in room.screen.badge.text
    room.send(scanned.rest)
    room.until(lambda s: not s.badge.stale and "F2" in s.badge.text, "F2 is computed")
    row_saying(room.screen.alarms, "cause gone", "not acknowledged")
    assert room.screen.unacknowledged


def test_a_fraction_from_a_vial_without_residual_is_provisional(room: Watched) -> None:
    result = room.result(2)
    assert result is not None
    assert result.status is FractionStatus.PROVISIONAL
    assert "provisional" in room.screen.badge.text
    assert room.screen.badge.state.sign == "!"
    assert "provisional" in words_of(room.screen.fractions) + words_of(room.screen.ledger)
    assert "F2" in room.screen.news.text
    room.press(Qt.Key.Key_A)
    room.write("" if room.window.acknowledging.name.text() else NAME)
    room.press(Qt.Key.Key_Return)
    room.until(lambda s: not s.unacknowledged, "acknowledged")


def test_a_failed_registration_withholds_the_dose_and_a_repeat_brings_it(room: Watched, scanned: Scanned) -> None:
    injection = scanned.phantom.treatment.injections[2]
    room.give(injection)
    room.until(lambda s: s.badge.stale, "stale")
    room.moment = injection.acquired_at + timedelta(minutes=2)
    room.send(scanned.moved)
    room.until(lambda s: bool(s.glance) and s.glance[0].sentence, "F3 failed")
    failed = room.result(3)
    assert failed is not None
    assert failed.registration is not None
    assert failed.registration.status is RegistrationStatus.FAILED
    assert failed.maps is None
    assert "F2" in room.screen.badge.text
    assert room.screen.badge.stale
    row_saying(room.screen.alarms, "MEDIUM", "registration failed")
    assert "FAILED" in room.screen.news.text
    room.send(scanned.phantom.fractions[2])
    room.until(lambda s: not s.badge.stale and "F3" in s.badge.text, "F3 is computed")
    repeated = room.result(3)
    assert repeated is not None
    assert any("two series" in reason.lower() for reason in repeated.provisional_reasons)
    row_saying(room.screen.alarms, "registration failed", "cause gone")
    assert "superseded" in words_of(room.screen.series)


def test_a_tumour_off_its_line_a_bound_and_a_limit_are_told_in_words(room: Watched, scanned: Scanned) -> None:
    injection = scanned.phantom.treatment.injections[3]
    room.give(injection)
    room.moment = injection.acquired_at + timedelta(minutes=2)
    room.send(scanned.phantom.fractions[3])
    room.until(lambda s: not s.badge.stale and "F4" in s.badge.text, "F4 is computed")
    result = room.result(4)
    assert result is not None
    assert result.trend["Tumour 1"].status is TrendStatus.TESTED
    flagged = next(n for n in room.screen.glance if n.label == "Tumour 1")
    assert "▼" in f"{flagged.state.sign}{flagged.note}"
    assert "%" in flagged.note
    assert any("Tumour 1" in cell.text for cell in room.screen.trend.findings)
    assert any(series.flagged for series in room.screen.trend.series)
    assert result.volumes["Tumour 2"].status is VolumeStatus.LOWER_BOUND
    bound = next(n for n in room.screen.glance if n.label == "Tumour 2")
    assert bound.value.startswith("≥")
    limited = next(n for n in room.screen.glance if n.label == "Healthy liver")
    assert limited.state.sign == "▲"
    assert limited.bar is not None
    row_saying(room.screen.alarms, "HIGH", "Healthy liver")
    row_saying(room.screen.alarms, "LOW", "Tumour 1")
    assert room.screen.alarm_summary.text
    assert room.window.alarms_frame.styleSheet()
    assert "F3" in room.screen.news.text
    assert "F4" in room.screen.news.text
    room.until(lambda s: "every planned fraction" in s.guide.sentence, "complete")
    # The chip of the news line asks for the name too.
    room.click(room.window.news.alarms)
    assert room.window.acknowledging.isVisible()
    room.click_button(room.window.acknowledging, "cancel")
    assert not room.window.acknowledging.isVisible()
    assert len(room.screen.unacknowledged) >= 2


def test_every_fraction_is_chosen_by_key_and_by_mouse(room: Watched) -> None:
    for number, key in enumerate((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3), start=1):
        room.press(key)
        assert f"after RHA F{number}" in room.screen.badge.text
        assert room.screen.badge.state.word in ("STALE", "EARLIER")
        assert room.screen.badge.stale
    room.press(Qt.Key.Key_0)
    assert "after RHA F4" in room.screen.badge.text
    assert not room.screen.badge.stale
    rows = [number for number, row in enumerate(room.screen.fractions.rows) if not row.heading]
    room.click_row(room.window.fractions, rows[1])
    assert "after RHA F2" in room.screen.badge.text
    room.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert "after RHA F4" in room.screen.badge.text
    room.press(Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert "after RHA F2" in room.screen.badge.text
    room.press(Qt.Key.Key_0)


@pytest.mark.parametrize("by", ["key", "mouse"])
def test_layers_and_quantities_go_on_and_off(room: Watched, by: str) -> None:
    def ask(key: Qt.Key, word: str) -> None:
        if by == "key":
            room.press(key)
        else:
            room.click_button(room.window.images, word)

    before = room.screen.layers
    ask(Qt.Key.Key_D, "wash")
    ask(Qt.Key.Key_I, "lines")
    ask(Qt.Key.Key_V, "volumes")
    off = room.screen.layers
    assert (off.wash, off.isodose, off.volumes) == (False, False, False)
    ask(Qt.Key.Key_D, "wash")
    ask(Qt.Key.Key_I, "lines")
    ask(Qt.Key.Key_V, "volumes")
    assert room.screen.layers == before
    dose = room.screen.legend
    ask(Qt.Key.Key_N, "increment")
    assert room.screen.layers.quantity is Quantity.INCREMENT
    assert all("INCREMENT" in plane.caption for plane in room.screen.planes)
    assert room.screen.legend != dose
    ask(Qt.Key.Key_U, "± map")
    assert room.screen.layers.quantity is Quantity.UNCERTAINTY
    assert all("UNCERTAINTY" in plane.caption for plane in room.screen.planes)
    ask(Qt.Key.Key_U, "± map")
    assert room.screen.legend == dose
    ask(Qt.Key.Key_C, "compare")
    assert room.screen.layers.compare
    assert len(room.screen.planes) == 2
    assert "F4" in room.screen.planes[0].caption
    assert "F3" in room.screen.planes[1].caption
    ask(Qt.Key.Key_C, "compare")
    assert len(room.screen.planes) == 3


@pytest.mark.parametrize("by", ["key", "mouse"])
def test_the_flicker_shows_reference_and_fraction_in_turn(room: Watched, by: str) -> None:
    def ask() -> None:
        if by == "key":
            room.press(Qt.Key.Key_R)
        else:
            room.click_button(room.window.images, "flicker")

    ask()
    assert room.screen.layers.flicker
    captions: set[str] = set()

    def both(screen: Screen) -> bool:
        captions.add(screen.planes[0].caption)
        return len(captions) == 2

    room.until(both, "both images")
    assert any("REFERENCE" in caption for caption in captions)
    assert any("F4" in caption for caption in captions)
    assert all(plane.dose is None and not plane.isodoses for plane in room.screen.planes)
    ask()
    assert not room.screen.layers.flicker
    assert room.screen.planes[0].dose is not None


def test_the_probe_reads_under_the_cursor_and_at_the_crosshair(room: Watched) -> None:
    at_the_cross = room.screen.probe.words
    assert "Gy" in at_the_cross
    axial = room.window.images.views[0]
    room.hover(axial, 0.3, 0.4)
    room.until(lambda s: s.probe.words != at_the_cross, "another place")
    assert room.screen.voxel is not None
    room.leave(axial)
    room.until(lambda s: s.probe.words == at_the_cross, "the crosshair again")
    assert room.screen.probe.decays == ()
    room.press(Qt.Key.Key_P)
    assert {curve.name for curve in room.screen.probe.decays}, room.screen.probe.message
    assert len(room.screen.probe.decays) == 2
    assert any("R2" in " ".join(cell.text for cell in row.cells) for row in room.screen.probe.rows)
    room.click_button(room.window.images, "probe")
    assert room.screen.probe.decays == ()


def test_slices_are_paged_by_key_by_wheel_and_by_a_press(room: Watched) -> None:
    start = room.screen.voxel
    room.press(Qt.Key.Key_Up)
    assert room.screen.voxel == (start[0] + 1, start[1], start[2])
    room.press(Qt.Key.Key_Right)
    assert room.screen.voxel[2] == start[2] + 1
    axial = room.window.images.views[0]
    room.wheel(axial)
    assert room.screen.voxel == (start[0] + 2, start[1], start[2] + 1)
    place = axial.rect().center()
    place.setX(int(axial.width() * 0.35))
    room.click(axial, place)
    assert room.screen.voxel[2] not in (start[2], start[2] + 1)
    assert room.screen.voxel[0] == start[0] + 2
    for _ in range(4):
        room.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert room.screen.voxel == start


def test_details_are_two_tabs_by_key_and_by_mouse(room: Watched) -> None:
    assert room.screen.details is Details.DVH
    assert {curve.volume for curve in room.screen.dvh.curves} >= {"Tumour 1", "Healthy liver"}
    room.press(Qt.Key.Key_T)
    assert room.screen.details is Details.VOLUMES
    assert room.window.details.volumes.isVisible()
    assert "Tumour 1" in words_of(room.screen.volumes)
    room.click_button(room.window.details, "DVH")
    assert room.screen.details is Details.DVH
    room.click_button(room.window.details, "VOLUMES")
    assert room.screen.details is Details.VOLUMES
    room.press(Qt.Key.Key_T)


def test_help_and_glance_mode_come_and_go(room: Watched) -> None:
    room.press(Qt.Key.Key_Question)
    assert room.window.overlay.isVisible()
    room.press(Qt.Key.Key_Escape)
    assert not room.window.overlay.isVisible()
    room.press(Qt.Key.Key_F11)
    assert not room.window.images.isVisible()
    assert room.window.glance.isVisible()
    assert room.window.news.isVisible()
    assert len(room.screen.glance) <= 6
    room.press(Qt.Key.Key_F11)
    assert room.window.images.isVisible()


def test_a_snapshot_is_a_picture_beside_the_file_and_an_event_in_it(room: Watched) -> None:
    folder = room.record.path.parent
    room.press(Qt.Key.Key_S)
    room.until(lambda _: "snapshot_taken" in room.kinds(), "the event")
    taken = next(event for event in events_of(room.record.path) if event.kind == "snapshot_taken")
    assert [path.name for path in folder.glob("*.png")] == [taken.payload["name"]]


def test_a_listener_that_is_down_is_a_high_alarm_until_it_is_up_again(
    room: Watched, course: Course, scanned: Scanned
) -> None:
    assert course.listener.terminate() == 0
    room.until(lambda s: "listener is not running" in words_of(s.alarms), "listener down")
    row_saying(room.screen.alarms, "HIGH", "listener is not running")
    assert any("LISTENER DOWN" in cell.text for cell in room.screen.status)
    with listening(room.record.path, scanned.plan, "--site", scanned.site):
        room.until(lambda s: "cause gone" in _alarm(s, "listener is not running"), "the listener is back")
        room.press(Qt.Key.Key_A)
        room.write("" if room.window.acknowledging.name.text() else NAME)
        room.press(Qt.Key.Key_Return)
        room.until(lambda s: not s.unacknowledged, "all acknowledged")
    for raised in room.snapshot.alarms:
        assert raised.acknowledged_by, raised.alarm.text


def _alarm(screen: Screen, words: str) -> str:
    row = screen.alarms.rows[row_saying(screen.alarms, words)]
    return " ".join(cell.text for cell in row.cells)
