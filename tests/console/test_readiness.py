"""Readiness: what would keep a treatment from working is found before it, in one line each."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from config.settings import SiteSettings
from console import readiness
from console.commands import app
from console.readiness import Finding, Level

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def site(**changes):
    return SiteSettings(**{"host": "127.0.0.1", "port": 0, **changes})


def levels(findings):
    return [finding.level for finding in findings]


def test_this_machine_has_what_was_tested_together():
    assert Level.FAIL not in levels(readiness.libraries())


def test_an_untested_version_is_found(monkeypatch):
    monkeypatch.setattr(
        readiness.importlib.metadata, "version", lambda name: "99.0" if name == "pynetdicom" else "6.11.0"
    )
    texts = [f.text for f in readiness.libraries() if f.level is Level.FAIL]
    assert any("pynetdicom is 99.0, tested is 3.0.4" in text for text in texts)


def test_without_a_display_the_window_is_said_not_to_work():
    (found,) = readiness.display({})
    assert found.level is Level.NOTE
    assert "no display" in found.text


def test_a_port_in_use_is_found():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (found,) = readiness.port(site(port=taken.getsockname()[1]))
    assert found.level is Level.FAIL
    assert "another program listens there" in found.text
    assert levels(readiness.port(site())) == [Level.OK]


@pytest.mark.parametrize("host", ["192.0.2.7", ".."], ids=["of_another_machine", "no_name"])
def test_an_address_that_is_not_this_machines_is_found(host):
    assert levels(readiness.port(site(host=host))) == [Level.FAIL]


def test_the_port_is_looked_at_also_where_the_certificates_are_wrong():
    assert levels(readiness.port(site(tls=True))) == [Level.OK]


def test_a_disk_without_room_is_found(tmp_path):
    assert levels(readiness.disk(tmp_path, 1e12)) == [Level.FAIL]
    (found,) = readiness.disk(tmp_path, 0.0)
    assert found.level is not Level.FAIL
    assert "a durable write takes" in found.text
    assert list(tmp_path.iterdir()) == [], "it looks and leaves nothing"


def test_a_folder_that_cannot_be_written_is_found(tmp_path):
    (found,) = readiness.disk(tmp_path / "missing", 0.0)
    assert found.level is Level.FAIL


@pytest.mark.parametrize(("state", "level"), [(True, Level.OK), (None, Level.NOTE), (False, Level.NOTE)])
def test_a_clock_that_nobody_keeps_is_noted(monkeypatch, state, level):
    monkeypatch.setattr(readiness, "is_synchronised", lambda: state)
    (found,) = readiness.clock(site(), NOW)
    assert found.level is level
    assert "Europe/Amsterdam" in found.text


def test_who_may_send_and_whether_in_the_clear_is_noted():
    assert levels(readiness.security(site(), NOW)) == [Level.NOTE, Level.NOTE]
    assert levels(readiness.security(site(calling_addresses=("10.0.0.1",)), NOW)) == [Level.OK, Level.NOTE]
    found = list(readiness.security(site(tls=True, tls_certificate="/nowhere.pem"), NOW))
    assert found[-1].level is Level.FAIL


@pytest.mark.parametrize(("level", "status"), [(Level.NOTE, 0), (Level.FAIL, 1)])
def test_only_a_failure_makes_the_status_one(monkeypatch, level, status):
    finding = Finding(level=level, subject="disk", text="somehow")
    monkeypatch.setattr("console.cli.check.readiness", lambda *_: iter([finding]))
    done = CliRunner().invoke(app, ["check"], standalone_mode=False)
    assert done.return_value == status
    assert f"{level:<4}  disk" in done.output
    assert "settings" in done.output
