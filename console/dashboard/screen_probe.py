"""What lies under the cursor: place, dose, R2*, the reason where there is none, and the echoes with their fit."""

from __future__ import annotations

from console.dashboard.screen_images import probe_words
from console.dashboard.screen_model import Probe
from console.dashboard.view import ViewState
from console.snapshot import Snapshot
from quantify.findings import FractionResult


def build_probe(snapshot: Snapshot, view: ViewState, result: FractionResult | None) -> Probe:
    """The probe at the hovered voxel, else at the crosshair."""
    return Probe(words=probe_words(snapshot, view, result))
