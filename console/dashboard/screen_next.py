"""What the next planned fraction would give, should uptake go on as it has."""

from __future__ import annotations

from console.dashboard.screen_model import NextScreen
from console.snapshot import Snapshot
from quantify.findings import FractionResult


def build_next(snapshot: Snapshot, shown: FractionResult | None) -> NextScreen | None:
    """The projection of the shown fraction's position; None where there is none."""
    return None
