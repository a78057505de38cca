"""The dashboard: a pure model of the screen, and a Qt window that only draws it."""
