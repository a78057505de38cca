"""The command line; importing it registers its commands on `app`, in the order of the help."""

from console.cli import compute, receive, window
from console.cli.app import app

__all__ = ["app", "compute", "receive", "window"]
