"""TLS with DCMTK on the other side: certificates on both sides or nothing, and others are served meanwhile."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from benchmarks.soak.raw_pdu import Peer, associate_rq
from dicom_listener.events import Kind

pytestmark = pytest.mark.network

PATIENCE_S = 60
YESTERDAY = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Files of a certificate, its key and the authority that it trusts."""

    certificate: Path
    key: Path
    authority: Path


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    """The node's own, and those of peers: sound, of another authority, expired."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(folder / "ours.pem")
    issued = {
        "node": ours.issue_cert("localhost", "127.0.0.1"),
        "scanner": ours.issue_cert("scanner.hospital"),
        "stranger": theirs.issue_cert("scanner.hospital"),
        "expired": ours.issue_cert(
            "scanner.hospital", not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=YESTERDAY
        ),
    }
    made = {}
    for name, certificate in issued.items():
        made[name] = Identity(
            certificate=folder / f"{name}.pem", key=folder / f"{name}.key", authority=folder / "ours.pem"
        )
        for number, part in enumerate(certificate.cert_chain_pems):
            part.write_to_path(made[name].certificate, append=number > 0)
        certificate.private_key_pem.write_to_path(made[name].key)
    return made


@pytest.fixture
def node(started, identities):
    ours = identities["node"]
    return started(
        tls=True,
        tls_certificate=str(ours.certificate),
        tls_key=str(ours.key),
        tls_authorities=str(ours.authority),
    )


@pytest.fixture
def send(program, phantom, identities) -> Callable[..., subprocess.CompletedProcess[str]]:
    """storescu with the certificate of an identity, in plain text, or by anonymous TLS."""

    def done(node, who: str, *more: str) -> subprocess.CompletedProcess[str]:
        tls: list[object] = []
        if who == "anonymous":
            tls = ["+tla", "+cf", identities["node"].authority]
        elif who != "plain":
            one = identities[who]
            tls = ["+tls", one.key, one.certificate, "+cf", one.authority]
        command = [program("storescu"), *tls, *more, "-aec", "HOLMIA", "+sd", "127.0.0.1", node.port, phantom.reference]
        return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    return done


def test_storescu_with_a_certificate_of_the_authority_is_served(node, send) -> None:
    sent = send(node, "scanner")
    assert sent.returncode == 0, sent.stderr
    assert len(node.objects()) == 9
    assert [e.payload["how"] for e in node.wait_for(Kind.ASSOCIATION_CLOSED)] == ["released"]


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_every_bcp_195_profile_of_the_sender_is_understood(node, send, profile: str) -> None:
    sent = send(node, "scanner", profile)
    assert sent.returncode == 0, sent.stderr


@pytest.mark.parametrize("who", ["stranger", "expired", "anonymous", "plain"])
def test_whoever_shows_no_sound_certificate_stores_nothing_and_others_are_served(node, send, who: str) -> None:
    assert send(node, who).returncode != 0
    assert node.objects() == {}
    assert node.wait_for(Kind.ASSOCIATION_REFUSED)
    assert send(node, "scanner").returncode == 0
    assert len(node.objects()) == 9


def test_silent_and_babbling_connections_do_not_keep_a_tls_peer_waiting(node, send) -> None:
    """The handshake of one is nobody else's: a silent client blocks the accept loop of pynetdicom's own server."""
    with contextlib.ExitStack() as stack:
        for said in [b""] * 20 + [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", associate_rq()] * 5:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S))
            connection.sendall(said)
        assert send(node, "scanner").returncode == 0
    assert len(node.objects()) == 9


def test_neither_old_tls_nor_weak_ciphers_are_spoken(node, identities) -> None:
    one = identities["scanner"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(one.authority)
    context.load_cert_chain(one.certificate, one.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA256:AES256-GCM-SHA384:@SECLEVEL=0")  # no forward secrecy
    with (
        socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S) as connection,
        pytest.raises(OSError, match=r"(?i)handshake|reset|EOF"),
    ):
        context.wrap_socket(connection)
    context.set_ciphers("ECDHE+AESGCM")
    with (
        socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S) as connection,
        context.wrap_socket(connection) as spoken,
    ):
        assert spoken.version() == "TLSv1.2"
        peer = Peer.__new__(Peer)
        peer.socket = spoken
        assert peer.associate()[0] == 2
