"""Joins the commands of `console.cli` and `console.demo`, which do not know each other."""

from __future__ import annotations

from console.cli import app
from console.demo.commands import app as demo_app

app.registered_commands += demo_app.registered_commands

__all__ = ["app"]
