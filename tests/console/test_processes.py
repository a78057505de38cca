"""The listener as a process of its own: its log cannot stop it, and why it did not start is said."""

from __future__ import annotations

import sys
import time

import pytest

from console import processes
from console.processes import ProcessError, started_listener

TALKATIVE = """
import json, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print(json.dumps({"event": "listening", "port": 4711}), flush=True)
for _ in range(20000):  # 1 MB: a pipe holds 64 kB
    print("x" * 50, file=sys.stderr)
pathlib.Path(sys.argv[1]).write_text("written")
time.sleep(60)
"""


def program(monkeypatch, text):
    monkeypatch.setattr(processes, "holmia_command", lambda _, *rest: [sys.executable, "-c", text, *rest])


def test_a_listener_may_log_as_much_as_it_likes(monkeypatch, tmp_path):
    program(monkeypatch, TALKATIVE)
    done = tmp_path / "done"
    with started_listener([str(done)]) as port:
        assert port == 4711
        deadline = time.monotonic() + 30
        while not done.exists():
            assert time.monotonic() < deadline, "its log has stopped it"
            time.sleep(0.01)


def test_a_listener_that_does_not_start_says_why(monkeypatch):
    program(monkeypatch, "import sys; sys.exit('The port is taken.')")
    with pytest.raises(ProcessError, match="did not start: The port is taken"), started_listener([]):
        pass
