"""kill −9 of the console in mid-fraction: the window that is started again shows what was shown."""

from __future__ import annotations

import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from changed_files import later, new_series, of_patient, rewritten
from holmia_processes import PATIENCE_S, events_of, listening, running, send

from console.demo.phantom_dicom import PhantomTreatment

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("killed_window")]

CONSOLE = Path(__file__).with_name("window_console.py")
NAME = "J. Jansen"
IN_MID_SERIES = 30


def test_a_killed_window_comes_back_with_what_it_showed_alarms_and_acknowledgements_included(
    phantom: PhantomTreatment, tmp_path: Path
) -> None:
    first, second = phantom.treatment.injections
    stranger = rewritten(
        phantom.fractions[0],
        tmp_path / "stranger",
        new_series("x"),
        later(timedelta(minutes=1)),
        of_patient("EM1-005", "Other^Person"),
    )
    file = tmp_path / "live.holmia"
    now = (first.acquired_at + timedelta(minutes=2)).isoformat()
    command = [sys.executable, str(CONSOLE), str(file), "--now", now]
    with listening(file, phantom.plan_path) as (listener, port):
        for folder in (*phantom.series_folders[:3], stranger, phantom.fractions[0]):
            send(folder, port)
        with running([*command, "--acknowledge", NAME]) as before:
            before.until(lambda line: bool(line["numbers"]) and list(line["alarms"].values()) == [NAME])
            with sent_half(phantom.fractions[1], port) as go_on:
                before.until(lambda line: line["progress"] == IN_MID_SERIES)
                last = before.lines[-1]
                children = children_of(before.process.pid)
                before.kill()
                # Nothing that the console started outlives it.
                until(lambda: not any(is_running(child) for child in children))
                with running(command) as after:
                    again = after.until(lambda line: bool(line["numbers"]))
                    # At once, before anything has been computed again: the same, and said to be from the record.
                    assert again["restored"]
                    assert "record" in words_of(again)
                    assert again["numbers"] == last["numbers"]
                    assert again["alarms"] == last["alarms"]
                    assert NAME in str(again["table"])
                    assert first.position in again["badge"]
                    computed = after.until(lambda line: bool(line["numbers"]) and not line["restored"])
                    assert computed["numbers"] == last["numbers"]
                    assert computed["alarms"] == last["alarms"]
                    assert all(line["numbers"] == last["numbers"] for line in after.lines if line["numbers"])
                    # What was shown before is no news.
                    assert not any("first result" in line["news"] for line in after.lines)
                    go_on.set()
                    after.until(lambda line: f"F{second.fraction}" in line["badge"] and not line["stale"])
                    after.process.terminate()
                    assert after.end() == 0, after.err
        assert listener.process.poll() is None
    shown = [event.payload for event in events_of(file) if event.kind == "result_shown"]
    assert [payload["fraction"] for payload in shown] == [1, 2], "nothing that was shown was recorded as shown anew"
    raised = [event for event in events_of(file) if event.kind == "alarm_raised"]
    assert len(raised) == len({event.payload["alarm"]["id"] for event in raised})


class sent_half:  # noqa: N801
    """A series of which the scanner has sent the first images; it sends the rest when told to, and at the end."""

    def __init__(self, folder: Path, port: int) -> None:
        self._reached, self._go_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: send(folder, port, progress=self._count), daemon=True)

    def _count(self, done: int, _total: int) -> None:
        if done == IN_MID_SERIES:
            self._reached.set()
            self._go_on.wait(PATIENCE_S)

    def __enter__(self) -> threading.Event:
        self._thread.start()
        assert self._reached.wait(PATIENCE_S)
        return self._go_on

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def words_of(line: dict[str, Any]) -> str:
    """Everything in words, in small letters."""
    return " ".join(str(line[key]) for key in ("badge", "title", "sentence", "news")).lower()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, and theirs (Linux)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children_of(int(child))]
    return found


def is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be asked how it ended does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(held: Any) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE_S
    while not held():
        assert time.monotonic() < deadline
        time.sleep(0.02)
