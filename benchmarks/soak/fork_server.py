"""Starts listeners quickly, to be killed: everything is imported once, each listener is a fork of this process.

Lines on standard input: ``start PATH`` forks a listener on the treatment file PATH, which answers with its process
number at once and with its port when it listens; ``wait PID`` answers when that one has ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.soak.listener_process import REPOSITORY, listener_on
from dicom_listener.association_log import configure_log
from dicom_listener.locks import FileLock


class ForkServer:
    """The side that asks. Use it in a ``with`` block."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.soak.fork_server"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.communicate(timeout=30)

    def start(self, path: Path) -> int:
        """Fork a listener; return its process number. `port` is to be asked for next."""
        return int(self._ask(f"start {path}")["pid"])

    def port(self) -> int:
        """The port of the listener that was started last."""
        return int(self._answer()["port"])

    def kill(self, pid: int) -> None:
        """End a listener as a power cut would, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        answer = self._ask(f"wait {pid}")
        while "ended" not in answer:  # its port, which nobody asked for
            answer = self._answer()

    def _ask(self, line: str) -> Mapping[str, Any]:
        assert self._popen.stdin is not None  # noqa: S101 - for the type checker
        self._popen.stdin.write(f"{line}\n")
        self._popen.stdin.flush()
        return self._answer()

    def _answer(self) -> Mapping[str, Any]:
        assert self._popen.stdout is not None  # noqa: S101 - for the type checker
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError("A listener did not start, or the process that starts them has ended.")
        answer: Mapping[str, Any] = json.loads(line)
        return answer


def _say(**answer: object) -> None:
    # One write each, so that those of two processes do not mix.
    os.write(1, (json.dumps(answer) + "\n").encode())


def _listen(path: Path) -> None:
    _say(pid=os.getpid())
    configure_log("ERROR")
    with FileLock.acquire(path, "listener"):
        listener = listener_on(path, {})
        _say(port=listener.start())
        threading.Event().wait()  # until it is killed


def main() -> None:
    """Fork until there are no more lines."""
    for line in sys.stdin:
        what, _, argument = line.strip().partition(" ")
        if what == "start":
            pid = os.fork()
            if pid == 0:
                try:
                    _listen(Path(argument))
                finally:
                    os._exit(1)
        else:
            os.waitpid(int(argument), 0)
            _say(ended=int(argument))


if __name__ == "__main__":
    main()
