"""The command line; importing it registers its commands on `app`, in the order of the help."""

from console.cli import assign, check, compute, export, receive, volumes, window
from console.cli.app import app

__all__ = ["app", "assign", "check", "compute", "export", "receive", "volumes", "window"]
