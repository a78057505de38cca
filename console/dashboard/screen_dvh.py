"""Cumulative dose–volume histograms after the shown fraction."""

from __future__ import annotations

from console.dashboard.screen_model import DvhScreen
from console.snapshot import Snapshot
from quantify.findings import FractionResult


def build_dvh(snapshot: Snapshot, shown: FractionResult | None) -> DvhScreen:
    """The histograms of the plotted volumes, with limits and the dose that coverage is told at as marks."""
    return DvhScreen(title="DVH", x_maximum_gy=100.0, curves=(), marks_gy=(), message="no fraction has a result yet")
