"""The plot of mean dose against injected activity: what is in it, and that nothing in it covers a word."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import treatments
from PySide6.QtCore import QCoreApplication

from config.settings import QuantificationSettings
from console.dashboard.panels import theme
from console.dashboard.panels.trend_panel import TrendPanel
from console.dashboard.screen.model import Tone, TrendScreen, TrendSeries
from console.dashboard.screen.trend import build_trend, series_indices
from console.snapshot import Snapshot
from quantify.findings import FractionStatus, VolumeStatus
from quantify.model import Role
from quantify.projection import Projection

X = tuple(float(x) for x in np.cumsum(treatments.ACTIVITIES))


def series_of(trend: TrendScreen, name: str) -> TrendSeries:
    return next(series for series in trend.series if series.volume == name)


def with_last(snapshot: Snapshot, **changes: object) -> Snapshot:
    return replace(snapshot, results=(*snapshot.results[:-1], replace(snapshot.results[-1], **changes)))


def trend_of(snapshot: Snapshot, number: int = -1) -> TrendScreen:
    return build_trend(snapshot, snapshot.results[number])


@pytest.fixture(scope="module")
def three() -> Snapshot:
    return treatments.treatment(3, images=False)


@pytest.fixture(scope="module")
def second(words) -> Snapshot:
    """LHA F1 has a result too, upon the dose of RHA."""
    lha = replace(words.injections[4], activity_mbq=90.0, time=treatments.START)
    found = replace(words.results[-1], position="LHA", fraction=1, position_injected_mbq=90.0, trend={}, projection={})
    injections = (*words.injections[:4], lha, words.injections[5])
    return replace(words, injections=injections, results=(*words.results, found))


def test_the_band_runs_through_the_intervals_that_there_are(words, three):
    low, high = words.results[-1].trend["Tumour 1"].prediction_interval_gy
    assert series_of(trend_of(words), "Tumour 1").band == ((X[3], low, high),)
    assert all(series.band == () for series in trend_of(three).series)


def test_the_next_fraction_stands_at_its_planned_activity_with_its_interval(three):
    trend = trend_of(three)
    projected = three.results[-1].projection["Tumour 1"]
    expected = (X[2] + 390.0, projected.dose_gy, projected.low_95_gy, projected.high_95_gy)
    assert series_of(trend, "Tumour 1").next == pytest.approx(expected)
    assert trend.planned_labels == ("F1", "F2", "F3", "next F4")
    assert trend.y_maximum_gy >= max(series.next[3] for series in trend.series if series.next)


def test_what_has_been_measured_is_projected_no_more(words):
    earlier = trend_of(words, 2)
    assert words.results[2].projection
    assert all(series.next is None for series in earlier.series)
    assert not any("next" in label for label in earlier.planned_labels)


def test_a_projection_without_a_number_is_not_drawn(three):
    none = Projection(dose_gy=None, low_95_gy=None, high_95_gy=None, method="none", message="not measured")
    changed = with_last(three, projection={name: none for name in three.results[-1].projection})
    assert all(series.next is None for series in trend_of(changed).series)


def test_a_lower_bound_has_no_plus_minus_in_the_plot(words):
    volumes = words.results[-1].volumes
    bound = replace(volumes["Tumour 1"], status=VolumeStatus.LOWER_BOUND)
    series = series_of(trend_of(with_last(words, volumes=volumes | {"Tumour 1": bound})), "Tumour 1")
    assert series.lower_bound == (False, False, False, True)
    assert math.isnan(series.u_gy[3])
    assert not any(map(math.isnan, series.u_gy[:3]))


def test_every_volume_is_told_by_its_symbol_the_flagged_first(words):
    trend = trend_of(words)
    assert trend.finding_series == (None, 2, 1, 3, 0)
    assert [c.text[0] for c in trend.findings] == ["!", "▼", "✓", "—", "✓"]
    assert all("±" in c.text or "Gy" in c.text for c in trend.findings if c.text[0] in "▼✓")


def test_the_threshold_is_named_with_its_source(words):
    assert "≥ 10 % from the line (EMERITUS-1)" in trend_of(words).findings[0].text
    other = QuantificationSettings.model_validate({"trend": {"threshold_pct": 15.0}})
    changed = replace(words, settings=treatments.SimpleNamespace(quantification=other))
    assert "≥ 15 % from the line (set for this treatment)" in trend_of(changed).findings[0].text


def test_a_point_outside_its_interval_is_said_even_when_it_is_not_flagged(words):
    points = dict(words.results[-1].trend)
    points["Tumour 1"] = replace(points["Tumour 1"], flagged=False, significant=True)
    finding = next(c for c in trend_of(with_last(words, trend=points)).findings if "Tumour 1" in c.text)
    assert finding.text.startswith("! ")
    assert "outside the interval" in finding.text
    assert finding.tone is Tone.CAUTION


def test_a_failed_fraction_is_said_once(words):
    changed = with_last(words, status=FractionStatus.FAILED, error="the registration failed", volumes={})
    trend = trend_of(changed)
    assert [c.text for c in trend.findings if c.tone is Tone.ALERT] == [
        "✕ RHA F4 failed: nothing to hold against the line"
    ]
    assert [c.text for c in trend.findings[1:]] == [series.volume for series in trend.series]
    assert all(series.expected is None for series in trend.series)


def test_limits_are_lines_of_plotted_volumes_with_their_provenance(words):
    limits = (treatments.limit("Healthy liver", 55.0, source="van Roekel 2021"), treatments.limit("Liver", 40.0))
    plan = treatments.SimpleNamespace(limits=limits)
    trend = trend_of(replace(words, plan=plan))
    assert [(dose, volume) for dose, volume, _ in trend.limits] == [(55.0, "Healthy liver")]
    assert "van Roekel 2021" in trend.tooltip


def test_a_limit_far_above_all_doses_does_not_press_them_flat(words):
    plan = treatments.SimpleNamespace(limits=(treatments.limit("Tumour 1", 1000.0),))
    trend = trend_of(replace(words, plan=plan))
    assert trend.y_maximum_gy < 200
    assert trend.limits


def test_a_second_position_starts_upon_the_dose_before_it(second):
    trend = trend_of(second)
    assert trend.title.endswith("· LHA 2/2, upon the dose after RHA F4")
    last = second.results[3].volumes["Tumour 1"]
    assert series_of(trend, "Tumour 1").baseline == (last.dose_mean_gy, last.dose_mean_u_gy)
    assert series_of(trend, "Tumour 1").x_mbq == (90.0,)
    assert all(series.baseline is None for series in trend_of(second, 3).series)


def test_the_same_snapshot_gives_the_same_plot_object(words):
    assert trend_of(words) is trend_of(words)
    assert trend_of(words, 2) is not trend_of(words)


@pytest.fixture(scope="module")
def crowded(words) -> Snapshot:
    """Five volumes with doses, three of them flagged, two limits."""
    result = words.results[-1]
    volumes, points = dict(result.volumes), dict(result.trend)
    for name, factor in (("Metastasis in segment IVa", 0.9), ("Tumour 5", 0.65)):
        volumes[name] = replace(volumes["Tumour 2"], name=name, dose_mean_gy=factor * volumes["Tumour 2"].dose_mean_gy)
        points[name] = replace(points["Tumour 2"], volume=name)
    limits = (treatments.limit("Healthy liver", 55.0), treatments.limit("Healthy liver", 57.0))
    changed = with_last(words, volumes=volumes, trend=points)
    return replace(changed, plan=treatments.SimpleNamespace(limits=limits))


@pytest.fixture(scope="module")
def panel(qapp) -> TrendPanel:
    made = TrendPanel()
    yield made
    made.deleteLater()


@pytest.mark.parametrize(("size", "scale"), [((640, 230), 1.0), ((440, 165), 0.71), ((1280, 480), 2.0)])
@pytest.mark.parametrize("results", [2, 3, 4])
def test_no_word_of_the_plot_covers_another_or_a_symbol(panel, crowded, size, scale, results):
    panel.set_scale(scale)
    panel.draw(build_trend(crowded, crowded.results[results - 1]))
    panel.resize(*size)
    panel.grab()
    plot = panel.plot
    assert plot.words
    assert plot.marks
    for (_, one), (_, other) in itertools.combinations(plot.words, 2):
        assert not one.intersects(other)
    for _, word in plot.words:
        assert not any(word.intersects(mark) for mark in plot.marks)
        assert plot.rect().adjusted(-1, -1, 1, 1).contains(word.toRect())


def _greys(panel: TrendPanel) -> np.ndarray:
    image = panel.plot.grab().toImage().convertToFormat(panel.plot.grab().toImage().Format.Format_Grayscale8)
    pixels = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
    return pixels[:, : image.width()].copy()


def test_band_ring_and_next_are_seen_without_colour(panel, words, three):
    """Each of them taken away changes the grey picture by more than a dozen clearly different pixels."""
    panel.set_scale(1.0)
    panel.resize(640, 230)
    for trend, changes in (
        (trend_of(words), ({"band": ()}, {"flagged": False}, {"expected": None})),
        (trend_of(three), ({"next": None}, {"dashed": None})),
    ):
        panel.draw(trend)
        whole = _greys(panel).astype(int)
        for change in changes:
            panel.draw(replace(trend, series=tuple(replace(s, **change) for s in trend.series)))
            assert (np.abs(_greys(panel) - whole) > 40).sum() > 12


def test_an_equal_plot_is_not_painted_again(panel, words):
    panel.draw(trend_of(words))
    panel.grab()
    picture = panel.plot._picture
    panel.draw(replace(trend_of(words)))
    assert panel.plot._picture is picture
    panel.draw(trend_of(words, 2))
    assert panel.plot._picture is None
    QCoreApplication.processEvents()


def test_fractions_close_to_one_another_are_named_from_the_last_back(panel, words):
    panel.set_scale(1.0)
    panel.resize(640, 230)
    panel.draw(replace(trend_of(words), planned_x_mbq=(129.0, 516.0, 1285.0, 1290.0)))
    panel.grab()
    named = [word for word, _ in panel.plot.words if word.startswith("F")]
    assert named == ["F4", "F2", "F1"]
    for (_, one), (_, other) in itertools.combinations(panel.plot.words, 2):
        assert not one.intersects(other)


def test_no_projection_leaves_out_what_another_position_has_given(words, second, three):
    """The dose sums over positions: a projection of RHA made before LHA was injected holds for nothing any more."""
    planned = (*second.injections[:3], second.injections[4], second.injections[5], words.injections[3])
    lha = replace(second.results[-1], cumulative_injected_mbq=None)
    between = replace(second, injections=planned, results=(*three.results, lha))
    assert all(series.next is None for series in trend_of(between, 2).series)
    waiting = replace(three, injections=(*three.injections[:3], three.injections[4], three.injections[3]))
    assert all(series.next is None for series in trend_of(waiting).series)


def test_what_rests_on_a_lower_bound_has_no_projected_interval(three):
    volumes = three.results[-1].volumes
    bound = {**volumes, "Tumour 1": replace(volumes["Tumour 1"], status=VolumeStatus.LOWER_BOUND)}
    trend = trend_of(with_last(three, volumes=bound))
    assert series_of(trend, "Tumour 1").next is None
    assert series_of(trend, "Tumour 2").next is not None


def test_parts_of_the_healthy_liver_have_symbols_of_their_own(words):
    last = words.results[-1]
    parts = {n: treatments.statistics(n, Role.HEALTHY_LIVER, 20.0, 2.0, 700.0) for n in ("Healthy RHA", "Healthy LHA")}
    indices = series_indices(replace(words, results=(replace(last, volumes=last.volumes | parts),)))
    assert indices["Healthy liver"] == 0
    assert [indices[f"Tumour {k}"] for k in (1, 2, 3)] == [1, 2, 3]
    assert len({theme.series_symbol(k) for k in indices.values()}) == len(indices) == 6
