"""Can a node be reached: each step says what it found, and the first that fails says what to do."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from pydicom.uid import MRImageStorage
from typer.testing import CliRunner

from config.settings import SiteSettings
from console.commands import app
from console.reaching import reach
from console.readiness import Level
from console.shell import CommandError
from dicom_listener.events import Kind
from dicom_listener.listener import Listener
from dicom_listener.record import Record

pytestmark = pytest.mark.network


def settings(pki: Path | None = None, name: str = "node", **more) -> SiteSettings:
    secured = (
        {}
        if pki is None
        else {
            "tls": True,
            "tls_certificate": str(pki / f"{name}.pem"),
            "tls_key": str(pki / f"{name}.key"),
            "tls_authorities": str(pki / "authority.pem"),
        }
    )
    return SiteSettings(**{"host": "127.0.0.1", "port": 0, "minimum_free_disk_mb": 1.0} | secured | more)


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    past = {"not_after": datetime.now(UTC) - timedelta(days=1)}
    for name, maker, dates in (("node", authority, {}), ("expired", authority, past), ("stranger", trustme.CA(), {})):
        made = maker.issue_cert("localhost", **dates)
        made.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        (folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return folder


class Node:
    def __init__(self, folder: Path, site: SiteSettings) -> None:
        self.record = Record.create(folder / "a.holmia")
        self.listener = Listener(self.record, lambda: self.record, site, None, lambda: datetime.now(UTC))
        self.port = self.listener.start()

    def stop(self) -> None:
        self.listener.stop()
        self.record.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("plain"), settings())
    yield node
    node.stop()


@pytest.fixture(scope="module")
def secured(tmp_path_factory, pki):
    node = Node(tmp_path_factory.mktemp("secured"), settings(pki))
    yield node
    node.stop()


def found(port: int, site: SiteSettings | None = None, *, host: str = "127.0.0.1", called: str = "HOLMIA"):
    steps = reach(host, port, site or settings(), called=called, calling="CHECK", timeout_s=5.0)
    return [(step.level, step.subject, step.text) for step in steps]


def only_the_last_fails(steps) -> tuple[str, str]:
    assert [level for level, *_ in steps] == [Level.OK] * (len(steps) - 1) + [Level.FAIL], steps
    return steps[-1][1:]


def test_an_echo_is_reached_step_by_step(plain):
    steps = found(plain.port)
    assert [(level, subject) for level, subject, _ in steps] == [
        (Level.OK, subject) for subject in ("name", "connection", "association", "echo")
    ]


def test_a_name_that_nobody_knows_is_said():
    subject, text = only_the_last_fails(found(104, host="nowhere.invalid"))
    assert subject == "name"
    assert "nowhere.invalid cannot be resolved" in text
    assert only_the_last_fails(found(104, host="..")) == (
        "name",
        ".. cannot be resolved to an address; check the name, or give the address.",
    )


def test_a_port_where_nobody_listens_is_said():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subject, text = only_the_last_fails(found(port))
    assert subject == "connection"
    assert "refuses" in text


def test_a_rejection_is_said_in_words(plain):
    subject, text = only_the_last_fails(found(plain.port, called="SOMEBODY"))
    assert subject == "association"
    assert "it is not called SOMEBODY" in text


def test_a_peer_that_speaks_no_dicom_is_said():
    with socket.socket() as web:
        web.bind(("127.0.0.1", 0))
        web.listen()

        def answer() -> None:
            for _ in range(2):
                connection, _ = web.accept()
                with connection:
                    connection.recv(10)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        subject, text = only_the_last_fails(found(web.getsockname()[1]))
        thread.join(timeout=10)
    assert subject == "association"
    assert "is it a DICOM node" in text


def test_tls_is_reached_with_a_certificate_of_the_authority(secured, pki):
    steps = found(secured.port, settings(pki))
    assert [subject for _, subject, _ in steps] == ["name", "connection", "TLS", "association", "echo"]
    assert "TLSv1.3" in steps[2][2]
    assert {level for level, *_ in steps} == {Level.OK}


def test_without_tls_a_secured_node_is_not_reached(secured):
    subject, text = only_the_last_fails(found(secured.port))
    assert subject == "association"
    assert "TLS off" in text


def test_tls_with_a_plain_node_is_said(plain, pki):
    assert only_the_last_fails(found(plain.port, settings(pki)))[0] == "TLS"


def test_an_expired_certificate_of_ones_own_is_said_before_anything_is_sent(secured, pki):
    subject, text = only_the_last_fails(found(secured.port, settings(pki, "expired")))
    assert subject == "TLS"
    assert "expired" in text


def test_the_command_ends_with_one_where_a_step_fails(plain):
    well = CliRunner().invoke(app, ["check", f"127.0.0.1:{plain.port}"], standalone_mode=False)
    assert (well.return_value, "answered" in well.output) == (0, True)
    badly = CliRunner().invoke(app, ["check", f"127.0.0.1:{plain.port}", "--called", "SOMEBODY"], standalone_mode=False)
    assert (badly.return_value, "FAIL" in badly.output) == (1, True)
    wrong = CliRunner().invoke(app, ["check", "nonsense"], standalone_mode=False)
    assert isinstance(wrong.exception, CommandError)
    title = CliRunner().invoke(app, ["check", f"127.0.0.1:{plain.port}", "--called", "A" * 17], standalone_mode=False)
    assert "is no AE title" in str(title.exception)


def test_the_simulated_scanner_sends_over_tls(secured, pki, tmp_path, real_data):
    site = tmp_path / "site.toml"
    names = {"tls_certificate": "node.pem", "tls_key": "node.key", "tls_authorities": "authority.pem"}
    paths = "\n".join(f'{key} = "{pki / name}"' for key, name in names.items())
    site.write_text(f"[site]\ntls = true\n{paths}\n", encoding="utf-8")
    folder = tmp_path / "series"
    folder.mkdir()
    for path in sorted((real_data / "siemens_gre_6echo").glob("*.dcm"))[:3]:
        (folder / path.name).write_bytes(path.read_bytes())
    done = CliRunner().invoke(
        app, ["send", str(folder), f"127.0.0.1:{secured.port}", "--site", str(site)], standalone_mode=False
    )
    assert done.return_value == 0, done.output
    stored = [e for e in secured.record.events(limit=10_000) if e.kind == Kind.INSTANCE_STORED]
    assert [e.payload["sop_class_uid"] for e in stored] == [str(MRImageStorage)] * 3


def test_a_node_that_accepts_and_says_nothing_is_told_apart_from_one_that_hangs_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        *_, last = reach("127.0.0.1", port, SiteSettings(), called="A", calling="B", timeout_s=0.4)
    assert "did not answer within 0.4 s" in last.text
