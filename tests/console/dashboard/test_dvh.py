"""The histograms: the same dose axis for all fractions, a curve for what is known, words for what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage
from treatments import statistics

from console.dashboard.panels import theme
from console.dashboard.panels.details_panel import DetailsPanel
from console.dashboard.screen.dvh import build_dvh
from console.dashboard.screen.ticks import log_ticks, nice_above, nice_ticks, rounded_up
from console.dashboard.screen.view import Details, ShowDetails
from console.dashboard.screen.volumes import volumes_table
from quantify.dvh import exact_dvh, volume_receiving
from quantify.findings import FractionStatus, VolumeStatus
from quantify.model import Role


def changed(snapshot, name, **changes):
    last = snapshot.results[-1]
    volumes = last.volumes | {name: replace(last.volumes[name], **changes)}
    return replace(snapshot, results=(*snapshot.results[:-1], replace(last, volumes=volumes)))


def with_tumours(snapshot, means):
    """More tumours, whose curves may lie on each other."""
    last = snapshot.results[-1]
    more = {f"Tumour {k}": statistics(f"Tumour {k}", Role.TUMOUR, m, 8.0, 5.0) for k, m in enumerate(means, start=4)}
    return replace(snapshot, results=(*snapshot.results[:-1], replace(last, volumes=last.volumes | more)))


def latest(snapshot):
    return build_dvh(snapshot, snapshot.results[-1])


def test_a_curve_is_the_volume_s_own_histogram(words):
    own = words.results[-1].volumes["Tumour 1"]
    curve = next(c for c in latest(words).curves if c.volume == "Tumour 1")
    for dose, share in zip(curve.dose_gy[1:-1:7], curve.volume_pct[1:-1:7], strict=True):
        assert share == pytest.approx(100 * volume_receiving(own.dvh, dose), abs=1e-6)
    assert curve.volume_pct[0] == 100.0
    assert curve.volume_pct[-1] == 0.0


def test_a_curve_of_many_voxels_is_thinned(words):
    rng = np.random.default_rng(1)
    dvh = exact_dvh(rng.gamma(9.0, 12.0, 40_000), np.ones(40_000))
    curve = next(c for c in latest(changed(words, "Tumour 1", dvh=dvh)).curves if c.volume == "Tumour 1")
    assert len(curve.dose_gy) <= 200


def test_all_fractions_have_the_same_dose_axis(words):
    axes = {build_dvh(words, result).x_maximum_gy for result in (None, *words.results)}
    assert len(axes) == 1
    highest = max(s.dose_mean_gy or 0 for r in words.results for s in r.volumes.values())
    assert axes.pop() > highest


def test_what_cannot_be_evaluated_has_no_curve_and_is_said(words):
    dvh = latest(words)
    assert [curve.volume for curve in dvh.curves] == ["Tumour 1", "Tumour 2", "Healthy liver"]
    assert "Tumour 3" in dvh.message
    assert "air interface" in dvh.message
    withheld = latest(changed(words, "Tumour 2", dvh=None, d70_gy=None))
    assert "Tumour 2: withheld" in withheld.message


def test_a_lower_bound_says_so_by_its_name(words):
    curve = next(
        c for c in latest(changed(words, "Tumour 1", status=VolumeStatus.LOWER_BOUND)).curves if c.volume == "Tumour 1"
    )
    assert curve.lower_bound
    assert curve.label == "≥ Tumour 1"


def test_limits_and_the_dose_of_coverage_are_marked_in_words(words):
    assert latest(words).marks_gy == ((55.0, "Healthy liver: limit 55 Gy"), (90.0, "coverage: 90 Gy"))


def test_the_title_says_which_fraction_and_what_plus_minus_means(words):
    assert latest(words).title == "CUMULATIVE DOSE after RHA F4 · ± k = 1"
    assert build_dvh(words, words.results[0]).title.startswith("◂ EARLIER · CUMULATIVE DOSE after RHA F1")
    provisional = replace(words.results[-1], status=FractionStatus.PROVISIONAL)
    assert "! provisional" in build_dvh(words, provisional).title
    assert build_dvh(words, None).message == "no fraction has a result yet"


def test_volumes_of_the_position_in_question_are_highlighted(words):
    assert {c.volume for c in latest(words).curves if c.highlighted} == {"Tumour 1", "Tumour 2"}


@pytest.mark.parametrize("value", [0.7, 3.0, 55.0, 149.9, 150.0, 212.0, 1234.0])
def test_an_axis_ends_at_the_next_round_number(value):
    end = rounded_up(value)
    assert value <= end + 1e-9
    assert end <= 1.5 * value
    assert len(nice_ticks(0.0, end, 11)) <= 11


def test_ticks_are_round_and_within_their_range():
    assert nice_ticks(0.0, 12.0, 8) == pytest.approx((0, 2, 4, 6, 8, 10, 12))
    assert log_ticks(10.0, 1000.0) == pytest.approx((10, 20, 50, 100, 200, 500, 1000))
    assert nice_above(0.0) == 1.0
    assert nice_above(21.0) == 50.0


@pytest.fixture(scope="module")
def panel(qapp):
    made = DetailsPanel()
    yield made
    made.deleteLater()


def drawn(panel, snapshot, size=(790, 290), scale=1.0, details=Details.DVH):
    shown = snapshot.results[-1]
    panel.setStyleSheet(theme.style_sheet(scale))
    panel.set_scale(scale)
    panel.resize(*size)
    panel.draw(build_dvh(snapshot, shown), volumes_table(snapshot, shown), details)
    return panel.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)


@pytest.mark.parametrize(("size", "scale"), [((790, 290), 1.0), ((562, 206), 0.711), ((1580, 580), 2.0)])
@pytest.mark.parametrize(
    "means", [(), (121.0, 119.0, 118.0), (87.0, 118.0, 118.0, 118.0)], ids=["few", "close", "same"]
)
def test_no_name_covers_another_and_none_leaves_the_plot(panel, words, size, scale, means):
    drawn(panel, with_tumours(words, means), size, scale)
    boxes = panel.dvh.name_boxes
    assert len(boxes) == 3 + len(means) + 2
    for number, box in enumerate(boxes):
        assert QRectF(panel.dvh.rect()).contains(box)
        assert not any(box.intersects(other) for other in boxes[number + 1 :])


@pytest.mark.parametrize(("size", "scale"), [((790, 290), 1.0), ((562, 206), 0.711)], ids=["full HD", "laptop"])
def test_the_table_of_five_volumes_fits_whole(panel, words, size, scale):
    drawn(panel, words, size, scale, Details.VOLUMES)
    laid = panel.volumes._fit()
    assert laid.left_out == 0
    assert laid.columns[-1][0] + laid.columns[-1][1] <= panel.volumes.width() + 1


def test_curves_are_told_apart_by_their_strokes_alone(panel, words, monkeypatch):
    """In one ink, with one symbol and one name the same curve still looks different for every volume."""
    monkeypatch.setattr(theme, "series_colour", lambda index: QColor(theme.TEXT))
    monkeypatch.setattr(theme, "series_symbol", lambda index: "o")
    one = latest(words).curves[0]
    pictures = []
    for index, bound in ((0, False), (1, False), (2, False), (3, False), (4, False), (1, True)):
        curve = replace(one, index=index, lower_bound=bound, highlighted=False, label="same")
        panel.draw(replace(latest(words), curves=(curve,)), volumes_table(words, None), Details.DVH)
        image = panel.dvh.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
        pictures.append(bytes(image.constBits()))
    assert len(set(pictures)) == len(pictures)


def test_a_tab_asks_for_its_page_and_shows_what_the_screen_says(panel, words, qtbot):
    drawn(panel, words, details=Details.DVH)
    asked = []
    panel.asked.connect(asked.append)
    panel.show()
    qtbot.mouseClick(panel.tabs[Details.VOLUMES], Qt.MouseButton.LeftButton)
    assert asked == [ShowDetails(details=Details.VOLUMES)]
    assert panel.pages.currentWidget() is panel.dvh
    assert not panel.tabs[Details.VOLUMES].isChecked()
    drawn(panel, words, details=Details.VOLUMES)
    assert panel.pages.currentWidget() is panel.volumes
    assert [tab.text() for tab in panel.tabs.values()] == ["□ DVH", "■ VOLUMES"]
    assert panel.title.text() == "CUMULATIVE DOSE after RHA F4 · ± k = 1"
    panel.hide()


def test_tabs_are_large_enough_for_a_finger(panel, words):
    drawn(panel, words)
    assert all(tab.height() >= 32 for tab in panel.tabs.values())


def test_the_same_histograms_are_not_painted_again(panel, words):
    drawn(panel, words)
    before = [id(picture) for _, picture, _ in panel.dvh._pictures]
    for shown in (words.results[0], words.results[-1]):
        panel.draw(build_dvh(words, shown), volumes_table(words, shown), Details.DVH)
        panel.dvh.grab()
    after = [id(picture) for _, picture, _ in panel.dvh._pictures]
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1
