"""The probe tells what lies under the cursor, with its ±, its echoes and the reason where there is no dose."""

from __future__ import annotations

from dataclasses import replace

import decays
import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF
from PySide6.QtGui import QHelpEvent, QImage
from PySide6.QtWidgets import QApplication, QToolTip, QWidget

from console.dashboard.panels.probe_panel import ProbePanel
from console.dashboard.screen.model import Tone
from console.dashboard.screen.probe import build_probe, map_words
from console.dashboard.screen.view import Quantity, ViewState
from quantify.decay import decay_at
from quantify.findings import FractionMaps
from quantify.model import Reason

CROSS = ViewState(voxel=(22, 52, 35), probe=True)
KEY = ("RHA", 4)


@pytest.fixture(scope="module")
def probed(finished):
    """Echoes of the reference and of the fourth fraction, whose patient lay 6 mm to the left and 4 mm higher."""
    reference, later = decays.fitted(42.0), decays.fitted(150.0, slope_per_s=1.0)
    last = finished.results[-1]
    gained = replace(last.maps.dose, values=0.25 * last.maps.dose.values, quantity="increment")
    maps = FractionMaps(r2star=gained, holmium=gained, activity=gained, dose=last.maps.dose, increment=gained)
    return replace(
        finished,
        results=(*finished.results[:-1], replace(last, maps=maps)),
        imaged=(decays.imaged(None, reference), decays.imaged(KEY, later, decays.SHIFT_MM)),
    )


def probe_of(snapshot, view=CROSS):
    return build_probe(snapshot, view, snapshot.results[-1])


def values(probe) -> dict[str, str]:
    return {row.cells[0].text: row.cells[1].text for row in probe.rows}


def test_the_probe_follows_the_cursor_else_the_crosshair(probed):
    hovered = replace(CROSS, hovered=(20, 60, 44))
    assert probe_of(probed).words.startswith("R 85 P 6 H 28 mm: ")
    assert probe_of(probed, hovered).words.startswith("R 58 P 30 H 20 mm: ")
    assert values(probe_of(probed, hovered))["voxel"] == "slice 21, row 61, column 45"
    assert probe_of(probed, replace(hovered, hovered=None)) == probe_of(probed)


def test_closed_it_has_only_its_line_of_words(probed):
    closed = probe_of(probed, replace(CROSS, probe=False))
    assert closed.words == probe_of(probed).words
    assert closed.rows == closed.decays == ()


def test_the_dose_is_that_of_the_voxel_with_its_uncertainty(probed):
    dose = probed.results[-1].maps.dose
    told = values(probe_of(probed))["dose after RHA F4"]
    value, u = (float(part) for part in told.removesuffix(" Gy").split(" ± "))
    assert value == pytest.approx(dose.values[CROSS.voxel], abs=1.0)
    assert u == pytest.approx(dose.standard_error[CROSS.voxel], abs=1.0)


@pytest.mark.parametrize("reason", [r for r in Reason if r not in (Reason.EVALUABLE, Reason.LOWER_BOUND)])
def test_where_there_is_no_dose_the_reason_stands_in_its_place(probed, reason):
    last = probed.results[-1]
    reasons = last.maps.dose.reason.copy()
    reasons[CROSS.voxel] = reason
    maps = replace(last.maps, dose=replace(last.maps.dose, reason=reasons))
    probe = build_probe(probed, CROSS, replace(last, maps=maps))
    assert values(probe)["dose after RHA F4"] == f"not evaluable ({reason.sentence})"
    assert values(probe)["reason"] == reason.sentence
    assert not any(unit in probe.words for unit in ("±", " Gy"))


def test_at_the_noise_floor_the_dose_is_a_lower_bound(probed):
    last = probed.results[-1]
    reasons = last.maps.dose.reason.copy()
    reasons[CROSS.voxel] = Reason.LOWER_BOUND
    probe = build_probe(
        probed, CROSS, replace(last, maps=replace(last.maps, dose=replace(last.maps.dose, reason=reasons)))
    )
    row = next(row for row in probe.rows if row.cells[0].text.startswith("dose"))
    assert row.cells[1].text.startswith("≥ ")
    assert row.cells[1].tone is Tone.CAUTION
    unsure = build_probe(
        probed,
        replace(CROSS, quantity=Quantity.UNCERTAINTY),
        replace(last, maps=replace(last.maps, dose=replace(last.maps.dose, reason=reasons))),
    )
    assert unsure.words.endswith("a lower bound has no standard uncertainty")


