"""The probe: numbers under the cursor and the echo decay with its fit, in a corner of the axial cut."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QWidget

from console.dashboard.screen_model import Probe


class ProbePanel(QFrame):
    """Lies over a corner of the images while the probe is open."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.hide()

    def set_scale(self, scale: float) -> None:
        """Scale from 1920 × 1080."""

    def draw(self, probe: Probe, *, shown: bool) -> None:
        """Show the probe, or hide."""
        self.setVisible(shown)
