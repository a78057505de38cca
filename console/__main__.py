"""The command ``holmia``. Light on purpose: a signal counts from here on, and the modules take a second to load."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line; exit status 0 done, 1 in part or not at all, 2 usage, plan or file."""
    with contextlib.suppress(ValueError):  # not in the main thread: then signals are another's
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopped_before_anything_was_done)
    # Before numpy is loaded, here and in every process that is started: for matrices of 3 × 3 its threads only spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.argv[1:2] == ["listen"]:  # it needs nothing that computes: a third of the time to start, half of the memory
        import console.cli.receive  # noqa: F401 - registers the command
        from console.cli.app import app
    else:
        from console.commands import app
    from console.shell import run_app

    run_app(app)


def _stopped_before_anything_was_done(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
