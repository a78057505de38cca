"""All commands, in the order of the help: those of `console.cli` and of `console.demo`, which know not each other."""

from __future__ import annotations

from console.cli import assign, check, compare, compute, export, receive, send, volumes, window
from console.cli.app import app
from console.demo.commands import app as demo_app

app.registered_commands += demo_app.registered_commands

__all__ = ["app", "assign", "check", "compare", "compute", "export", "receive", "send", "volumes", "window"]