def test_another_quantity_is_named_beside_the_dose(probed):
    plain = probe_of(probed).words
    increment = probe_of(probed, replace(CROSS, quantity=Quantity.INCREMENT)).words
    uncertainty = probe_of(probed, replace(CROSS, quantity=Quantity.UNCERTAINTY)).words
    assert increment.startswith(f"{plain} · increment since RHA F3: +")
    assert uncertainty.startswith(f"{plain} · standard uncertainty of this voxel ")
    assert uncertainty.endswith(" Gy (k = 1)")


def test_the_first_image_has_no_increment(probed):
    probe = build_probe(probed, CROSS, probed.results[0])
    assert values(probe)["increment"] == "first image: the dose itself"


def test_both_series_are_told_where_the_point_lies_in_each(probed):
    """The fraction's patient lay two columns and one slice further."""
    told = values(probe_of(probed))
    assert told["R2* reference"] == "42.0 ± 3.1 s⁻¹"
    assert told["R2* RHA F4"] == "187.0 ± 3.1 s⁻¹"
    assert told["ΔR2*"] == "+145 ± 4 s⁻¹"
    assert told["residual reference"] == told["residual RHA F4"] == "1.2 % of S₀"


def test_a_bent_registration_moves_the_point_first(probed):
    last = probed.results[-1]
    bend = np.zeros((3, *last.maps.dose.grid.shape), dtype=np.float32)
    bend[0] = 3.0
    bent = replace(last, registration=replace(last.registration, displacement_mm=bend))
    assert values(build_probe(probed, CROSS, bent))["R2* RHA F4"] == "188.0 ± 3.1 s⁻¹"


def test_the_curves_are_the_measured_echoes_and_the_fit(probed):
    reference, later = probe_of(probed).decays
    assert (reference.name, later.name) == ("reference", "RHA F4")
    series = probed.imaged[1]
    point = (series.fitted.series.grid.affine_lps_mm @ [*CROSS.voxel, 1.0])[:3]
    decay = decay_at(series.fitted, point, series.reference_to_series_lps_mm)
    np.testing.assert_allclose(later.signal, decay.signal)
    np.testing.assert_allclose(later.echo_times_ms, 1000 * np.array(decays.TIMES_S))
    np.testing.assert_allclose(later.fit_signal, decay.curve(np.array(later.fit_times_ms) / 1000))
    assert later.noise_sigma == decays.SIGMA
    assert later.words == "R2* 187.0 ± 3.1 s⁻¹, residual 1.2 % of S₀"


def test_without_echoes_it_says_so(finished, probed):
    assert "reference: no echoes at hand" in probe_of(finished).message
    assert "RHA F4: no echoes at hand" in probe_of(finished).message
    assert probe_of(probed).message == ""
    restored = replace(finished, restored="results of an earlier console; recomputing 1 of 4")
    assert "recomputing 1 of 4" in probe_of(restored).message


def test_outside_the_fraction_s_images_it_says_so(probed):
    far = decays.imaged(KEY, probed.imaged[1].fitted, (5000.0, 0.0, 0.0))
    probe = probe_of(replace(probed, imaged=(probed.imaged[0], far)))
    assert probe.message == "RHA F4: outside its images"
    assert [curve.name for curve in probe.decays] == ["reference"]
    assert "ΔR2*" not in values(probe)


def test_a_poor_fit_is_said(probed):
    fitted = probed.imaged[1].fitted
    bad = replace(fitted, poor=~fitted.poor, usable=~fitted.usable)
    probe = probe_of(replace(probed, imaged=(probed.imaged[0], replace(probed.imaged[1], fitted=bad))))
    row = next(row for row in probe.rows if row.cells[0].text == "residual RHA F4")
    assert row.cells[1].text.endswith("! poor fit: not used")
    assert row.cells[1].tone is Tone.CAUTION
    assert probe.decays[1].words.endswith("! poor fit: not used")


def test_every_number_says_its_unit_and_source(probed):
    for row in probe_of(probed).rows:
        if any(letter.isdigit() for letter in row.cells[1].text):
            assert "Source" in row.cells[1].tooltip


