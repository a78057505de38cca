"""TLS: who has no certificate of the site's authorities gets no association, and everybody is told why."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from pynetdicom import AE

from config.settings import SiteSettings
from console.reaching import keep_answers
from dicom_listener.events import Kind
from dicom_listener.listener import Listener, ListenerError
from dicom_listener.record import Record
from dicom_listener.tls import TlsError, certificate_expiry, client_context, server_context

pytestmark = pytest.mark.network

VERIFICATION = "1.2.840.10008.1.1"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    """An authority with good, expired and future certificates, and a stranger's."""
    folder = tmp_path_factory.mktemp("pki")
    now = datetime.now(UTC)
    ours, strangers = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(folder / "authority.pem"))
    for name, authority, dates in (
        ("node", ours, {}),
        ("scanner", ours, {}),
        ("expired", ours, {"not_after": now - DAY}),
        ("future", ours, {"not_before": now + DAY}),
        ("lasting", ours, {"not_after": datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)}),
        ("stranger", strangers, {}),
    ):
        made = authority.issue_cert("localhost", **dates)
        made.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        (folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    (folder / "noise.pem").write_text("no certificate")
    return folder


def site(
    pki: Path, name: str = "node", *, key: str | None = None, authority: str = "authority", **more
) -> SiteSettings:
    return SiteSettings(
        **{"host": "127.0.0.1", "port": 0, "minimum_free_disk_mb": 1.0} | more,
        tls=True,
        tls_certificate=str(pki / f"{name}.pem"),
        tls_key=str(pki / f"{key or name}.key"),
        tls_authorities=str(pki / f"{authority}.pem"),
    )


class TlsNode:
    """A listener that speaks TLS, on a treatment file of its own."""

    def __init__(self, folder: Path, settings: SiteSettings) -> None:
        self.record = Record.create(folder / "a.holmia")
        self.listener = Listener(self.record, lambda: self.record, settings, None, lambda: datetime.now(UTC))
        self.port = self.listener.start()

    def events(self, kind: Kind) -> list[dict]:
        return [event.payload for event in self.record.events(limit=10_000) if event.kind == kind]

    def wait_for(self, kind: Kind, count: int = 1) -> list[dict]:
        for _ in range(500):
            if len(self.events(kind)) >= count:
                return self.events(kind)
            time.sleep(0.01)
        raise AssertionError(f"no {kind} within 5 s")

    def echo(self, context: ssl.SSLContext) -> int | None:
        entity = AE(ae_title="SCANNER")
        entity.add_requested_context(VERIFICATION)
        made = entity.associate("127.0.0.1", self.port, ae_title="HOLMIA", tls_args=(context, None))
        if not made.is_established:
            return None
        keep_answers(made)
        status: int = made.send_c_echo().Status
        made.release()
        return status

    def shakes_hands(self, context: ssl.SSLContext) -> bool:
        """Return whether the handshake succeeds; under TLS 1.3 the peer hears of a refusal when it reads."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as plain:
            try:
                with context.wrap_socket(plain) as secured:
                    secured.settimeout(0.5)
                    return secured.recv(1) != b""
            except TimeoutError:
                return True
            except OSError:
                return False

    def echo_within(self, limit_s: float, context: ssl.SSLContext) -> float:
        """Return the best of three, because others share the machine."""
        times = []
        for _ in range(3):
            began = time.monotonic()
            assert self.echo(context) == 0
            times.append(time.monotonic() - began)
            if times[-1] < limit_s:
                break
        return min(times)


@contextmanager
def listening(folder: Path, settings: SiteSettings):
    node = TlsNode(folder, settings)
    try:
        yield node
    finally:
        node.listener.stop()
        node.record.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory, pki):
    with listening(tmp_path_factory.mktemp("tls"), site(pki)) as made:
        yield made


def test_a_certificate_of_the_authority_gets_an_association_over_tls_1_3(node, pki):
    before = len(node.events(Kind.ASSOCIATION_OPENED))
    assert node.echo(client_context(site(pki, "scanner"))) == 0
    assert len(node.wait_for(Kind.ASSOCIATION_OPENED, before + 1)) == before + 1


@pytest.mark.parametrize(
    ("version", "spoken"),
    [(ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_1, False)],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_only_tls_1_2_and_1_3_are_spoken(node, pki, version, spoken):
    context = client_context(site(pki, "scanner"))
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert node.shakes_hands(context) is spoken


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"])
def test_ciphers_without_forward_secrecy_or_authentication_are_refused(node, pki, cipher):
    context = client_context(site(pki, "scanner"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    assert not node.shakes_hands(context)


def without_certificate(pki: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cafile=str(pki / "authority.pem"))
    return context


def with_certificate(pki: Path, name: str) -> ssl.SSLContext:
    context = without_certificate(pki)
    context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    return context


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (None, "The peer showed no certificate."),
        ("expired", "The peer's certificate has expired."),
        ("future", "The peer's certificate is not valid yet."),
        ("stranger", "The peer's certificate is not accepted: unable to get local issuer certificate."),
    ],
    ids=["none", "expired", "future", "stranger"],
)
def test_a_peer_without_a_good_certificate_is_refused_recorded_and_told_apart(node, pki, caplog, name, why):
    before = len(node.events(Kind.ASSOCIATION_REFUSED))
    assert not node.shakes_hands(with_certificate(pki, name) if name else without_certificate(pki))
    event = node.wait_for(Kind.ASSOCIATION_REFUSED, before + 1)[-1]
    assert event == {"calling_ae": "", "called_ae": "", "address": "127.0.0.1", "why": why}
    assert wait_for_reason(caplog, why) == {"address": "127.0.0.1", "why": why}


@pytest.mark.parametrize(
    "hostile",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\x00\x00\x00\x50" + b"\0" * 80, b"\x16\x03\x01\xff\xff" + b"\xff" * 100],
    ids=["http", "plain_dicom", "noise"],
)
def test_what_is_no_tls_is_closed_with_a_reason(node, caplog, hostile):
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as connection:
        connection.sendall(hostile)
        answer = b"".join(iter(lambda: received(connection), b""))
    assert len(answer) < 100  # an alert at most
    wait_for_reason(caplog, "TLS")


def wait_for_reason(caplog, part: str) -> dict:
    for _ in range(500):
        for record in caplog.records:
            fields = getattr(record, "fields", {})
            if part in fields.get("why", ""):
                return fields
        time.sleep(0.01)
    raise AssertionError(f"no refusal because of {part!r} was logged")


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1000)
    except ConnectionError:
        return b""


def test_silent_clients_do_not_keep_others_out(node, pki):
    context = client_context(site(pki, "scanner"))
    silent = [socket.create_connection(("127.0.0.1", node.port), timeout=5) for _ in range(30)]
    half = socket.create_connection(("127.0.0.1", node.port), timeout=5)
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    try:
        assert node.echo_within(1.0, context) < 1.0
    finally:
        for connection in (*silent, half):
            connection.close()


def test_a_handshake_has_a_deadline(tmp_path, pki):
    with (
        listening(tmp_path, site(pki, network_timeout_s=0.3)) as node,
        socket.create_connection(("127.0.0.1", node.port), timeout=5) as connection,
    ):
        assert connection.recv(100) == b""
        assert node.wait_for(Kind.ASSOCIATION_REFUSED)[0]["why"] == "The TLS handshake took too long."


def test_a_tls_client_on_the_plain_port_is_told_apart(tmp_path, pki, caplog):
    settings = SiteSettings(host="127.0.0.1", port=0, minimum_free_disk_mb=1.0)
    with listening(tmp_path, settings) as node:
        assert not node.shakes_hands(client_context(site(pki, "scanner")))
        assert node.events(Kind.ASSOCIATION_REFUSED) == []  # no peer of the treatment
        wait_for_reason(caplog, "speaks TLS")


def test_dcmtk_sends_over_tls(node, pki):
    command = ["echoscu", "-aec", "HOLMIA", "+tls", str(pki / "scanner.key"), str(pki / "scanner.pem")]
    command += ["+cf", str(pki / "authority.pem"), "127.0.0.1", str(node.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "expired"}, r"expired\.pem \(site\.tls_certificate\) has expired; put a valid one"),
        ({"name": "future"}, r"future\.pem \(site\.tls_certificate\) is not valid yet"),
        ({"key": "scanner"}, r"scanner\.key \(site\.tls_key\) is not the key of .*node\.pem"),
        ({"name": "noise", "key": "node"}, r"is no certificate or key in PEM"),
        ({"authority": "noise"}, r"noise\.pem \(site\.tls_authorities\) holds no certificates"),
        ({"name": "missing"}, r"missing\.pem \(site\.tls_certificate\) cannot be read: No such file"),
    ],
    ids=["expired", "future", "other_key", "noise", "no_authority", "missing"],
)
@pytest.mark.parametrize("context", [server_context, client_context], ids=["server", "client"])
def test_what_is_wrong_with_the_files_is_one_sentence(pki, context, options, sentence):
    with pytest.raises(TlsError, match=sentence) as raised:
        context(site(pki, **options))
    assert "\n" not in str(raised.value)


def test_tls_without_files_names_the_setting():
    with pytest.raises(TlsError, match=r"TLS needs site\.tls_authorities"):
        server_context(SiteSettings(tls=True))


def test_an_encrypted_key_is_a_sentence_and_no_question(pki, tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((pki / "node.key").read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsError, match=r"\(site\.tls_key\) is encrypted"):
        server_context(site(pki).model_copy(update={"tls_key": str(locked)}))


def test_a_listener_with_an_expired_certificate_does_not_start(tmp_path, pki):
    record = Record.create(tmp_path / "a.holmia")
    listener = Listener(record, lambda: record, site(pki, "expired"), None, lambda: datetime.now(UTC))
    with pytest.raises(ListenerError, match="has expired"):
        listener.start()
    assert [event.kind for event in record.events()] == [Kind.TREATMENT_CREATED][: len(record.events())]
    record.close()


def test_the_expiry_is_the_certificates_own(pki):
    assert certificate_expiry(site(pki, "lasting")) == datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
