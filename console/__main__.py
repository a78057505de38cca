"""The command ``holmia``: joins the commands of `console.cli` and `console.demo`."""

from __future__ import annotations

from console.cli import app
from console.demo.commands import app as demo_app
from console.shell import run_app

app.registered_commands += demo_app.registered_commands


def main() -> None:
    """Run the command line; exit status 0 done, 1 in part or not at all, 2 usage, plan or file."""
    run_app(app)


if __name__ == "__main__":
    main()
