"""What the images show and say: quantities, legends, captions, patterns, comparison, flicker; and their widgets."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
import treatments
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent
from treatments import START

from benchmarks.frames import measured_frames
from config.settings import Settings
from console.dashboard.app import Dashboard
from console.dashboard.panels import theme
from console.dashboard.panels.cut_image import blended, dotting, hatching
from console.dashboard.panels.cut_look import Look, placed
from console.dashboard.panels.cut_painter import cut_picture
from console.dashboard.panels.image_panel import NO_PLANE, ImagePanel
from console.dashboard.screen.build import build_screen
from console.dashboard.screen.legend import build_legend, level_words
from console.dashboard.screen.lines import isodose_lines
from console.dashboard.screen.model import PlaneScreen, Screen
from console.dashboard.screen.planes import plane_geometries
from console.dashboard.screen.view import (
    Flicker,
    Layer,
    Quantity,
    ShowQuantity,
    ToggleCompare,
    ToggleFlicker,
    ToggleLayer,
    ToggleProbe,
    ViewState,
)
from console.snapshot import ImagedSeries, Mode, Snapshot
from quantify.findings import Registration, RegistrationStatus
from quantify.model import Reason

DISPLAY = Settings().display
F2, F1 = ("RHA", 2), ("RHA", 1)


@pytest.fixture(scope="module")
def imaged(finished) -> Snapshot:
    """Four fractions with increments, lower bounds over 90 Gy, and the series behind them."""
    results = []
    for result in finished.results:
        dose = result.maps.dose
        dose = replace(dose, reason=np.where(dose.values > 90, np.uint8(Reason.LOWER_BOUND), dose.reason))
        gain = None
        if results:
            gain = replace(dose, values=dose.values - results[-1].maps.dose.values, quantity="increment")
        results.append(replace(result, maps=replace(result.maps, dose=dose, increment=gain)))
    signal = finished.reference.signal[0]
    series = [_series(None, "reference", signal)]
    series += [_series(r.key, r.label, np.roll(signal, r.fraction, axis=2) * 1.5) for r in results]
    return replace(finished, results=tuple(results), imaged=tuple(series))


def _series(key: tuple[str, int] | None, label: str, registered: np.ndarray) -> ImagedSeries:
    return ImagedSeries(
        key=key,
        label=label,
        fitted=SimpleNamespace(),  # type: ignore[arg-type]
        reference_to_series_lps_mm=tuple(map(tuple, np.eye(4))),
        registered=registered,
    )


def screen_of(snapshot: Snapshot, mode: Mode = Mode.LIVE, **view: object) -> Screen:
    return build_screen(snapshot, ViewState(**view), now=START + timedelta(minutes=58), mode=mode)


EVERY_WAY = [
    {},
    {"quantity": Quantity.UNCERTAINTY},
    {"quantity": Quantity.INCREMENT},
    {"compare": True},
    {"flicker": Flicker.REFERENCE},
    {"flicker": Flicker.FRACTION},
    {"selected": F1, "quantity": Quantity.INCREMENT},
    {"selected": F1, "compare": True},
]


def test_every_quantity_has_colours_levels_and_words_of_its_own():
    legends = [build_legend(DISPLAY, ViewState(quantity=quantity)) for quantity in Quantity]
    for values in ({x.colour_map for x in legends}, {x.words for x in legends}, {x.title for x in legends}):
        assert len(values) == len(legends)
    cividis = DISPLAY.model_copy(update={"colour_map": "cividis"})
    maps = [build_legend(cividis, ViewState(quantity=quantity)).colour_map for quantity in Quantity]
    assert len(set(maps)) == len(maps)


def test_lines_wash_and_legend_are_of_one_table(imaged):
    for quantity in Quantity:
        screen = screen_of(imaged, quantity=quantity, selected=F2)
        for plane in screen.planes:
            assert tuple(i.level_gy for i in plane.isodoses) == screen.legend.levels_gy
        known = screen.planes[0].dose[np.isfinite(screen.planes[0].dose)]
        assert known.size > 100
        for level, lines in ((i.level_gy, i.lines) for i in screen.planes[0].isodoses):
            assert (len(lines.x_mm) > 0) is bool(known.min() < level < known.max())


def test_the_colours_of_an_increment_are_symmetrical_and_leave_out_no_change():
    legend = build_legend(DISPLAY, ViewState(quantity=Quantity.INCREMENT))
    table = theme.dose_table(legend)
    assert legend.minimum_gy == -legend.maximum_gy
    assert (table[:, 3] == table[::-1, 3]).all()
    assert (table[127:129, 3] == 0).all()
    assert (table[[0, -1], 3] > 200).all()
    assert level_words(legend, legend.levels_gy[-1]) == "+50"
    assert level_words(legend, legend.levels_gy[0]) == "−50"


def test_an_increment_is_never_shown_without_saying_so(imaged):
    for selected, said in ((None, "INCREMENT RHA F4 − F3"), (F2, "INCREMENT RHA F2 − F1")):
        screen = screen_of(imaged, selected=selected, quantity=Quantity.INCREMENT)
        assert [plane.caption for plane in screen.planes] == [said] * 3
    both = screen_of(imaged, selected=F2, quantity=Quantity.INCREMENT, compare=True).planes
    assert all("INCREMENT" in plane.caption for plane in both)


def test_the_increment_of_the_first_image_is_its_dose_and_says_so(imaged):
    gain = screen_of(imaged, selected=F1, quantity=Quantity.INCREMENT).planes[0]
    dose = screen_of(imaged, selected=F1).planes[0]
    assert np.array_equal(gain.dose, dose.dose, equal_nan=True)
    assert gain.caption == "INCREMENT RHA F1: first image, the dose itself"


def test_an_increment_that_is_not_known_is_not_replaced_by_the_dose(finished):
    plane = screen_of(finished, quantity=Quantity.INCREMENT).planes[0]
    if finished.results[-1].maps.increment is None:
        assert plane.dose is None
        assert plane.isodoses == ()
        assert plane.caption == "INCREMENT RHA F4 − F3: not known"


def test_a_lower_bound_has_no_standard_uncertainty(imaged):
    dose = screen_of(imaged).planes[0]
    error = screen_of(imaged, quantity=Quantity.UNCERTAINTY).planes[0]
    assert dose.lower_bound.sum() > 10
    assert np.isfinite(dose.dose[dose.lower_bound]).all()
    assert np.isnan(error.dose[dose.lower_bound]).all()
    assert "STANDARD UNCERTAINTY k = 1" in error.caption


def test_where_there_is_no_dose_the_reason_has_a_pattern(imaged):
    reason = np.array(imaged.results[-1].maps.dose.reason)
    reason[23, 60, 30:33] = (Reason.MOVED, Reason.POOR_FIT, Reason.NO_SIGNAL)
    reason[23, 2, 2] = Reason.NO_SIGNAL
    last = imaged.results[-1]
    last = replace(last, maps=replace(last.maps, dose=replace(last.maps.dose, reason=reason)))
    plane = screen_of(replace(imaged, results=(*imaged.results[:-1], last)), voxel=(23, 60, 30)).planes[0]
    assert plane.unevaluable[60, 30:33].all()
    assert np.isnan(plane.dose[60, 30:33]).all()
    assert not plane.unevaluable[2, 2], "outside the body there is never a signal"
    assert not (plane.unevaluable & plane.lower_bound).any()


def test_the_two_patterns_differ_without_colour():
    everywhere = np.ones((60, 60), dtype=bool)
    hatched, dotted = (pattern(everywhere)[..., 3] > 0 for pattern in (hatching, dotting))
    assert 0.1 < hatched.mean() < 0.5
    assert 0.1 < dotted.mean() < 0.5
    hatched_share, dotted_share = (
        {float(pattern[::-1].diagonal(k).mean()) for k in range(9)} for pattern in (hatched, dotted)
    )
    assert hatched_share == {0.0, 1.0}, "whole diagonals"
    assert all(0.0 < share < 0.6 for share in dotted_share), "and here none"


def test_the_wash_leaves_bare_what_has_no_dose(imaged):
    plane, legend = screen_of(imaged).planes[0], screen_of(imaged).legend
    whole = (slice(None), slice(None))
    washed = blended(plane, legend, theme.dose_table(legend), *whole)
    bare = blended(replace(plane, dose=None), legend, theme.dose_table(legend), *whole)
    under = ~(plane.dose >= legend.threshold_gy)
    # The table has 256 rows: half a row about its threshold.
    sure = under & ~(plane.dose >= legend.threshold_gy - legend.maximum_gy / 256)
    assert (washed[sure] == bare[sure]).all()
    assert (
        (washed[plane.dose > legend.threshold_gy + 1] != bare[plane.dose > legend.threshold_gy + 1]).any(axis=-1).all()
    )


def test_the_comparison_shows_the_same_slice_after_two_fractions(imaged):
    screen = screen_of(imaged, compare=True, voxel=(23, 50, 40))
    after, before = screen.planes
    assert after.title == before.title
    assert after.grey is not None
    assert np.array_equal(after.grey, before.grey)
    assert after.caption.startswith("after RHA F4")
    assert "after RHA F3" in before.caption
    assert "EARLIER" in before.caption
    alone = screen_of(imaged, selected=("RHA", 3), voxel=(23, 50, 40)).planes[0]
    assert np.array_equal(before.dose, alone.dose, equal_nan=True)


def test_beside_the_first_fraction_there_is_anatomy_alone_and_it_is_said(imaged):
    first, nothing = screen_of(imaged, compare=True, selected=F1).planes
    assert first.dose is not None
    assert nothing.dose is None
    assert nothing.isodoses == ()
    assert "nothing imaged before RHA F1" in nothing.caption


def test_the_flicker_shows_both_images_with_the_same_grey_and_no_dose(imaged):
    first = screen_of(imaged, flicker=Flicker.REFERENCE, volumes=False, voxel=(23, 50, 40)).planes
    second = screen_of(imaged, flicker=Flicker.FRACTION, volumes=False, voxel=(23, 50, 40)).planes
    assert len(first) == len(second) == 3
    for one, other in zip(first, second, strict=True):
        assert one.grey_levels == other.grey_levels
        assert one.geometry == other.geometry
        assert one.focus_mm == other.focus_mm
        assert one.dose is other.dose is None
        assert one.isodoses == other.isodoses == ()
        assert one.outlines, "the volumes are what a shift is seen against"
    assert not np.array_equal(first[0].grey, second[0].grey)
    assert first[0].caption == "REFERENCE"
    assert second[0].caption == "RHA F4 registered: 1.2 mm"


def test_a_failed_registration_is_said_in_the_flicker(imaged):
    failed = replace(imaged.results[-1], registration=Registration(status=RegistrationStatus.FAILED))
    changed = replace(imaged, results=(*imaged.results[:-1], failed))
    assert "REGISTRATION FAILED" in screen_of(changed, flicker=Flicker.FRACTION).planes[0].caption


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"imaged": ()}, "reference is not fitted"), ({"results": ()}, "no fraction"), ({}, "no registered series")],
    ids=["no series", "no result", "no fraction"],
)
def test_where_nothing_flickers_the_caption_says_why(imaged, changes, said):
    changed = replace(imaged, **({"imaged": imaged.imaged[:-1]} | changes))
    plane = screen_of(changed, flicker=Flicker.FRACTION, quantity=Quantity.INCREMENT).planes[0]
    assert plane.caption.startswith("NO FLICKER")
    assert said in plane.caption
    assert plane.dose is None or "INCREMENT" in plane.caption


def test_the_volumes_that_the_position_feeds_stand_out(imaged):
    own = SimpleNamespace(territory=None, volumes=("Tumour 1",))
    plan = SimpleNamespace(**(vars(imaged.plan) | {"positions": {"RHA": own}}))
    plane = screen_of(replace(imaged, plan=plan), voxel=(23, 50, 35)).planes[0]
    assert {o.name for o in plane.outlines if o.highlighted} == {"Tumour 1"}
    assert len(plane.outlines) > 1
    own.volumes = None
    plane = screen_of(replace(imaged, plan=plan), voxel=(23, 50, 35)).planes[0]
    assert all(o.highlighted for o in plane.outlines)


@pytest.mark.parametrize("view", EVERY_WAY, ids=str)
def test_whose_images_these_are_stands_in_every_way_of_looking(imaged, view):
    planes = screen_of(imaged, **view).planes
    assert all(("EM1-004" in plane.identity) is (plane.geometry.name == "axial") for plane in planes)
    assert "EM1-004" in planes[0].identity


def _pixels(plane: PlaneScreen, screen: Screen, **look: object) -> np.ndarray:
    picture = cut_picture(plane, screen.legend, Look(**({"width": 420, "height": 360, "scale": 1.0} | look)))
    image = picture.pixels.toImage()
    return np.array(image.constBits()).reshape(360, 420, 4)[..., 2::-1].astype(int)


@pytest.mark.parametrize("view", EVERY_WAY, ids=str)
def test_directions_stale_and_watermark_are_seen_in_every_way_of_looking(qapp, imaged, view):
    screen = screen_of(imaged, **view)
    plain = _pixels(screen.planes[0], screen)
    yellow = (np.abs(plain - (0xFF, 0xE2, 0x7A)) < 12).all(axis=-1)
    middle_rows, middle_columns = slice(160, 200), slice(190, 230)
    edges = (
        yellow[middle_rows, :32],
        yellow[middle_rows, -32:],
        yellow[:36, middle_columns],
        yellow[-36:, middle_columns],
    )
    assert all(edge.sum() > 15 for edge in edges)
    stale = _pixels(screen.planes[0], screen, stale=True)
    ground = QColor(theme.TONES["caution"])
    amber = (np.abs(stale - (ground.red(), ground.green(), ground.blue())) < 8).all(axis=-1)
    for strip in (amber[:9], amber[-9:], amber[:, :9], amber[:, -9:]):
        assert 0.3 < strip.mean() < 0.9
    inside = (slice(9, -9), slice(9, -9))
    assert (stale[inside] == plain[inside]).all(), "the rim covers nothing that is written"
    marked = _pixels(screen.planes[0], screen, watermark="REPLAY")
    assert ((marked != plain).any(axis=-1)[80:160]).mean() > 0.1


def test_letters_keep_free_of_what_lies_over_a_corner(qapp, imaged):
    screen = screen_of(imaged, flicker=Flicker.REFERENCE)
    plain, free = (_pixels(screen.planes[0], screen, covered=covered) for covered in (None, (0, 0, 200, 200)))
    ink = [(np.abs(p - (0xFF, 0xE2, 0x7A)) < 12).all(axis=-1) for p in (plain, free)]
    assert ink[0][:44, :230].any()
    assert not ink[1][:200, :200].any()
    assert abs(int(ink[1].sum()) - int(ink[0].sum())) < 10


@pytest.mark.parametrize("view", EVERY_WAY, ids=str)
def test_nothing_is_written_over_anything_else(qapp, imaged, view):
    screen = screen_of(imaged, **view)
    for plane, (width, height) in zip(screen.planes, ((585, 490), (359, 243), (359, 243)), strict=False):
        boxes = cut_picture(plane, screen.legend, Look(width=width, height=height, scale=1.0)).written
        assert len(boxes) > 5
        for number, box in enumerate(boxes):
            assert 0 <= box.left() < box.right() < width
            assert 0 <= box.top() < box.bottom() < height
            # Letters and names begin and end within their boxes: these may touch.
            inner = box.adjusted(2, 2, -2, -2)
            assert not any(inner.intersects(other.adjusted(2, 2, -2, -2)) for other in boxes[number + 1 :])


def test_a_place_is_found_again_under_its_pixel():
    where = placed((12.0, 30.0, 200.0, 100.0), 640, 480)
    point = where.at(77.0, 51.0)
    assert where.place_mm(point) == pytest.approx((77.0, 51.0))
    assert where.at(12.0, 80.0).x() == pytest.approx(0.0)
    assert where.at(112.0, 80.0).y() == pytest.approx(240.0)


@pytest.fixture(scope="module")
def panel(qapp, imaged):
    made = ImagePanel()
    made.resize(1060, 620)
    made.set_scale(1.0)
    made.draw(screen_of(imaged))
    made.show()
    QCoreApplication.processEvents()
    yield made
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_every_way_of_looking_has_a_button_for_a_gloved_finger(panel, imaged):
    asked: list[object] = []
    panel.asked.connect(asked.append)
    for button in panel.buttons:
        assert button.height() >= 44
        assert button.toolTip().endswith(f"Key {button.text()[0]}.")
        button.click()
    panel.asked.disconnect(asked.append)
    assert asked == [
        ToggleLayer(layer=Layer.WASH),
        ToggleLayer(layer=Layer.ISODOSE),
        ToggleLayer(layer=Layer.VOLUMES),
        ShowQuantity(quantity=Quantity.UNCERTAINTY),
        ShowQuantity(quantity=Quantity.INCREMENT),
        ToggleCompare(),
        ToggleFlicker(),
        ToggleProbe(),
    ]
    assert [b.isChecked() for b in panel.buttons] == [True] * 3 + [False] * 5, "the view decides, not the press"


def test_what_is_compared_is_equally_large(panel, imaged):
    panel.draw(screen_of(imaged, compare=True))
    one, other, third = panel.views
    assert abs(one.width() - other.width()) <= 1
    assert one.height() == other.height()
    assert third.isHidden()
    assert panel.buttons[5].isChecked()
    panel.draw(screen_of(imaged))
    assert one.width() > other.width()
    assert not third.isHidden()


def test_only_the_crosshair_is_drawn_anew_where_the_cut_is_the_same(panel, imaged):
    panel.draw(screen_of(imaged, voxel=(23, 50, 40)))
    QCoreApplication.processEvents()
    before = panel.views[0]._picture()
    panel.draw(screen_of(imaged, voxel=(23, 60, 50)))
    assert panel.views[0]._picture() is before
    written = before.written[0].center()
    place = panel.views[0]._placement().place_mm(QPointF(written))
    row, column = 60, 50
    panel.views[0].draw(panel.views[0].plane, screen_of(imaged).legend, crosshair_mm=place, watermark="", stale=False)
    shown, bare = (p.toImage() for p in (panel.views[0].grab(), before.pixels))
    assert shown.copy(before.written[0]) == bare.copy(before.written[0]), "no line strikes out what is written"
    assert shown != bare
    panel.draw(screen_of(imaged, voxel=(24, row, column)))
    assert panel.views[0]._picture() is not before


def test_the_cursor_is_told_at_most_once_for_each_painting(panel, imaged, qtbot):
    panel.draw(screen_of(imaged))
    QCoreApplication.processEvents()
    told: list[tuple[int, float, float]] = []
    panel.hovered.connect(lambda *place: told.append(place))
    view = panel.views[0]
    wanted = (90.0, 120.0)
    for x_mm in (70.0, 80.0, wanted[0]):
        point = QPointF(view.at(x_mm, wanted[1]))
        none = Qt.MouseButton.NoButton
        view.mouseMoveEvent(
            QMouseEvent(QEvent.Type.MouseMove, point, point, none, none, Qt.KeyboardModifier.NoModifier)
        )
    assert told == []
    qtbot.waitUntil(lambda: told != [], timeout=2000)
    QCoreApplication.processEvents()
    assert told == [(0, pytest.approx(wanted[0]), pytest.approx(wanted[1]))]
    view.leaveEvent(QEvent(QEvent.Type.Leave))
    assert told[-1][0] == NO_PLANE
    panel.hovered.disconnect()


def test_every_key_is_one_frame_that_is_timed(qtbot, imaged):
    dashboard = Dashboard(mode=Mode.LIVE, clock=lambda: START, on_operator_action=lambda _action: None)
    qtbot.addWidget(dashboard.window)
    dashboard.receive(imaged)
    dashboard.window.show()
    before = dashboard.window.screen_drawn.voxel[0]
    taken = measured_frames(dashboard, (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_2))
    assert len(taken) == 3
    assert all(0.0 < milliseconds < 60_000.0 for milliseconds in taken)
    assert dashboard.window.screen_drawn.voxel[0] == before + 2
    assert "after RHA F2" in dashboard.window.images.badge.text()


def test_under_a_resting_cursor_the_new_cut_is_told(panel, imaged, qtbot):
    """The wheel moves the cut, not the cursor: what stands under it is another voxel."""
    panel.draw(screen_of(imaged))
    QCoreApplication.processEvents()
    view = panel.views[0]
    point = QPointF(view.at(90.0, 120.0))
    none = Qt.MouseButton.NoButton
    view.mouseMoveEvent(QMouseEvent(QEvent.Type.MouseMove, point, point, none, none, Qt.KeyboardModifier.NoModifier))
    told: list[tuple[int, float, float]] = []
    panel.hovered.connect(lambda *place: told.append(place))
    qtbot.waitUntil(lambda: len(told) == 1, timeout=2000)
    voxel = screen_of(imaged).voxel
    panel.draw(screen_of(imaged, voxel=(voxel[0] + 1, *voxel[1:])))
    qtbot.waitUntil(lambda: len(told) == 2, timeout=2000)
    assert told[1] == (0, pytest.approx(90.0), pytest.approx(120.0))
    view.leaveEvent(QEvent(QEvent.Type.Leave))
    panel.draw(screen_of(imaged, voxel=voxel))
    QCoreApplication.processEvents()
    assert told[-1][0] == NO_PLANE
    panel.hovered.disconnect()


def test_loops_of_noise_are_not_drawn_as_isodose_lines_and_a_hot_spot_is():
    """A dose that scatters about a level has a hundred small loops; an island of 20 mm has one."""
    geometry = next(g for g in plane_geometries(treatments.axial_grid()) if g.name == "axial")
    rows, columns = np.indices((geometry.size[1], geometry.size[0]))
    noise = np.random.default_rng(3).normal(0.0, 4.0, rows.shape)
    island = np.where(np.hypot((rows - 40) * 3.0, (columns - 60) * 3.0) < 10.0, 100.0, 0.0)
    (near, far) = isodose_lines((19.0 + noise + island).astype(np.float32), geometry, (32.0, 80.0))
    for line in (near, far):
        ends = np.flatnonzero(~line.lines.connect) + 1
        assert len(ends) == 1, "the island alone"
        assert np.hypot(line.lines.x_mm.mean() - 181.5, line.lines.y_mm.mean() - 121.5) < 3.0
