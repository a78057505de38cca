"""What changed is said once, in words, and never goes silently."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from PySide6.QtCore import QCoreApplication, QPoint, Qt
from PySide6.QtTest import QTest
from treatments import START

from console.dashboard.panels import theme
from console.dashboard.panels.news_panel import NewsPanel
from console.dashboard.screen.model import News, State, Tone
from console.dashboard.screen.news import FRESH_S, announced, build_news
from console.dashboard.screen.view import ViewState
from console.snapshot import PlanRevision, Snapshot
from quantify.findings import FractionResult, FractionStatus, VolumeStatus
from quantify.monte_carlo import Spread

NOW = START + timedelta(minutes=58)


def changed(result: FractionResult, name: str, **changes: object) -> FractionResult:
    volumes = result.volumes | {name: replace(result.volumes[name], **changes)}
    return replace(result, volumes=volumes)


def gained(result: FractionResult, name: str, gain_gy: float, u_gy: float) -> FractionResult:
    own = result.volumes[name]
    spread = Spread(value=gain_gy, u=u_gy, low_95=gain_gy - 2 * u_gy, high_95=gain_gy + 2 * u_gy)
    return changed(result, name, gain_gy=gain_gy, intervals={**own.intervals, "gain_gy": spread})


def after(words: Snapshot, count: int, *, last: FractionResult | None = None, **changes: object) -> Snapshot:
    """The treatment when `count` fractions had a result."""
    results = words.results[:count]
    if last is not None:
        results = (*results[:-1], last)
    return replace(words, results=results, **changes)  # type: ignore[arg-type]


def told(before: Snapshot, now_known: Snapshot) -> str:
    news = announced(before, now_known, NOW)
    assert news is not None
    return news.text


def test_a_new_result_tells_what_every_volume_gained_with_its_uncertainty(words):
    third = gained(words.results[2], "Tumour 1", 21.3, 3.4)
    third = gained(third, "Healthy liver", 9.3, 2.2)
    news = announced(after(words, 2), after(words, 3, last=third), NOW)
    assert news is not None
    assert "Tumour 3 not evaluable" in news.whole
    text = news.text
    assert text == (
        "RHA F2 → F3: Tumour 1 +21.3 ± 3.4 Gy · Tumour 2 75 ± 7 Gy · Healthy liver +9.3 ± 2.2 Gy · + 1 more"
    )


def test_no_gain_is_told_without_its_uncertainty(words):
    third = changed(words.results[2], "Tumour 1", gain_gy=21.3)
    assert "Tumour 1 88 ± 8 Gy" in told(after(words, 2), after(words, 3, last=third))


def test_a_result_without_volumes_says_that_there_are_maps_only(words):
    bare = replace(words.results[2], volumes={})
    assert told(after(words, 2), after(words, 3, last=bare)) == "RHA F3: dose maps, no volumes of interest"


def test_a_lower_bound_has_no_gain(words):
    third = gained(words.results[2], "Tumour 1", 21.3, 3.4)
    third = changed(third, "Tumour 1", status=VolumeStatus.LOWER_BOUND)
    assert "Tumour 1 ≥ 88 Gy" in told(after(words, 2), after(words, 3, last=third))


def test_the_first_result_and_the_first_of_another_position_say_so(words):
    assert told(after(words, 0), after(words, 1)).startswith("first result RHA F1: Tumour 1 14.0 ± 2.5 Gy")
    other = replace(words.results[2], position="LHA", fraction=1)
    assert told(after(words, 2), after(words, 3, last=other)).startswith("RHA F2 → LHA F1: ")


def test_the_gain_is_since_the_last_image_not_since_a_failed_fraction(words):
    failed = replace(words.results[1], status=FractionStatus.FAILED, error="no series", volumes={})
    before = after(words, 2, last=failed)
    assert told(before, replace(before, results=(*before.results, words.results[2]))).startswith("RHA F1 → F3: ")


def test_a_failed_fraction_says_why_and_is_graver_than_what_comes_with_it(words):
    failed = replace(words.results[3], status=FractionStatus.FAILED, error="its series is not complete", volumes={})
    news = announced(after(words, 2), after(words, 4, last=failed), NOW)
    assert news is not None
    assert news.text.startswith("RHA F4 FAILED: its series is not complete  |  RHA F2 → F3: ")
    assert news.tone is Tone.ALERT


def test_a_result_computed_anew_tells_what_each_dose_was_and_is(words):
    anew = changed(words.results[2], "Tumour 1", dose_mean_gy=76.0, dose_mean_u_gy=6.0)
    news = announced(after(words, 3), after(words, 3, last=anew), NOW)
    assert news is not None
    assert news.text == "RHA F3 recomputed: Tumour 1 88 ± 8 → 76 ± 6 Gy"
    assert news.tone is Tone.CAUTION


def test_a_result_that_changes_beside_its_doses_is_still_said(words):
    anew = replace(words.results[2], recovery_ratio=0.9)
    assert told(after(words, 3), after(words, 3, last=anew)) == "RHA F3 recomputed: every dose as before"
    provisional = replace(words.results[2], status=FractionStatus.PROVISIONAL)
    assert "ok → provisional" in told(after(words, 3), after(words, 3, last=provisional))


def test_what_failed_before_and_has_a_dose_now_tells_the_dose(words):
    failed = replace(words.results[2], status=FractionStatus.FAILED, error="incomplete", volumes={})
    text = told(after(words, 3, last=failed), after(words, 3))
    assert text.startswith("RHA F3, failed before: Tumour 1 88 ± 8 Gy")


def test_a_result_never_disappears_silently(words):
    assert told(after(words, 3), after(words, 2)) == "RHA F3 WITHDRAWN: it has no result any more"


def test_what_has_not_changed_is_no_news(words):
    again = replace(words, results=tuple(replace(result) for result in words.results), head_seq=2000)
    assert announced(words, words, NOW) is None
    assert announced(words, again, NOW) is None


def test_a_window_that_starts_on_a_file_says_once_how_many_results_there_are(words):
    assert told(Snapshot(), words) == "4 results on record"
    assert not build_news(words, announced(Snapshot(), words, NOW), now=NOW).fresh
    assert announced(Snapshot(), after(words, 0), NOW) is None


def test_restored_results_are_said_once_and_are_no_news_when_computed_anew(words):
    bare = tuple(replace(result, notes=("restored",)) for result in words.results)
    restored = replace(words, results=bare, restored="0 of 4 computed anew")
    assert told(after(words, 0, head_seq=0), restored) == "4 results on record"
    assert announced(restored, replace(words, restored="4 of 4"), NOW) is None
    moved = changed(words.results[3], "Tumour 1", dose_mean_gy=99.0)
    assert "118 ± 10 → 99 ± 10 Gy" in told(restored, after(words, 4, last=moved))


def test_while_results_are_restored_the_line_says_so_and_cannot_be_dismissed(words):
    news = announced(Snapshot(), words, NOW)
    line = build_news(replace(words, restored="1 of 4 computed anew"), replace(news, dismissed=True), now=NOW)
    assert line.text.startswith("RESULTS RESTORED after a restart: 1 of 4 computed anew")
    assert line.fresh


REVISION = PlanRevision(at=START + timedelta(minutes=31), by="X. Physicist", differences=("relaxivity 218 → 220",))


def test_a_change_of_settings_stays_bright_until_it_is_dismissed(words):
    news = announced(words, replace(words, revisions=(REVISION,)), NOW)
    assert news is not None
    assert news.text == "SETTINGS CHANGED 10:31 by X. Physicist: relaxivity 218 → 220"
    assert build_news(words, news, now=NOW + timedelta(hours=2)).fresh
    assert not build_news(words, replace(news, dismissed=True), now=NOW).fresh


def test_a_result_does_not_push_an_unread_change_of_settings_off_the_line(words):
    before = after(words, 2, revisions=(REVISION,))
    standing = announced(after(words, 2), before, NOW)
    for count in (3, 4):
        standing = announced(
            after(words, count - 1, revisions=(REVISION,)), after(words, count, revisions=(REVISION,)), NOW, standing
        )
        assert standing is not None
        assert standing.lasting
    assert standing.text.count("SETTINGS CHANGED") == 1
    assert "RHA F3 → F4" in standing.text
    assert "RHA F2 → F3" not in standing.text
    alone = announced(after(words, 3), words, NOW, replace(standing, dismissed=True))
    assert alone is not None
    assert "SETTINGS" not in alone.text


def test_news_is_bright_for_a_minute_or_until_read_then_muted_but_never_gone(words):
    news = announced(after(words, 3), words, NOW)
    for seconds, fresh in ((0.0, True), (FRESH_S - 1, True), (FRESH_S, False)):
        line = build_news(words, news, now=NOW + timedelta(seconds=seconds))
        assert line.fresh is fresh
        assert "RHA F3 → F4" in line.text
    read = build_news(words, replace(news, dismissed=True), now=NOW)
    assert (read.fresh, read.state.tone, read.text) == (False, Tone.MUTED, news.text)
    assert {read.state.sign, build_news(words, news, now=NOW).state.sign} == {"★", "☆"}
    assert build_news(words, None, now=NOW).text == "no news yet"


def test_who_looks_at_an_earlier_fraction_is_told_how_to_see_the_new_one(words):
    news = announced(after(words, 3), words, NOW)
    earlier = build_news(words, news, now=NOW, view=ViewState(selected=("RHA", 2)))
    assert earlier.text.startswith("press 0 to see it · RHA F3 → F4")
    for view in (ViewState(), ViewState(selected=("RHA", 4))):
        assert "press 0" not in build_news(words, news, now=NOW, view=view).text


def test_many_tumours_are_counted_and_stand_whole_in_the_tooltip(words):
    last = words.results[3]
    one = last.volumes["Tumour 1"]
    many = {f"Lesion {n}": replace(one, name=f"Lesion {n}") for n in range(9)} | {
        "Healthy liver": last.volumes["Healthy liver"]
    }
    news = announced(after(words, 3), after(words, 4, last=replace(last, volumes=many)), NOW)
    assert news is not None
    assert news.text.endswith("Healthy liver 31.0 ± 2.4 Gy · + 7 more")
    assert "Lesion 8" in build_news(words, news, now=NOW).tooltip


@pytest.fixture
def panel(qtbot):
    made = NewsPanel()
    qtbot.addWidget(made)
    made.set_scale(1.0)
    made.resize(900, made.height())
    made.show()
    return made


def line(text: str, *, fresh: bool = True) -> News:
    return News(text=text, state=State(sign="★", word="new", tone=Tone.GOOD), fresh=fresh)


def test_nothing_is_cut_silently(panel):
    panel.draw(line("a long sentence " * 30), State(sign="▲▲▲", word="1 high, unacknowledged", tone=Tone.ALERT))
    QCoreApplication.processEvents()
    assert panel.news.elided
    assert panel.news.text().endswith("…")
    assert ("a long sentence " * 30).strip() in panel.news.toolTip()
    assert panel.alarms.text() == "ALARMS  ▲▲▲ 1 high, unacknowledged"
    assert not panel.alarms.elided


def test_the_whole_bar_is_the_target(panel):
    panel.draw(line("news"), State(sign="▲", word="1 low", tone=Tone.ACTIVE))
    pressed = []
    panel.dismissed.connect(lambda: pressed.append("news"))
    panel.alarms_pressed.connect(lambda: pressed.append("alarms"))
    assert panel.height() == panel.news.height() == panel.alarms.height() == 32
    for label, y in ((panel.news, 1), (panel.news, 30), (panel.alarms, 1), (panel.alarms, 30)):
        QTest.mouseClick(label, Qt.MouseButton.LeftButton, pos=QPoint(label.width() // 2, y))
    assert pressed == ["news", "news", "alarms", "alarms"]


def test_fresh_and_read_differ_without_colour(panel):
    """Dark letters on a light ground against light letters on a dark one."""
    for fresh, ground in ((True, theme.TONES[Tone.GOOD]), (False, theme.BACKGROUND)):
        panel.draw(line("news", fresh=fresh), State(sign="✓", word="none", tone=Tone.GOOD))
        pixel = panel.news.grab().toImage().pixelColor(panel.news.width() - 20, 16)
        assert pixel.name() == ground


def test_news_is_plain_text(panel):
    panel.draw(line("<b>Tumour</b> & more"), State(sign="✓", word="none"))
    assert panel.news.textFormat() is Qt.TextFormat.PlainText
    assert "<b>" in panel.news.text()
    assert "<b>" not in panel.news.toolTip()


def test_since_a_lower_bound_no_gain_is_told(words):
    """The dose before may have been anything above: the gain would be anything below."""
    second = changed(words.results[1], "Tumour 1", status=VolumeStatus.LOWER_BOUND)
    third = gained(words.results[2], "Tumour 1", 21.3, 3.4)
    before = after(words, 2, last=second)
    assert "Tumour 1 88 ± 8 Gy" in told(before, replace(before, results=(*before.results, third)))
