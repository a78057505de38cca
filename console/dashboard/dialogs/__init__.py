"""Dialogs in which somebody types or draws: they show what `console.dashboard.desk` decides, and hand on operations."""
