"""What the screen shows against each hazard of docs/hazards.md, on the screen model: words, signs and colours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, timedelta

import numpy as np
import pytest
import treatments as t

from config.settings import AlarmSettings
from console.alarms import find_alarms
from console.dashboard.screen.build import build_screen
from console.dashboard.screen.model import DISCLAIMER, RESEARCH_USE, Screen, State, Tone
from console.dashboard.screen.news import announced
from console.dashboard.screen.view import SelectFraction, ViewState, change_view
from console.outputs import wording
from console.snapshot import Mode, PlanRevision, RaisedAlarm, Snapshot, VolumeSource
from dicom_listener.events import Kind
from quantify.findings import Alarm, FractionResult, FractionStatus, Priority, Registration, RegistrationStatus
from quantify.findings import VolumeStatus as Status
from quantify.model import Reason

NOW = t.START + timedelta(minutes=58)
ORDERS = re.compile(
    r"\b(do not|don't|must|never|please|should)\b|\b(inject|stop|continue)\b(?! RHA| LHA)", re.IGNORECASE
)


def screen_of(snapshot: Snapshot, view: ViewState | None = None, **changes: object) -> Screen:
    options = {"now": NOW, "mode": Mode.LIVE} | changes
    return build_screen(snapshot, view or ViewState(), **options)


def words_of(thing: object) -> Iterator[str]:
    """Every text in a part of the screen."""
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, tuple):
        for part in thing:
            yield from words_of(part)
    elif is_dataclass(thing) and not isinstance(thing, type):
        for field in fields(thing):
            yield from words_of(getattr(thing, field.name))


def raised(priority: Priority, kind: str, text: str, **changes: object) -> RaisedAlarm:
    alarm = Alarm(id=kind, priority=priority, kind=kind, text=text, raised_at=NOW)
    return replace(RaisedAlarm(alarm=alarm), **changes)


def with_last(snapshot: Snapshot, **changes: object) -> Snapshot:
    return replace(snapshot, results=(*snapshot.results[:-1], replace(snapshot.results[-1], **changes)))


def failed(result: FractionResult, error: str, registration: Registration | None = None) -> FractionResult:
    kept = {"position": result.position, "fraction": result.fraction, "acquired_at": result.acquired_at}
    return FractionResult(status=FractionStatus.FAILED, error=error, registration=registration, **kept)


# another patient's images ---------------------------------------------------------------------------------------------


def test_the_patient_stands_on_every_screen(words: Snapshot, between: Snapshot) -> None:
    for snapshot in (words, between, replace(words, restored="as shown before"), replace(words, results=())):
        header = screen_of(snapshot).header
        assert header.patient == "DE VRIES ANNA MARIA"
        assert "EM1-004" in header.patient_details
        assert "1957-08-21" in header.patient_details


def test_another_patients_images_are_the_first_alarm_and_colour_the_sum(words: Snapshot) -> None:
    quarantined = t.event(30, 57, Kind.INSTANCE_QUARANTINED, {"association": "a9", "cause": "other_patient"})
    found = find_alarms(
        plan=words.plan, settings=AlarmSettings(),
        results=(), series=(), bindings=(), quarantined=(quarantined,), structure_faults=(), since=NOW,
    )  # fmt: skip
    assert [alarm.priority for alarm in found] == [Priority.HIGH]
    screen = screen_of(replace(words, alarms=(*words.alarms, *(RaisedAlarm(alarm=a) for a in found))))
    assert "another patient" in screen.alarms.rows[0].cells[2].text
    assert screen.alarm_summary.tone is Tone.ALERT


# wrong fraction, wrong position ---------------------------------------------------------------------------------------


def test_a_binding_nobody_confirmed_is_said_at_the_fraction_and_at_the_series(words: Snapshot) -> None:
    screen = screen_of(words)
    for table in (screen.fractions, screen.series):
        told = [row for row in table.rows if "unconfirmed" in " ".join(words_of(row))]
        assert len(told) == 1
        assert "4" in " ".join(words_of(told[0]))


def test_the_position_stands_in_the_title_of_numbers_images_plot_and_list(words: Snapshot) -> None:
    screen = screen_of(words)
    headings = [row.cells[0].text for row in screen.fractions.rows if row.heading]
    assert any("RHA" in text for text in headings)
    assert any("LHA" in text for text in headings)
    for title in (screen.glance_title.text, screen.badge.text, screen.trend.title, screen.guide.sentence):
        assert "HA" in title


# an old map read as current -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["newer injection", "settings", "age", "earlier"])
def test_whatever_makes_a_map_old_has_a_sign_a_word_and_a_colour(finished: Snapshot, why: str) -> None:
    view, snapshot, now = ViewState(), finished, NOW
    if why == "newer injection":
        snapshot = replace(finished, results=finished.results[:3])
    elif why == "settings":
        snapshot = replace(finished, results_inputs="another")
    elif why == "age":
        now = NOW + timedelta(hours=2)
    else:
        view = change_view(view, SelectFraction(number=2), finished)
    badge = screen_of(snapshot, view, now=now).badge
    assert badge.stale
    assert badge.state.sign in badge.text
    assert badge.state.word in badge.text
    assert badge.state.tone is Tone.CAUTION
    assert re.search(r"RHA F\d", badge.text)


# left or right, units -------------------------------------------------------------------------------------------------


def test_every_cut_has_its_four_letters(finished: Snapshot) -> None:
    for plane in screen_of(finished).planes:
        letters = set("".join(words_of(plane.geometry)))
        assert len(letters & set("LRAPHF")) >= 4, plane.title


def test_every_number_of_the_glance_and_the_ledger_has_a_unit(words: Snapshot) -> None:
    screen = screen_of(words)
    for number in screen.glance:
        if re.fullmatch(r"[≥\d. ]+", number.value):
            assert re.search(r"Gy|%|mm", f"{number.value} {number.detail}"), number
    for row in screen.ledger.rows:
        if re.search(r"\d", row.cells[-1].text):
            assert re.search(r"MBq|GBq|%", row.cells[-1].text), row
    assert all("Gy" in row.cells[-1].text for row in screen.limits.rows)
    assert "(MBq)" in screen.trend.x_label
    assert "(Gy)" in screen.trend.y_label


# residual, clock ------------------------------------------------------------------------------------------------------


def test_without_a_residual_the_result_is_provisional_in_list_and_badge(finished: Snapshot) -> None:
    why = ("no residual: 8.6 % assumed lost",)
    screen = screen_of(with_last(finished, status=FractionStatus.PROVISIONAL, provisional_reasons=why))
    assert "provisional" in screen.badge.text
    assert screen.badge.state.tone is Tone.CAUTION
    (row,) = [row for row in screen.fractions.rows if row.highlighted]
    assert "provisional" in " ".join(words_of(row))


@pytest.mark.parametrize(("offset_s", "tone"), [(None, Tone.MUTED), (1.8, Tone.NORMAL), (74.0, Tone.CAUTION)])
def test_the_scanners_clock_always_has_a_word(words: Snapshot, offset_s: float | None, tone: Tone) -> None:
    header = screen_of(replace(words, clock_offset_s=offset_s)).header
    assert "scanner" in header.scanner.text
    assert ("not confirmed" in header.scanner.text) == (offset_s is None)
    assert header.scanner.tone is tone
    assert "UTC" in header.clock_note


# registration, incomplete series --------------------------------------------------------------------------------------


def test_a_failed_registration_leaves_no_dose_of_its_fraction(finished: Snapshot) -> None:
    bad = Registration(status=RegistrationStatus.FAILED, similarity=0.4, message="similarity 0.40")
    error = "registration failed, dose withheld: similarity 0.40"
    snapshot = replace(finished, results=(*finished.results[:3], failed(finished.results[3], error, bad)))
    screen = screen_of(snapshot)
    assert screen.glance[0].value == "FAILED"
    assert "registration failed" in screen.glance[0].note
    assert screen.badge.stale
    assert "RHA F3" in screen.badge.text
    last = next(row for row in screen.fractions.rows if row.highlighted)
    assert any(cell.tone is Tone.ALERT for cell in last.cells)


def test_a_series_says_how_many_of_its_images_are_here(between: Snapshot) -> None:
    screen = screen_of(between)
    assert screen.guide.progress is not None
    assert (screen.guide.progress.received, screen.guide.progress.expected) == (214, 400)
    assert "214/400" in " ".join(words_of(screen.series))


# what cannot be measured ----------------------------------------------------------------------------------------------


def test_a_tumour_that_cannot_be_evaluated_has_no_number_anywhere_and_is_hatched(finished: Snapshot) -> None:
    screen = screen_of(finished)
    (glance,) = [number for number in screen.glance if number.label == "Tumour 3"]
    assert not re.search(r"\d", glance.value + glance.detail)
    assert "air interface" in glance.note
    (row,) = [row for row in screen.volumes.rows if row.cells[1].text == "Tumour 3"]
    assert not re.search(r"\d", row.cells[3].text)
    assert "Tumour 3" not in {curve.volume for curve in screen.dvh.curves}
    voxels = np.argwhere(finished.results[-1].maps.dose.reason == Reason.AIR_INTERFACE)
    at = tuple(int(i) for i in voxels[len(voxels) // 2])
    planes = screen_of(finished, ViewState(voxel=at)).planes
    assert all(plane.unevaluable is not None and plane.unevaluable.any() for plane in planes)


def test_a_lower_bound_has_its_sign_in_numbers_table_and_histogram(finished: Snapshot) -> None:
    last = finished.results[-1]
    bound = replace(last.volumes["Tumour 1"], status=Status.LOWER_BOUND, message="34 % at the noise floor")
    screen = screen_of(with_last(finished, volumes={**last.volumes, "Tumour 1": bound}))
    (glance,) = [number for number in screen.glance if number.label == "Tumour 1"]
    assert "≥" in glance.value
    assert "±" not in glance.value + glance.detail
    (row,) = [row for row in screen.volumes.rows if row.cells[1].text == "Tumour 1"]
    assert row.cells[3].text.startswith("≥")
    assert all(curve.lower_bound for curve in screen.dvh.curves if curve.volume == "Tumour 1")


# parameters, volumes --------------------------------------------------------------------------------------------------


def test_a_changed_setting_is_news_that_stays_with_difference_and_name(words: Snapshot) -> None:
    revision = PlanRevision(at=NOW.astimezone(UTC), by="M. Visser", differences=("calibration.field_T: 3.0 → 1.5",))
    changed = replace(words, revisions=(revision,), head_seq=words.head_seq + 1)
    news = announced(words, changed, NOW)
    assert news is not None
    assert news.lasting
    later = screen_of(changed, news=news, now=NOW + timedelta(minutes=30)).news
    assert later.fresh
    for told in ("M. Visser", "3.0", "1.5"):
        assert told in later.text


def test_a_volume_tells_its_object_version_and_hash(finished: Snapshot) -> None:
    source = VolumeSource(title="structure set 'Contours'", sha256="ab12cd34" + "0" * 56, version=2)
    screen = screen_of(replace(finished, volume_sources={"Tumour 1": source}))
    (row,) = [row for row in screen.volumes.rows if row.cells[1].text == "Tumour 1"]
    told = " ".join(words_of(row))
    for part in ("Contours", "ab12cd34", "2"):
        assert part in told


# false precision, loss ------------------------------------------------------------------------------------------------


def test_no_dose_at_a_glance_is_without_its_uncertainty(words: Snapshot) -> None:
    doses = [n for n in screen_of(words).glance if n.dose and re.fullmatch(r"[\d. ]+", n.value)]
    assert len(doses) >= 3
    assert all(n.detail.startswith("±") for n in doses)


def test_what_an_earlier_console_showed_is_marked_as_restored(words: Snapshot) -> None:
    screen = screen_of(replace(words, restored="as shown before; reading again: 12 %"))
    assert "RESTORED" in screen.news.text
    assert screen.news.fresh
    assert screen.alarms.rows
    assert [n.value for n in screen.glance] == [n.value for n in screen_of(words).glance]


# alarms ---------------------------------------------------------------------------------------------------------------


def test_three_priorities_have_three_shapes_three_words_and_three_colours(words: Snapshot) -> None:
    alarms = tuple(raised(priority, priority.value, f"of {priority.value} priority") for priority in Priority)
    first = [row.cells[0] for row in screen_of(replace(words, alarms=alarms)).alarms.rows]
    assert [cell.text for cell in first] == ["▲▲▲ HIGH", "▲▲ MEDIUM", "▲ LOW"]
    assert len({cell.tone for cell in first}) == 3


def test_acknowledging_clears_nothing_and_says_who(words: Snapshot) -> None:
    seen = raised(Priority.HIGH, "limit", "healthy liver 52 ± 6 Gy", acknowledged_by="J. Jansen", acknowledged_at=NOW)
    screen = screen_of(replace(words, alarms=(seen,)))
    assert "J. Jansen" in screen.alarms.rows[0].cells[2].text
    assert "active" in screen.alarms.rows[0].cells[2].text
    assert screen.unacknowledged == ()
    assert screen.alarm_summary.tone is not Tone.GOOD


def test_the_screen_gives_no_orders_of_what_to_do_with_the_patient(words: Snapshot) -> None:
    told = [*words_of(screen_of(words).glance), *words_of(screen_of(words).trend.findings), screen_of(words).badge.text]
    told += [row.cells[2].text for row in screen_of(words).alarms.rows]
    assert [text for text in told if ORDERS.search(text)] == []


# replay, wording ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(Mode))
def test_only_live_says_live_without_a_not(words: Snapshot, mode: Mode) -> None:
    told = screen_of(words, mode=mode).header.mode_words
    assert (told == "LIVE") == (mode is Mode.LIVE)
    assert ("not live" in told) == (mode is not Mode.LIVE)


def test_one_wording_stands_in_the_window_and_in_the_outputs() -> None:
    assert DISCLAIMER == wording.RESEARCH_USE
    assert RESEARCH_USE == "RESEARCH USE ONLY"


def test_every_state_has_a_word_beside_its_colour(words: Snapshot, between: Snapshot) -> None:
    for snapshot in (words, between):
        screen = screen_of(snapshot)
        states: list[State] = [screen.badge.state, screen.alarm_summary, *(step.state for step in screen.guide.steps)]
        states += [number.state for number in screen.glance if number.state.tone not in (Tone.NORMAL, Tone.MUTED)]
        assert all(state.word for state in states)
        assert all(state.sign for state in states if state.tone in (Tone.CAUTION, Tone.ALERT))