def test_before_there_is_an_image_there_is_nothing_to_probe(words):
    empty = build_probe(replace(words, results=()), CROSS, None)
    assert (empty.words, empty.rows, empty.decays) == ("", (), ())


@pytest.fixture
def panel(qtbot):
    images = QWidget()
    images.resize(600, 500)
    qtbot.addWidget(images)
    yield ProbePanel(images)
    images.close()


def test_the_panel_is_opaque_and_shows_both_series(panel, probed):
    panel.draw(probe_of(probed), shown=True)
    assert not panel.isHidden()
    with_both = panel.grab().toImage()
    panel.draw(probe_of(replace(probed, imaged=probed.imaged[:1])), shown=True)
    assert panel.grab().toImage() != with_both
    assert all(with_both.pixelColor(x, 3).alpha() == 255 for x in range(0, with_both.width(), 9))
    pixels = np.frombuffer(with_both.convertToFormat(QImage.Format.Format_Grayscale8).constBits(), dtype=np.uint8)
    assert len(np.unique(pixels)) > 30


def test_closed_the_panel_is_hidden(panel, probed):
    panel.draw(probe_of(probed), shown=True)
    panel.draw(probe_of(probed), shown=False)
    assert panel.isHidden()


def test_the_panel_is_no_taller_than_what_it_says(panel, finished, probed):
    panel.draw(probe_of(probed), shown=True)
    tall = panel.height()
    panel.draw(probe_of(finished), shown=True)
    assert panel.height() < tall
    panel.set_scale(2.0)
    assert panel.width() == 700


def test_the_panel_keeps_clear_of_the_crosshair(panel, probed):
    panel.draw(probe_of(probed), shown=True)
    for point in (QPointF(100, 100), QPointF(500, 400), QPointF(20, 20)):
        panel.keep_clear_of(point)
        assert not panel.geometry().contains(point.toPoint())
        assert panel.parentWidget().rect().contains(panel.geometry())


def test_a_number_of_the_panel_explains_itself_under_the_mouse(panel, probed, monkeypatch):
    told = []
    monkeypatch.setattr(QToolTip, "showText", lambda place, words, widget: told.append(words))
    panel.draw(probe_of(probed), shown=True)
    for y in (12, panel.height() - 40):
        QApplication.sendEvent(panel, QHelpEvent(QEvent.Type.ToolTip, QPoint(150, y), QPoint(150, y)))
    assert "LPS coordinates" in told[0]
    assert "Echoes of the nearest voxel" in told[1]


def test_a_fit_known_only_at_the_echoes_is_drawn_there(probed):
    fitted = probed.imaged[1].fitted
    factor = np.broadcast_to(
        np.linspace(1.0, 0.8, 10, dtype=np.float32)[:, None, None, None], fitted.series.signal.shape
    )
    modulated = replace(probed.imaged[1], fitted=replace(fitted, modulation=factor))
    curve = probe_of(replace(probed, imaged=(probed.imaged[0], modulated))).decays[1]
    assert curve.fit_times_ms == curve.echo_times_ms


def test_a_voxel_that_was_not_fitted_shows_its_echoes_without_a_curve(probed):
    fitted = probed.imaged[0].fitted
    nothing = np.full(fitted.fit.s0.shape, np.nan, dtype=np.float32)
    fit = replace(fitted.fit, r2star_per_s=nothing, s0=nothing, standard_error_per_s=nothing, residual=nothing)
    unfitted = replace(probed.imaged[0], fitted=replace(fitted, fit=fit, usable=~fitted.usable))
    probe = probe_of(replace(probed, imaged=(unfitted, probed.imaged[1])))
    assert probe.decays[0].fit_times_ms == ()
    assert len(probe.decays[0].signal) == 10
    assert values(probe)["R2* reference"] == "no signal to fit"


def test_in_the_comparison_both_fractions_are_told_by_their_names(probed):
    """The cursor may be over either cut: the dose of one must never be read as that of the other."""
    words = probe_of(probed, replace(CROSS, compare=True, probe=False)).words
    later, earlier = (r.maps.dose for r in (probed.results[-1], probed.results[-2]))
    both = [f"after RHA F4 {map_words(later, CROSS.voxel)}", f"after RHA F3 {map_words(earlier, CROSS.voxel)}"]
    assert words == f"R 85 P 6 H 28 mm: {' · '.join(both)}"
    assert both[0].split(" ", 3)[3] != both[1].split(" ", 3)[3]
