"""The screen's words and states, from snapshots made by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, timedelta

import numpy as np
import pytest
import treatments
from treatments import START

from console.dashboard.screen.build import build_screen
from console.dashboard.screen.events import event_words
from console.dashboard.screen.model import DISCLAIMER, RESEARCH_USE, Screen, Tone
from console.dashboard.screen.trend import flag_words
from console.dashboard.screen.view import Layer as LayerName
from console.dashboard.screen.view import PlaceCrosshair, SelectFraction, ToggleLayer, ViewState, change_view
from console.snapshot import Mode, Snapshot
from dicom_listener.events import Kind
from dicom_listener.images import SeriesStatus
from quantify.findings import FractionStatus, Registration, RegistrationStatus, VolumeStatus
from quantify.monte_carlo import Spread

NOW = START + timedelta(minutes=58, seconds=10)


def screen_of(snapshot: Snapshot, view: ViewState | None = None, **changes: object) -> Screen:
    options = {"now": NOW, "mode": Mode.LIVE} | changes
    return build_screen(snapshot, view or ViewState(), **options)


def texts(screen: Screen) -> list[str]:
    """Every word of the screen."""
    tables = (
        screen.fractions, screen.ledger, screen.limits, screen.series, screen.volumes, screen.alarms, screen.events,
    )  # fmt: skip
    found = [cell.text for table in tables for row in table.rows for cell in row.cells]
    found += [f"{n.label} {n.value} {n.detail} {n.note}" for n in screen.glance]
    return [*found, screen.badge.text, screen.probe.words, *(c.text for c in screen.trend.findings)]


def volume_row(screen: Screen, name: str) -> list[str]:
    return next([c.text for c in row.cells] for row in screen.volumes.rows if row.cells[1].text == name)


def with_volume(snapshot: Snapshot, name: str, **changes: object) -> Snapshot:
    last = snapshot.results[-1]
    volumes = last.volumes | {name: replace(last.volumes[name], **changes)}
    return replace(snapshot, results=(*snapshot.results[:-1], replace(last, volumes=volumes)))


def test_the_header_names_the_patient_and_the_mode(words):
    header = screen_of(words).header
    assert header.patient == "DE VRIES ANNA MARIA"
    assert "EM1-004" in header.patient_details
    assert "1957-08-21" in header.patient_details
    assert header.clock == "10:58:10"


def test_all_clocks_of_the_screen_stand_in_the_plan_s_time_zone(words):
    screen = screen_of(words, now=NOW.astimezone(UTC))
    assert screen.header.clock == "10:58:10"
    assert screen.header.clock_note == "2026-03-04 UTC+0100"
    assert screen.events.rows[0].cells[0].text == "10:49"


@pytest.mark.parametrize(("mode", "said"), [(Mode.LIVE, "LIVE"), (Mode.REPLAY, "not live"), (Mode.DEMO, "not live")])
def test_what_is_not_live_says_so(words, mode, said):
    assert said in screen_of(words, mode=mode).header.mode_words


def test_the_research_use_wording_is_whole():
    assert RESEARCH_USE == "RESEARCH USE ONLY"
    for part in ("research use only", "Not a medical device", "CE-marked", "independent method"):
        assert part in DISCLAIMER


def test_every_mean_dose_carries_its_uncertainty(words):
    for row in screen_of(words).volumes.rows:
        mean = row.cells[3].text
        assert "±" in mean or mean.startswith(("≥", "—"))


def test_no_dose_is_shown_without_plus_minus_when_its_uncertainty_is_unknown(words):
    changed = screen_of(with_volume(words, "Tumour 1", dose_mean_u_gy=None))
    assert volume_row(changed, "Tumour 1")[3:5] == ["—", "—"]
    assert not any(re.search(r"\b118\b", text) for text in texts(changed))


def test_a_lower_bound_is_marked_everywhere(words):
    changed = screen_of(with_volume(words, "Tumour 1", status=VolumeStatus.LOWER_BOUND))
    assert volume_row(changed, "Tumour 1")[3] == "≥ 118 Gy"
    glance = next(n for n in changed.glance if n.label == "Tumour 1")
    assert glance.value.startswith("≥")
    series = next(s for s in changed.trend.series if s.volume == "Tumour 1")
    assert series.lower_bound == (False, False, False, True)
    assert np.isnan(series.u_gy[-1])


def test_a_volume_that_cannot_be_evaluated_shows_the_reason_and_no_number(words):
    screen = screen_of(words)
    row = volume_row(screen, "Tumour 3")
    assert row[3] == "— not evaluable"
    assert "air interface" in row[-1]
    glance = next(n for n in screen.glance if n.label == "Tumour 3")
    assert (glance.value, glance.detail) == ("—", "not evaluable")
    assert all(s.volume != "Tumour 3" for s in screen.trend.series)


def test_the_flag_says_per_cent_gray_and_the_prediction_interval(words):
    verdict, finding, *_ = screen_of(words).trend.findings
    assert verdict.text == "! 1 of 3 tested flagged: ≥ 10 % from the line (EMERITUS-1)"
    assert finding.text == "▼ Tumour 2: −18 % (−19 Gy), outside the prediction interval 98…115 Gy"
    assert finding.tone is verdict.tone is Tone.CAUTION


def test_a_flag_inside_the_prediction_interval_is_still_a_flag(words):
    point = replace(words.results[-1].trend["Tumour 2"], significant=False)
    assert "inside the prediction interval" in flag_words(point)
    last = replace(words.results[-1], trend=words.results[-1].trend | {"Tumour 2": point})
    screen = screen_of(replace(words, results=(*words.results[:-1], last)))
    assert next(s for s in screen.trend.series if s.volume == "Tumour 2").flagged


def test_the_line_is_solid_over_its_three_points_and_dashed_beyond(words):
    series = next(s for s in screen_of(words).trend.series if s.volume == "Tumour 2")
    x = np.cumsum(treatments.ACTIVITIES)
    assert series.solid is not None
    assert series.dashed is not None
    assert series.solid[0][0] == x[0]
    assert series.solid[1][0] == series.dashed[0][0] == x[2]
    assert series.dashed[1][0] == pytest.approx(x[3])
    assert series.expected == pytest.approx((x[3], series.dashed[1][1]))
    assert series.x_mbq == tuple(x)


def test_before_three_points_there_is_no_line(between):
    screen = screen_of(between)
    assert all(s.solid is None and s.dashed is None and s.expected is None for s in screen.trend.series)
    assert "not tested yet" in screen.trend.findings[0].text


def test_the_plot_follows_the_selected_fraction(words):
    screen = screen_of(words, ViewState(selected=("RHA", 2)))
    assert all(len(s.x_mbq) == 2 for s in screen.trend.series)
    assert "after RHA F2" in screen.badge.text


def test_the_badge_of_the_latest_result_names_fraction_time_and_age(finished):
    badge = screen_of(finished).badge
    assert badge.text == "✓ after RHA F4 · 10:54 · age 04:10"
    assert not badge.stale


def test_a_newer_injection_makes_the_map_stale(between):
    badge = screen_of(between, now=START + timedelta(minutes=41)).badge
    assert badge.stale
    assert badge.text.startswith("▨ STALE: RHA F3 injected since")


def test_a_newer_series_arriving_makes_the_map_stale(finished):
    arriving = treatments.series_state("x", 99, status=SeriesStatus.ARRIVING, received=3)
    badge = screen_of(replace(finished, series=(*finished.series, arriving))).badge
    assert badge.stale
    assert "STALE: newer series arriving" in badge.text


def test_a_series_that_cannot_serve_as_fraction_makes_nothing_stale(finished):
    other = replace(treatments.series_state("x", 99, status=SeriesStatus.ARRIVING), holmium_refusal="spin echo")
    assert not screen_of(replace(finished, series=(*finished.series, other))).badge.stale


def test_changed_settings_make_the_map_stale(finished):
    assert "STALE: settings changed" in screen_of(replace(finished, inputs="b", results_inputs="a")).badge.text
    assert not screen_of(replace(finished, inputs="b", results_inputs="b")).badge.stale


def test_the_age_limit_makes_the_map_stale(finished):
    at = finished.results[-1].acquired_at
    assert not screen_of(finished, now=at + timedelta(seconds=1800)).badge.stale
    assert "STALE: older than 30 min" in screen_of(finished, now=at + timedelta(seconds=1801)).badge.text


def test_an_earlier_fraction_is_marked_as_earlier(finished):
    badge = screen_of(finished, ViewState(selected=("RHA", 3)), now=START + timedelta(minutes=41)).badge
    assert badge.stale
    assert "RHA F4" in badge.text


def test_a_failed_fraction_shows_its_error_and_the_older_map_as_stale(finished):
    failed = replace(
        finished.results[-1],
        status=FractionStatus.FAILED,
        error="the registration failed",
        maps=None,
        volumes={},
        trend={},
    )
    screen = screen_of(replace(finished, results=(*finished.results[:-1], failed)))
    assert screen.glance[0].value == "FAILED"
    assert screen.glance[0].note == "the registration failed"
    assert screen.glance[1].value == "88"
    assert screen.glance_title.text == "▨ STALE · after RHA F3 · ± k = 1"
    assert "failed" in screen.trend.findings[0].text
    assert any("failed: the registration failed" in text for text in texts(screen))
    assert screen.badge.stale
    assert "after RHA F3" in screen.badge.text


def test_a_provisional_fraction_says_why(words):
    last = replace(
        words.results[-1], status=FractionStatus.PROVISIONAL, provisional_reasons=("the residual is not entered",)
    )
    screen = screen_of(replace(words, results=(*words.results[:-1], last)))
    assert any("provisional 10:54: the residual is not entered" in text for text in texts(screen))


def test_each_fraction_has_a_sign_and_a_word(between):
    rows = [[c.text for c in row.cells] for row in screen_of(between).fractions.rows if not row.heading]
    assert [row[1] for row in rows] == ["✓ F1", "✓ F2", "● F3", "○ F4", "○ F1", "○ F2"]
    assert rows[2][3] == "given 10:35, series arriving 214/400"
    assert rows[3][3] == "planned, 30 % of RHA"


def test_an_unconfirmed_binding_is_said(words):
    rows = [[c.text for c in row.cells] for row in screen_of(words).fractions.rows if not row.heading]
    assert "binding unconfirmed" in rows[3][3]
    assert "unconfirmed" not in rows[0][3]


def test_activity_not_imaged_stands_in_the_ledger(between):
    ledger = {row.cells[0].text: row.cells[1].text for row in screen_of(between).ledger.rows}
    assert ledger["! not imaged"] == "387 MBq not imaged"
    assert ledger["MRI RHA F2"] == "540 ± 40 MBq · 104 ± 8 %"


def test_a_limit_stands_beside_its_value(words):
    (row,) = screen_of(words).limits.rows
    assert row.cells[1].text.startswith("31.0 ± 2.4 Gy, limit 55 Gy")
    assert row.cells[0].tone is Tone.GOOD


def test_a_dose_over_its_limit_is_an_alert_with_a_sign(words):
    screen = screen_of(with_volume(words, "Healthy liver", dose_mean_gy=56.0))
    (row,) = screen.limits.rows
    assert row.cells[0].text.startswith("▲")
    assert row.cells[0].tone is Tone.ALERT


def test_an_upper_bound_over_the_limit_marks_the_volume_before_its_mean_is_over(words):
    spread = Spread(value=52.0, u=2.4, low_95=47.0, high_95=57.0)
    screen = screen_of(with_volume(words, "Healthy liver", dose_mean_gy=52.0, intervals={"dose_mean_gy": spread}))
    assert screen.limits.rows[0].cells[0].tone is Tone.ALERT
    assert next(n for n in screen.glance if n.bar is not None).note == "▲ upper bound over limit 55 Gy"


def test_recovery_and_registration_in_words(words):
    glance = {n.label: n for n in screen_of(words).glance}
    assert (glance["Recovery"].value, glance["Recovery"].detail) == ("104", "± 8 %")
    assert (glance["Registration"].value, glance["Registration"].detail) == ("1.2", "mm 0.3°")
    assert glance["Registration"].note == "✓ ok · shift corrected"


def test_a_failed_registration_is_an_alert(words):
    registration = Registration(status=RegistrationStatus.FAILED, translation_mm=(0, 0, 61.0))
    last = replace(words.results[-1], registration=registration)
    glance = {n.label: n for n in screen_of(replace(words, results=(*words.results[:-1], last))).glance}
    assert glance["Registration"].state.tone is Tone.ALERT
    assert "failed" in glance["Registration"].note


@pytest.mark.parametrize(
    ("snapshot", "current", "sentence"),
    [
        (Snapshot(), "Setup", "waiting for a treatment plan"),
        (treatments.treatment(0, images=False), "Reference", "waiting for the reference series"),
    ],
    ids=["no plan", "no reference"],
)
def test_the_guide_says_what_is_waited_for_at_the_start(snapshot, current, sentence):
    guide = screen_of(snapshot).guide
    assert [s.words for s in guide.steps if s.current] == [current]
    assert sentence in guide.sentence


def test_the_guide_follows_injection_series_and_result(finished, between):
    assert screen_of(finished).guide.sentence == "waiting for injection LHA F1 (position 2/2, 93 MBq planned)"
    given = replace(between, series=between.series[:-1])
    assert screen_of(given).guide.sentence == "waiting for series RHA F3 (position 1/2, injected 10:35)"
    guide = screen_of(between).guide
    assert guide.sentence == "series RHA F3 arriving (position 1/2)"
    assert guide.progress is not None
    assert (guide.progress.received, guide.progress.expected) == (214, 400)
    assert screen_of(replace(finished, injections=finished.injections[:4])).guide.sentence.startswith("every planned")


def test_alarms_wait_in_order_and_acknowledging_does_not_clear(words):
    screen = screen_of(words)
    assert screen.unacknowledged == ("trend:RHA:4:Tumour 2",)
    first, second = ([c.text for c in row.cells] for row in screen.alarms.rows)
    assert first[0] == "▲ LOW"
    assert first[2].endswith("· not acknowledged")
    assert second[0] == "▲▲ MEDIUM"
    assert second[2].endswith("active · seen by J. Jansen 10:03")
    assert screen.alarm_summary.text == "▲ 1 low, unacknowledged"


def test_events_are_told_newest_first_with_the_room_s_time(words):
    rows = [[c.text for c in row.cells] for row in screen_of(words).events.rows]
    assert rows[0] == ["10:49", "injection RHA F4: 387 MBq"]
    assert ["10:44", "stasis: slow flow in segment VI"] in rows


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_event_can_be_told_from_an_empty_payload(words, kind):
    changed = replace(words, events=(treatments.event(1, 0, kind, {}),))
    rows = screen_of(changed).events.rows
    assert all(row.cells[1].text for row in rows)


@pytest.mark.parametrize(
    ("kind", "payload", "sentence"),
    [
        (
            Kind.STORAGE_FAILED,
            {"instances": 7, "comment": "The disk is full"},
            "7 images could not be stored: The disk",
        ),
        (Kind.LABEL_MAP_GIVEN, {"name": "l.nii", "labels": {"1": "Liver"}}, "label map l.nii: Liver"),
        (Kind.SERIES_ASSIGNED, {"role": "automatic"}, "taken back"),
    ],
)
def test_what_was_said_or_failed_is_told_in_words(kind, payload, sentence):
    assert sentence in event_words(treatments.event(1, 0, kind, payload))


def test_an_event_of_an_unknown_kind_is_named_as_it_is(words):
    odd = replace(treatments.event(1, 0, Kind.NOTE, {}), kind="lunch_break")
    assert screen_of(replace(words, events=(odd,))).events.rows[0].cells[1].text == "lunch break"


def test_the_probe_tells_place_dose_and_uncertainty(finished):
    probe = screen_of(finished).probe.words
    assert re.fullmatch(r"R \d+ P \d+ H \d+ mm: \d+ ± \d+ Gy", probe)


def test_the_probe_tells_why_there_is_no_dose(finished):
    index = np.argwhere(finished.results[-1].maps.dose.reason == 2)[0]
    view = change_view(ViewState(), PlaceCrosshair(voxel=tuple(int(i) for i in index)), finished)
    assert screen_of(finished, view).probe.words.endswith("not evaluable (air interface)")


def test_layers_come_off_and_on(finished):
    view = ViewState()
    for layer in LayerName:
        view = change_view(view, ToggleLayer(layer=layer), finished)
    axial = screen_of(finished, view).planes[0]
    assert axial.dose is None
    assert axial.outlines == axial.isodoses == ()
    for layer in LayerName:
        view = change_view(view, ToggleLayer(layer=layer), finished)
    axial = screen_of(finished, view).planes[0]
    assert axial.dose is not None
    assert {o.name for o in axial.outlines} >= {"Liver", "Tumour 1"}
    assert [i.level_gy for i in axial.isodoses] == [20, 50, 80, 100, 120, 150]


def test_a_fraction_without_result_cannot_be_selected(finished):
    assert change_view(ViewState(), SelectFraction(number=5), finished).selected is None
    assert change_view(ViewState(), SelectFraction(number=9), finished).selected is None
    chosen = change_view(ViewState(), SelectFraction(number=2), finished)
    assert chosen.selected == ("RHA", 2)
    assert change_view(chosen, SelectFraction(number=0), finished).selected is None


def test_the_crosshair_stays_inside_the_grid(finished):
    view = change_view(ViewState(), PlaceCrosshair(voxel=(-3, 9999, 4)), finished)
    assert view.voxel == (0, treatments.SHAPE[1] - 1, 4)


def test_the_same_cut_is_the_same_object_so_that_it_is_drawn_once(finished):
    one = screen_of(finished, ViewState(voxel=(20, 50, 40)))
    other = screen_of(finished, ViewState(voxel=(20, 51, 40)))
    assert one.planes[0] is other.planes[0]
    assert one.planes[1] is not other.planes[1]
    assert one.planes[2] is other.planes[2]


def test_a_volume_on_another_grid_is_said_and_not_drawn(finished):
    grid = replace(finished.volumes[1].grid, shape=(1, 2, 3))
    odd = replace(finished.volumes[1], grid=grid, occupancy=np.ones((1, 2, 3), dtype=np.float32))
    screen = screen_of(replace(finished, volumes=(finished.volumes[0], odd)))
    assert any("Tumour 1 is not on the reference grid" in cell.text for cell in screen.status)
    assert all(o.name != "Tumour 1" for o in screen.planes[0].outlines)


def test_an_empty_treatment_makes_a_whole_screen():
    screen = screen_of(Snapshot(), now=None)
    assert screen.planes == ()
    assert screen.images_message
    assert screen.badge.text == "no dose yet"
    assert screen.header.clock == "--:--:--"


def test_after_a_restart_nothing_says_that_there_is_no_image_or_no_series(words):
    """The series have arrived, and the maps are being made again: neither is missing."""
    restored = replace(
        words, restored="as shown before; reading the file: 12 %", series=(), reference=None, anatomy=None
    )
    screen = screen_of(restored)
    assert screen.badge.text.startswith("↺ RESTORED, computing again · after RHA F4")
    assert screen.badge.stale
    assert screen.series.empty == "being read again"
    assert screen.images_message == "the images are being read again"
    assert "RESTORED" in screen.glance_title.text
