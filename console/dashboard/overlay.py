"""The overlay that ``?`` shows: the keys, what the signs mean, and what this software is."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from console.dashboard.screen_model import DISCLAIMER

KEYS = (
    ("wheel, ↑ ↓", "next slice (axial: up is towards the head)"),
    ("PageUp, PageDown", "five slices"),
    ("← →", "next sagittal cut"),
    ("click, drag", "put the crosshair there"),
    ("1 … 9, 0", "show that fraction, the latest"),
    ("D  I  V", "dose wash, isodose lines, volumes on and off"),
    ("A", "acknowledge the alarms (acknowledging is not clearing)"),
    ("S", "take a snapshot"),
    ("F11", "numbers only, for reading at three metres"),
    ("?, Esc", "this page on and off"),
)


def help_words() -> str:
    """Return the overlay's content as rich text."""
    rows = "".join(f"<tr><td style='padding-right:28px'><b>{key}</b></td><td>{words}</td></tr>" for key, words in KEYS)
    signs = "✓ done or in order &nbsp; ● in progress &nbsp; ○ to come &nbsp; ! attention &nbsp; ✕ failed &nbsp; ▨ stale"
    return (
        f"<h2>Holmia</h2><table cellspacing='5'>{rows}</table><p>{signs}</p>"
        f"<p>± is one standard uncertainty (k = 1); ≥ is a lower bound; — is not evaluable.</p>"
        f"<p><b>{DISCLAIMER}</b></p>"
    )


class HelpOverlay(QLabel):
    """Lies over the window's middle until ``?`` or Esc."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("overlay")
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setText(help_words())
        self.hide()

    def toggle(self) -> None:
        """Show or hide."""
        self.setVisible(self.isHidden())
        if not self.isHidden():
            self.place()
            self.raise_()

    def place(self) -> None:
        """Lie in the middle of the window."""
        room = self.window().rect()
        width = int(room.width() * 0.56)
        height = min(self.heightForWidth(width) + 10, int(room.height() * 0.96))
        self.setGeometry((room.width() - width) // 2, (room.height() - height) // 2, width, height)
