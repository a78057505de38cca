"""The numbers for three metres: which, in what words, how large on the glass, and reachable by keyboard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import treatments
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QFontMetricsF, QImage, QKeyEvent
from PySide6.QtWidgets import QApplication, QToolTip, QWidget

from console.dashboard.panels import theme
from console.dashboard.panels.glance_painting import flow
from console.dashboard.panels.glance_panel import GlancePanel
from console.dashboard.screen.glance import build_glance
from console.dashboard.screen.ledger import ledger_table
from console.dashboard.screen.model import Cell, NextScreen, Tone
from console.dashboard.screen.next import build_next
from quantify.budget import BudgetTerm
from quantify.findings import FractionStatus, VolumeStatus
from quantify.model import Role
from quantify.projection import Projection

# Window, size of the panel in the column and alone, pixels per millimetre on the glass.
FULL_HD_24 = ((1920, 1080), (442, 589), (1874, 883), 3.61)
LOW_24 = ((1920, 1080), (442, 520), (1874, 883), 3.61)
UHD_27 = ((3840, 2160), (906, 1252), (3794, 1836), 6.4)
LAPTOP_15 = ((1366, 768), (308, 394), (1320, 604), 3.96)
WALL_55 = ((3840, 2160), (906, 1252), (3794, 1836), 3.15)
SCREENS = pytest.mark.parametrize(
    "screen", [FULL_HD_24, UHD_27, LAPTOP_15, WALL_55], ids=["24 full HD", "27 4K", "15.6 laptop", "55 4K wall"]
)
FOLLOWING = NextScreen(
    title="NEXT RHA F3 · 30 % · 390 MBq planned",
    numbers=tuple(Cell(text=t) for t in ("Tumour 1 88 ± 9 Gy", "Tumour 2 75 ± 8 Gy", "Healthy liver 22 ± 4 Gy")),
)


@pytest.fixture
def panel(qtbot):
    made = GlancePanel()
    qtbot.addWidget(made)
    return made


def fitted(panel, screen, *, alone=False):
    """The panel as the window makes it on that screen."""
    window, column, whole, pixels_per_mm = screen
    panel.set_scale(min(window[0] / 1920, window[1] / 1080))
    panel.alone = alone
    panel.resize(*(whole if alone else column))
    panel.set_pixels_per_mm(pixels_per_mm)
    return panel


def glance_of(snapshot):
    return build_glance(snapshot, snapshot.results[-1])


def with_tumours(snapshot, flagged=(), count=8):
    last = snapshot.results[-1]
    names = [f"Tumour {k}" for k in range(1, count + 1)]
    tumours = {name: treatments.statistics(name, Role.TUMOUR, 60.0 + k, 6.0, 10.0) for k, name in enumerate(names)}
    point = last.trend["Tumour 2"]
    trend = {name: replace(point, volume=name, flagged=name in flagged) for name in names}
    volumes = tumours | {name: own for name, own in last.volumes.items() if own.role is not Role.TUMOUR}
    return replace(snapshot, results=(*snapshot.results[:-1], replace(last, volumes=volumes, trend=trend)))


def with_volume(snapshot, name, **changes):
    last = snapshot.results[-1]
    volumes = last.volumes | {name: replace(last.volumes[name], **changes)}
    return replace(snapshot, results=(*snapshot.results[:-1], replace(last, volumes=volumes)))


def test_there_are_six_numbers_at_most_and_what_is_left_out_is_named(words):
    numbers = glance_of(with_tumours(words))
    assert [n.label for n in numbers] == [
        "Tumour 1",
        "Tumour 2",
        "Tumour 3",
        "Healthy liver",
        "Recovery",
        "Registration",
    ]
    assert [name for n in numbers for name in n.left_out] == [f"Tumour {k}" for k in (4, 5, 6, 7, 8)]


def test_flagged_tumours_come_before_others_and_the_order_stays_the_plan_s(words):
    numbers = glance_of(with_tumours(words, flagged=("Tumour 7", "Tumour 2")))
    assert [n.label for n in numbers[:3]] == ["Tumour 1", "Tumour 2", "Tumour 7"]
    assert [n.expendable for n in numbers[:4]] == [1, 0, 0, 0]


def test_a_number_keeps_its_place_from_fraction_to_fraction(words):
    labels = [[n.label for n in build_glance(words, result)] for result in words.results]
    assert all(own == labels[0] for own in labels)


def test_under_the_dose_stand_d70_and_coverage_rounded_like_the_mean(words):
    number = glance_of(with_volume(words, "Tumour 1", d70_gy=94.41, coverage=0.834))[0]
    assert number.small == "D70 94 Gy · cov 83 %"


def test_what_is_derived_of_a_lower_bound_is_a_lower_bound(words):
    number = glance_of(with_volume(words, "Tumour 1", status=VolumeStatus.LOWER_BOUND, coverage=0.834))[0]
    assert number.value.startswith("≥")
    assert number.small.count("≥") == 2


def test_no_derived_dose_is_shown_beside_a_mean_without_uncertainty(words):
    number = glance_of(with_volume(words, "Tumour 1", dose_mean_u_gy=None))[0]
    assert (number.value, number.small) == ("—", "")


def test_the_tooltip_tells_unit_fraction_interval_terms_and_source(words):
    terms = tuple(
        BudgetTerm(name=name, u_gy=u, share_of_variance_pct=share, correlated_with="nothing")
        for name, u, share in (
            ("noise", 0.1, 0.0),
            ("relaxivity", 5.9, 36.0),
            ("contour", 7.3, 55.0),
            ("energy", 1.5, 2.0),
        )
    )
    told = glance_of(with_volume(words, "Tumour 1", budget=terms))[0].tooltip
    for part in (
        "Gy",
        "cumulative",
        "RHA F4",
        "k = 1",
        "95 % interval",
        "settings 1a2b3c4d",
        "physics.md",
        "90 Gy or more",
    ):
        assert part in told
    assert told.index("contour 7 Gy (55 %)") < told.index("relaxivity 6 Gy (36 %)") < told.index("energy 1.5 Gy (2 %)")
    assert "noise" not in told
    assert all(n.tooltip and "source: " in n.tooltip for n in glance_of(words))


def test_an_alarm_of_another_fraction_does_not_mark_this_one_s_recovery(words):
    first = words.alarms[0]
    alarm = replace(first.alarm, kind="recovery", volume=None)
    snapshot = replace(words, alarms=(replace(first, alarm=alarm),))
    tones = [build_glance(snapshot, result)[-2].state.tone for result in snapshot.results]
    assert tones == [Tone.NORMAL, Tone.NORMAL, Tone.NORMAL, Tone.CAUTION]


@SCREENS
def test_alone_all_six_numbers_are_read_at_three_metres(panel, words, screen):
    panel.draw(glance_of(words), FOLLOWING)
    fitted(panel, screen, alone=True)
    assert len(panel.shown) == 6
    assert panel.capital_mm >= 17.5
    assert panel.readable_from_m >= 3.0
    assert panel.remark == ""


@pytest.mark.parametrize("screen", [FULL_HD_24, UHD_27, WALL_55], ids=["24 full HD", "27 4K", "55 4K wall"])
def test_in_the_column_too_where_the_screen_allows_it(panel, words, screen):
    panel.draw(glance_of(words), FOLLOWING)
    fitted(panel, screen)
    assert len(panel.shown) == 6
    assert panel.capital_mm >= 17.5


def test_where_the_screen_does_not_allow_it_the_truth_is_said_and_nothing_is_dropped_for_nothing(panel, words):
    panel.draw(glance_of(words), FOLLOWING)
    fitted(panel, LAPTOP_15)
    assert panel.capital_mm < 17.5
    assert len(panel.shown) == 6
    assert panel.readable_from_m == pytest.approx(3.0 * panel.capital_mm / 17.5, abs=0.1)
    assert panel.readable_from_m <= 3.0 * panel.capital_mm / 17.5
    assert panel.remark == (
        f"capitals {int(panel.capital_mm)} mm: read from {panel.readable_from_m:.1f} m · F11: larger"
    )


def test_the_least_urgent_numbers_give_way_and_that_is_said(panel, words):
    panel.draw(glance_of(with_tumours(words, flagged=("Tumour 3",), count=3)), FOLLOWING)
    fitted(panel, LOW_24)
    labels = [n.label for n in panel.shown]
    assert panel.capital_mm >= 17.5
    assert labels == ["Tumour 1", "Tumour 3", "Healthy liver", "Recovery", "Registration"]
    assert panel.remark == "+ 1 in VOLUMES · F11: larger"


def test_numbers_that_something_is_wrong_with_never_give_way(panel, words):
    panel.draw(glance_of(with_tumours(words, flagged=("Tumour 1", "Tumour 2", "Tumour 3"), count=3)), FOLLOWING)
    fitted(panel, LOW_24)
    assert len(panel.shown) == 6
    assert "read from" in panel.remark


def test_what_is_painted_is_as_high_as_is_said(panel, words):
    """The 88 of tumour 2 is the only large thing in its colour: its rows of pixels are the capital."""
    panel.draw(glance_of(words))
    fitted(panel, FULL_HD_24)
    place = next(p for p in panel._layout_now().places if p.number.label == "Tumour 2")
    image = panel.grab().toImage()
    ink = theme.colour(Tone.CAUTION).rgb()
    head = int(place.box.top() + 1.3 * 20) + 1
    rows = [
        y for y in range(head, int(place.box.bottom())) if any(image.pixel(x, y) == ink for x in range(0, 120))
    ]  # fmt: skip
    assert rows[-1] - rows[0] + 1 == pytest.approx(panel.capital_pixels, abs=3)
    assert panel.capital_pixels == QFontMetricsF(theme.font(place.letters, bold=True)).capHeight()


def pixels_of(panel):
    image = panel.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.width(), 4).astype(int)


def test_going_back_to_a_fraction_paints_what_a_fresh_panel_paints(qtbot, panel, words):
    fitted(panel, FULL_HD_24)
    numbers = [build_glance(words, result) for result in words.results]
    pictures = []
    for shown in (numbers[3], numbers[1], numbers[3]):
        panel.draw(shown)
        pictures.append(pixels_of(panel))
    fresh = GlancePanel()
    qtbot.addWidget(fresh)
    fresh.draw(numbers[3])
    # The edge of a letter is smoothed a little differently the first time that it is painted.
    assert abs(pictures[2] - pixels_of(fitted(fresh, FULL_HD_24))).max() < 30
    assert abs(pictures[2] - pictures[1]).max() > 100
    panel.set_pixels_per_mm(9.0)
    assert abs(pictures[2] - pixels_of(panel)).max() > 100


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -3.0, 300.0])
def test_a_screen_that_does_not_know_its_size_makes_no_claim(panel, words, value):
    panel.draw(glance_of(words))
    fitted(panel, FULL_HD_24)
    panel.set_pixels_per_mm(value)
    assert panel.capital_mm is panel.readable_from_m is None
    assert "display.screen_height_mm" in panel.remark


def test_a_failed_fraction_says_why_and_leaves_the_earlier_numbers_readable(panel, words):
    last = words.results[-1]
    failed = replace(last, status=FractionStatus.FAILED, error="edges 6 mm apart", maps=None, volumes={}, trend={})
    snapshot = replace(words, results=(*words.results[:-1], failed))
    panel.draw(build_glance(snapshot, failed, last_good=words.results[-2]))
    fitted(panel, FULL_HD_24)
    assert panel.shown[0].sentence
    assert panel.capital_mm >= 17.5
    panel.draw(build_glance(snapshot, failed))
    assert panel.capital_mm is None
    assert panel.remark == ""
    panel.grab()


def press(panel, key):
    event = QKeyEvent(QEvent.Type.KeyPress, key, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(panel, event)
    return event.isAccepted()


def test_every_tooltip_is_reached_by_keyboard_and_escape_gives_the_focus_back(qtbot, words):
    window = QWidget()
    window.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    qtbot.addWidget(window)
    panel = GlancePanel()
    panel.setParent(window)
    window.resize(500, 620)
    window.show()
    window.activateWindow()
    QCoreApplication.processEvents()
    panel.draw(glance_of(words), FOLLOWING)
    fitted(panel, FULL_HD_24)
    panel.setFocus(Qt.FocusReason.TabFocusReason)
    QCoreApplication.processEvents()
    told = [panel.focused]
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right) * 3:
        press(panel, key)
        told.append(panel.focused)
    for number, text in zip(panel.shown, told, strict=False):
        assert number.tooltip in text
    assert told[-1].startswith("NEXT RHA F3")
    assert QToolTip.text() != ""
    press(panel, Qt.Key.Key_Up)
    assert panel.focused == told[-2]
    assert not press(panel, Qt.Key.Key_D)
    panel.grab()
    press(panel, Qt.Key.Key_Escape)
    assert window.hasFocus()
    assert panel.focused == ""


def test_names_are_never_markup(panel, words):
    odd = treatments.statistics("<b>X</b>", Role.TUMOUR, 60.0, 6.0, 10.0)
    last = words.results[-1]
    snapshot = replace(words, results=(replace(last, volumes={"<b>X</b>": odd}),))
    panel.draw(glance_of(snapshot))
    fitted(panel, FULL_HD_24)
    panel.show()
    panel._tell()
    assert "&lt;b&gt;X" in QToolTip.text()
    QToolTip.hideText()


def test_without_volumes_the_place_of_the_doses_says_so(panel, words):
    numbers = glance_of(replace(words, results=(replace(words.results[-1], volumes={}, trend={}),)))
    assert [n.label for n in numbers] == ["— RHA F4", "Recovery", "Registration"]
    assert (numbers[0].value, numbers[0].note) == ("NO DOSES", "no volumes of interest")
    panel.draw(numbers)
    fitted(panel, FULL_HD_24)
    assert len(panel.shown) == 3
    assert panel.capital_mm is None
    panel.grab()


@pytest.mark.parametrize("count", [0, 1, 2, 4, 9])
@pytest.mark.parametrize("width", [308, 442, 1874])
def test_the_next_fraction_takes_three_lines_at_most_and_counts_what_has_no_room(qapp, count, width):
    cells = tuple(Cell(text=f"Tumour {k} 1{k} ± 2 Gy (limit 55)") for k in range(count))
    lines = flow(NextScreen(title="NEXT", numbers=cells), width, 18.0, 3)
    assert len(lines) <= 4
    texts = [word for line in lines[1:] for word, _, _ in line]
    told, _, more = " ".join(texts).partition("+ ")
    whole = sum(cell.text in told for cell in cells)
    assert whole + int(more.split()[0] if more else 0) >= count
    assert all(line and "·" not in (line[0][0], line[-1][0]) for line in lines[1:])


def test_what_is_over_a_limit_is_the_first_thing_told_of_the_next_fraction(words):
    over = Projection(dose_gy=48.0, low_95_gy=34.0, high_95_gy=62.0, method="line")
    last = replace(words.results[1], projection=words.results[1].projection | {"Healthy liver": over})
    snapshot = replace(words, results=(words.results[0], last), injections=treatments.injections(2))
    lines = flow(build_next(snapshot, last), 308, 13.0, 1)
    assert lines[1][0][0] == "▲"


def test_of_a_lower_bound_in_the_liver_the_recovery_is_one_too(words):
    """What is measured is then the least there is: it has no ±, at a glance and in the ledger."""
    snapshot = with_volume(words, "Liver", status=VolumeStatus.LOWER_BOUND)
    number = next(n for n in glance_of(snapshot) if n.label == "Recovery")
    assert (number.value, number.detail) == ("≥\u202f104", "%")
    assert "lower bound" in number.tooltip
    assert "k = 1" not in number.tooltip
    row = next(r for r in ledger_table(snapshot, snapshot.results[-1]).rows if r.cells[0].text == "MRI RHA F4")
    assert row.cells[1].text.replace("\u202f", " ") == "≥ 1 340 MBq · ≥ 104 %"
