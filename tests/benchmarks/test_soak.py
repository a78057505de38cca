"""The soak, made tiny: it runs, tells what holds, and a broken law is its exit status."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import __main__ as soak
from benchmarks.soak import endurance, kills, replays
from benchmarks.soak.laws import laws_of_endurance, laws_of_kills, laws_of_replays
from benchmarks.soak.page import page

pytestmark = pytest.mark.network

TINY = endurance.Scale(
    associations=20, seconds_per_attack=0.0, drip_s=0.0, data_set_bytes=300_000_000, attacks=("http_bytes", "tls_bytes")
)
HELD = {"resident_mib": 90.0, "peak_mib": 120.0, "threads": 4, "descriptors": 11}
HOLDING = {"resident_mib": 240.0, "threads": 2, "descriptors": 9, "widgets": 0, "processes": 0}
SHOWN = replays.Replays(replays=4, results=8, seconds=20.0, settled_after=2, holdings=[HOLDING] * 4)


def test_a_tiny_soak_holds_its_laws_and_writes_its_page(monkeypatch, tmp_path: Path, capfd) -> None:
    monkeypatch.setattr(soak, "scaled", lambda scale: TINY)
    # The window's own leaks are tested in tests/console/dashboard/test_leaks.py, at less cost.
    monkeypatch.setattr(replays, "run", lambda number, progress: SHOWN)
    assert soak.main(["--scale", "0.002", "--out", str(tmp_path), "--note", "a test"]) == 0
    text = (tmp_path / "soak.md").read_text(encoding="utf-8")
    figures = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    assert all(law["holds"] for law in figures["laws"])
    assert f"**{len(figures['laws'])} of {len(figures['laws'])} laws hold.**" in text
    assert figures["kills"]["kills"] == 2
    assert len(figures["endurance"]["attacks"]) == 2
    assert figures["replays"]["replays"] == 4
    assert "a test" in text


def test_lost_altered_or_unverifiable_is_a_broken_law() -> None:
    sound = kills.Tally(kills=10, acknowledged=100)
    assert all(law.holds for law in laws_of_kills(sound))
    for change in ({"lost": 1}, {"altered": 1}, {"broken_files": 1}, {"acknowledged": 0}):
        assert not all(law.holds for law in laws_of_kills(replace(sound, **change)))


@pytest.mark.parametrize(
    "change",
    [
        {"footprints": {"at the start": HELD, "at the end": {**HELD, "resident_mib": 155.0}}},
        {"footprints": {"at the start": HELD, "between": {**HELD, "resident_mib": 155.0}, "at the end": HELD}},
        {"footprints": {"at the start": HELD, "at the end": {**HELD, "threads": 5}}},
        {"footprints": {"at the start": HELD, "at the end": {**HELD, "descriptors": 12}}},
        {"attacks": [{"worst_during_s": 1.2, "worst_after_s": 0.1, "resident_mib": 90.0, "echoes": 6}]},
        {"attacks": [{"worst_during_s": 0.1, "worst_after_s": 0.1, "resident_mib": 160.0, "echoes": 6}]},
        {"wrong_answers": ["echo"]},
        {"failures": ["an attack: TimeoutError"]},
        {"missing": 1},
        {"closed": 9},
        {"files": ["t.holmia", "t.quarantine.holmia", "x"]},
        {"exit_status": -9},
        {"said_traceback": True},
    ],
    ids=str,
)
def test_each_law_of_endurance_can_be_broken(change: dict[str, object]) -> None:
    sound = endurance.Course(
        footprints={"at the start": HELD, "at the end": HELD},
        opened=10,
        closed=10,
        exit_status=0,
        files=["t.holmia", "t.quarantine.holmia"],
    )
    assert all(law.holds for law in laws_of_endurance(sound))
    laws = laws_of_endurance(replace(sound, **change))
    assert sum(not law.holds for law in laws) == 1
    assert "**broken**" in page(laws, None, None, scale=1.0, seed=1, note="")


@pytest.mark.parametrize(
    "change",
    [
        {"holdings": [HOLDING, HOLDING, HOLDING, {**HOLDING, "resident_mib": 273.0}]},
        *({"holdings": [HOLDING] * 3 + [{**HOLDING, key: 10}]} for key in HOLDING if key != "resident_mib"),
        {"failures": ["replay 3 did not come to its end"]},
        {"results": 0},
    ],
    ids=str,
)
def test_each_law_of_replays_can_be_broken(change: dict[str, object]) -> None:
    assert all(law.holds for law in laws_of_replays(SHOWN))
    broken = replace(SHOWN, **change)
    laws = laws_of_replays(broken)
    assert sum(not law.holds for law in laws) == 1
    assert "**broken**" in page(laws, None, None, broken, scale=1.0, seed=1, note="")


def test_an_instance_that_is_not_in_the_file_is_counted(tmp_path: Path) -> None:
    tally = kills.Tally()
    kills._check(tmp_path / "never-made.holmia", {"1.2.3": "0" * 64}, tally)
    assert tally.lost == 1
    kills._check(tmp_path / "never-made.holmia", {}, tally)
    assert tally.lost == 1
