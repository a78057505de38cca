"""Every number of every table can be asked for its unit, its meaning and its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import treatments
from treatments import START

from console.dashboard.screen.build import build_screen
from console.dashboard.screen.model import Cell, Screen, Table
from console.dashboard.screen.view import ViewState
from console.snapshot import Mode, Snapshot

NOW = START + timedelta(minutes=58, seconds=10)
UNIT = re.compile(
    r"\b(Gy|MBq|mL|mm|mg|ms|s⁻¹|time of day|images|slices|echoes|volumes|key|name|number)\b|%", re.IGNORECASE
)
SOURCE = re.compile(
    r"setting|plan\b|physics\.md|recorded|operator|DICOM|series|record|EMERITUS|computed|alarm|console", re.IGNORECASE
)
TABLES = ("fractions", "ledger", "limits", "series", "volumes", "alarms", "events")


def numbers(table: Table) -> Iterator[Cell]:
    """The cells that show a digit."""
    return (cell for row in table.rows for cell in row.cells if re.search(r"\d", cell.text))


def screen_of(snapshot: Snapshot) -> Screen:
    return build_screen(snapshot, ViewState(), now=NOW, mode=Mode.LIVE)


@pytest.fixture(scope="module")
def screens(words) -> tuple[Screen, ...]:
    arriving = treatments.treatment(2, given=3, arriving=214, images=False)
    given = replace(arriving.injections[0], provisional_reason="residual not measured; a loss of 8.6 % is assumed")
    return (
        screen_of(words),
        screen_of(replace(arriving, injections=(given, *arriving.injections[1:]))),
        screen_of(treatments.treatment(0, images=False)),
    )


@pytest.mark.parametrize("name", TABLES)
def test_every_number_of_a_table_tells_its_unit_or_what_it_counts(screens, name):
    lacking = {
        cell.text for screen in screens for cell in numbers(getattr(screen, name)) if not UNIT.search(cell.tooltip)
    }
    assert not lacking


@pytest.mark.parametrize("name", TABLES)
def test_every_number_of_a_table_tells_its_source(screens, name):
    lacking = {
        cell.text for screen in screens for cell in numbers(getattr(screen, name)) if not SOURCE.search(cell.tooltip)
    }
    assert not lacking


def test_every_finding_of_the_trend_tells_unit_and_source(screens):
    for screen in screens:
        for cell in screen.trend.findings:
            assert UNIT.search(cell.tooltip)
            assert SOURCE.search(cell.tooltip)


def test_the_full_screen_has_numbers_to_ask_for(screens):
    assert all(any(numbers(getattr(screens[0], name))) for name in TABLES)
