"""Laws of the picture itself, measured in the pixels of the real window: contrast, shapes without colour, heights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path

import pytest
import treatments
from pictures import (
    Grey,
    cells,
    contrast,
    crop,
    difference,
    digit_height,
    numbers,
    on_window,
    picture,
    texts,
    words_of,
)
from PySide6.QtCore import QCoreApplication

from console.dashboard.app import Dashboard, render_png
from console.dashboard.panels.table_panel import TableView
from console.dashboard.screen.model import Screen
from console.dashboard.window import DashboardWindow
from console.snapshot import Mode, RaisedAlarm, Snapshot
from quantify.findings import Alarm, FractionStatus, Priority, VolumeStatistics

FULL_HD, LAPTOP = (1920, 1080), (1366, 768)
CONTRAST = 4.5
"""WCAG 2.2, 1.4.3, of text of any size."""
DIFFERENT = 0.1
"""Share of the inked pixels that two states must not have in common."""
CAPITAL_MM, PIXELS_PER_MM = 17.5, 3.61
"""20 arc minutes at three metres; a 24 inch screen of 1920 columns."""
NOW = treatments.START + timedelta(minutes=58)


@dataclass(frozen=True, kw_only=True)
class Pictured:
    """The window in one state, as pixels, with what was drawn and where."""

    screen: Screen
    pixels: Grey
    written: tuple[tuple[str, Grey], ...]
    signs: dict[str, dict[str, Grey]]
    """By table and text of the cell: how its first cells look."""
    badge: Grey
    left_out: dict[str, int]
    digits_px: dict[str, int]


def _alarm(priority: Priority, **changes: object) -> RaisedAlarm:
    alarm = Alarm(
        id=priority.value,
        priority=priority,
        kind="limit",
        text=f"an alarm of {priority.value} priority",
        raised_at=treatments.START + timedelta(minutes=55),
    )
    return RaisedAlarm(alarm=alarm, **changes)  # type: ignore[arg-type]


def _with_liver(snapshot: Snapshot, dose_gy: float) -> Snapshot:
    """The latest result with another dose in the healthy liver."""
    last = snapshot.results[-1]
    liver: VolumeStatistics = replace(last.volumes["Healthy liver"], dose_mean_gy=dose_gy)
    volumes = {**last.volumes, "Healthy liver": liver}
    return replace(snapshot, results=(*snapshot.results[:-1], replace(last, volumes=volumes)))


def _failed(snapshot: Snapshot) -> Snapshot:
    """The first fraction, and it has no dose."""
    first = replace(
        snapshot.results[0],
        status=FractionStatus.FAILED,
        error="registration failed: similarity 0.31 is below 0.80",
        maps=None,
        volumes={},
        trend={},
    )
    return replace(snapshot, results=(first,), injections=treatments.injections(1))


def _restored(snapshot: Snapshot) -> Snapshot:
    """What a window that was started again shows at first: the numbers of the record, no maps."""
    return replace(
        snapshot,
        results=tuple(replace(result, maps=None) for result in snapshot.results),
        reference=None,
        anatomy=None,
        restored="results as recorded before the restart, computing 2 of 4",
    )


def _states(finished: Snapshot, between: Snapshot) -> dict[str, tuple[Snapshot, Mode]]:
    provisional = replace(finished.results[-1], status=FractionStatus.PROVISIONAL, provisional_reasons=("vial",))
    graded = tuple(_alarm(priority) for priority in (Priority.HIGH, Priority.MEDIUM, Priority.LOW))
    return {
        "finished": (finished, Mode.LIVE),
        "stale": (between, Mode.LIVE),
        "failed": (_failed(finished), Mode.LIVE),
        "provisional": (replace(finished, results=(*finished.results[:-1], provisional)), Mode.LIVE),
        "restored": (_restored(finished), Mode.LIVE),
        "alarms": (replace(_with_liver(finished, 61.0), alarms=graded), Mode.LIVE),
        "nothing": (Snapshot(), Mode.LIVE),
        "demo": (finished, Mode.DEMO),
    }


@pytest.fixture(scope="module")
def pictures(qapp, finished, between, tmp_path_factory) -> dict[tuple[str, tuple[int, int]], Pictured]:
    """Every state at both sizes, drawn once: one window for each mode."""
    path = tmp_path_factory.mktemp("pictures") / "window.png"
    made: dict[tuple[str, tuple[int, int]], Pictured] = {}
    states = _states(finished, between)
    for mode in (Mode.LIVE, Mode.DEMO):
        dashboard = Dashboard(mode=mode, clock=lambda: NOW, on_operator_action=lambda _: None)
        for size in (FULL_HD, LAPTOP):
            for name, (snapshot, of) in states.items():
                if of is mode:
                    dashboard.receive(snapshot)
                    made[name, size] = _pictured(dashboard, path, size)
        dashboard.stop()
        dashboard.window.close()
        dashboard.window.deleteLater()
    return made


def _pictured(dashboard: Dashboard, path: Path, size: tuple[int, int]) -> Pictured:
    window = dashboard.window
    window.resize(*size)
    window.show()
    QCoreApplication.processEvents()
    window.glance.set_pixels_per_mm(PIXELS_PER_MM)
    render_png(window, path, size)
    pixels = picture(path)
    tables = {name: view for name, view in vars(window).items() if isinstance(view, TableView)}
    assert window.screen_drawn is not None
    return Pictured(
        screen=window.screen_drawn,
        pixels=pixels,
        written=tuple(texts(window, pixels)),
        signs={name: signs_of(window, view, pixels) for name, view in tables.items()},
        badge=crop(pixels, on_window(window, window.images.badge, window.images.badge.rect())),
        left_out={name: view._fit().left_out for name, view in tables.items() if not view._style.log},
        digits_px={name: digit_height(crop(pixels, box)) for name, box in numbers(window)},
    )


def signs_of(window: DashboardWindow, view: TableView, pixels: Grey) -> dict[str, Grey]:
    """How the cells of a table look, by their text."""
    return {text: crop(pixels, box) for _, _, text, box in cells(window, view)}


@pytest.mark.parametrize("size", [FULL_HD, LAPTOP], ids=["full HD", "laptop"])
def test_every_word_stands_out_from_its_ground_by_4_5_to_1(pictures, size):
    faint = {
        f"{state}: {name}: {ratio:.1f}"
        for (state, of), pictured in pictures.items()
        if of == size
        for name, part in pictured.written
        if (ratio := contrast(part)) < CONTRAST
    }
    assert not faint, "\n".join(sorted(faint))


@pytest.mark.parametrize("size", [FULL_HD, LAPTOP], ids=["full HD", "laptop"])
def test_the_badge_of_every_state_has_a_shape_of_its_own(pictures, size):
    badges = {name: pictures[name, size].badge for name in ("finished", "stale", "failed", "provisional", "restored")}
    for one, other in combinations(badges, 2):
        assert difference(badges[one], badges[other]) >= DIFFERENT, f"{one} looks like {other} without colour"


@pytest.mark.parametrize("size", [FULL_HD, LAPTOP], ids=["full HD", "laptop"])
def test_priorities_of_alarms_are_told_apart_without_colour(pictures, size):
    signs = pictures["alarms", size].signs["alarms"]
    found = {word: part for text, part in signs.items() for word in ("HIGH", "MEDIUM", "LOW") if word in text}
    assert len(found) == 3
    for one, other in combinations(found, 2):
        assert difference(found[one], found[other]) >= DIFFERENT, f"{one} looks like {other} without colour"


@pytest.mark.parametrize("size", [FULL_HD, LAPTOP], ids=["full HD", "laptop"])
def test_states_of_fractions_are_told_apart_without_colour(pictures, size):
    signs = {
        text[0]: part
        for state in ("finished", "stale", "failed")
        for text, part in pictures[state, size].signs["fractions"].items()
        if text[0] in "✓●○!✕" and " F" in f" {text}"
    }
    assert {"✓", "●", "○", "✕"} <= signs.keys(), sorted(signs)
    for one, other in combinations(signs, 2):
        # The sign alone: what stands left of the first gap.
        first, second = (next(words_of(signs[sign])) for sign in (one, other))
        assert difference(first, second) >= DIFFERENT, f"{one} looks like {other} without colour"


def test_under_and_over_the_limit_are_told_apart_without_colour(pictures):
    under, over = (
        {text: part for text, part in pictures[state, FULL_HD].signs["limits"].items() if text[0] in "✓▲!"}
        for state in ("finished", "alarms")
    )
    assert under
    assert over
    assert difference(next(iter(under.values())), next(iter(over.values()))) >= DIFFERENT


def test_what_is_not_live_is_told_apart_from_what_is_without_colour(pictures):
    assert difference(pictures["finished", FULL_HD].badge, pictures["finished", FULL_HD].badge) == 0.0
    live, demo = (pictures[name, FULL_HD] for name in ("finished", "demo"))
    words = [[part for name, part in pictured.written if " mode " in name] for pictured in (live, demo)]
    assert difference(words[0][0], words[1][0]) >= DIFFERENT


def test_digits_are_as_high_as_three_metres_ask_for(pictures):
    """Measured in the picture, on a 24 inch screen: 17.5 mm are 20 arc minutes at three metres."""
    for state in ("finished", "stale", "alarms"):
        heights = pictures[state, FULL_HD].digits_px
        assert heights
        for name, pixels in heights.items():
            assert pixels / PIXELS_PER_MM >= CAPITAL_MM, f"{state}: {name}: {pixels / PIXELS_PER_MM:.1f} mm"


def test_no_table_leaves_a_row_out_at_full_hd(pictures):
    for state in ("finished", "stale", "failed", "restored", "alarms", "demo"):
        left_out = {name: number for name, number in pictures[state, FULL_HD].left_out.items() if number}
        assert not left_out, f"{state}: {left_out}"
