"""The listener as a process of its own: it survives the console, and the console survives it (docs/architecture.md)."""

from __future__ import annotations

import collections
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from dicom_listener.locks import FileLock

_STOP_TIMEOUT_S = 20.0
_LINES_KEPT = 200
"""Of the listener's log, to say why it did not start; what it recorded is in the treatment file."""


class ProcessError(Exception):
    """A process that Holmia started has ended instead of working; the text is what it said."""


def holmia_command(*arguments: str) -> list[str]:
    """Command line of another Holmia process with this interpreter."""
    return [sys.executable, "-m", "console", *arguments]


@contextlib.contextmanager
def started_listener(arguments: Sequence[str]) -> Iterator[int]:
    """Run ``holmia listen`` with `arguments` and yield the port it is bound to; stop it at the end.

    Raises
    ------
    ProcessError
        With the listener's own sentence if it does not come up.
    """
    process = subprocess.Popen(
        holmia_command("listen", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = collections.deque[str](maxlen=_LINES_KEPT)
    # Its log has to be read all the time: a full pipe would stop the listener.
    reading = threading.Thread(
        target=lambda: said.extend(process.stderr or ()), name="holmia-listener-log", daemon=True
    )
    reading.start()
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            process.wait(timeout=_STOP_TIMEOUT_S)
            reading.join(timeout=_STOP_TIMEOUT_S)
            raise ProcessError(f"The listener did not start: {''.join(said).strip() or 'it gave no reason'}")
        yield int(json.loads(line)["port"])
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_STOP_TIMEOUT_S)
        if process.poll() is None:  # it finishes what it acknowledged; longer than this it hangs
            process.kill()
            process.wait()
        reading.join(timeout=_STOP_TIMEOUT_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def listener_process(file: Path, *, plan: Path | None, site: Path | None, port: int | None) -> Iterator[int | None]:
    """The listener of a console: started where none holds the file yet; yields its port, or None."""
    if FileLock.is_held(file, "listener"):
        yield None
        return
    arguments = [str(file)]
    arguments += ["--plan", str(plan)] if plan is not None else []
    arguments += ["--site", str(site)] if site is not None else []
    arguments += ["--port", str(port)] if port is not None else []
    with started_listener(arguments) as bound:
        yield bound
