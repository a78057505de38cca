"""A listener in a process of its own, as `holmia listen` runs it, but without the console: it is small, to be measured.

The child takes lines on its standard input: each makes it collect its garbage and answer with what it holds. It stops
at SIGTERM, or when its parent has gone.
"""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from config.settings import SiteSettings
from dicom_listener.association_log import configure_log
from dicom_listener.decoding import DecodingProcess
from dicom_listener.listener import Listener
from dicom_listener.locks import FileLock
from dicom_listener.record import Record, quarantine_path

REPOSITORY = Path(__file__).resolve().parents[2]
LOCAL = {"host": "127.0.0.1", "port": 0, "minimum_free_disk_mb": 1.0}
_PATIENCE_S = 30.0
_COMPARING_S = 5.0
"""As for `holmia listen`."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a process holds at one moment."""

    resident_mib: float
    peak_mib: float
    threads: int
    descriptors: int


class ListenerProcess:
    """Starts a listener on `path` (made if missing); its port is `port`. Use it in a ``with`` block."""

    def __init__(self, path: Path, settings: Mapping[str, Any] | None = None) -> None:
        arguments = [str(path), json.dumps(settings or {})]
        self.path = path
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - not beside the treatment file, which is looked at
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.soak.listener_process", *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        line = self._line()
        if not line:
            self.popen.wait(timeout=_PATIENCE_S)
            raise RuntimeError(f"The listener did not start: {self.said()}")
        self.port = int(json.loads(line)["port"])

    def __enter__(self) -> ListenerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.kill()
        for stream in (self.popen.stdin, self.popen.stdout, self._said):
            if stream is not None:
                stream.close()

    def said(self) -> str:
        """What it wrote to standard error."""
        self._said.seek(0)
        return self._said.read().decode("utf-8", "replace")

    def footprint(self) -> Footprint:
        """Measure it, after it has collected its garbage."""
        assert self.popen.stdin is not None  # noqa: S101 - for the type checker
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()
        self._line()
        folder = Path("/proc") / str(self.popen.pid)
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return Footprint(
            resident_mib=int(status["VmRSS"].split()[0]) / 1024,
            peak_mib=int(status["VmHWM"].split()[0]) / 1024,
            threads=int(status["Threads"]),
            descriptors=sum(1 for _ in (folder / "fd").iterdir()),
        )

    def stop(self) -> int:
        """Stop it as a service manager does; return the exit status."""
        self.popen.terminate()
        return self.popen.wait(timeout=_PATIENCE_S)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.popen.kill()
        self.popen.wait(timeout=_PATIENCE_S)

    def _line(self) -> str:
        assert self.popen.stdout is not None  # noqa: S101 - for the type checker
        return self.popen.stdout.readline()


def listener_on(
    path: Path, settings: Mapping[str, Any], same_pixels: Callable[[bytes, bytes], bool] | None = None
) -> Listener:
    """A listener on the treatment file `path`, which is made if it is missing; not started."""
    quarantine = quarantine_path(path)
    return Listener(
        Record.open(path) if path.exists() else Record.create(path),
        lambda: Record.open(quarantine) if quarantine.exists() else Record.create(quarantine),
        SiteSettings(**{**LOCAL, **settings}),
        None,
        lambda: datetime.now(UTC),
        same_pixels=same_pixels,
    )


def main() -> None:
    """Serve until told to stop."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    configure_log()
    path = Path(sys.argv[1])
    with FileLock.acquire(path, "listener"), DecodingProcess(timeout_s=_COMPARING_S) as decoding:
        listener = listener_on(path, json.loads(sys.argv[2]), decoding.same_pixels)
        print(json.dumps({"port": listener.start()}), flush=True)
        try:
            for _ in sys.stdin:
                gc.collect()
                print("{}", flush=True)
        finally:
            listener.stop()
            listener._record.close()


if __name__ == "__main__":
    main()
