"""TLS 1.2 and 1.3 with certificates on both sides: the BCP 195 profile of the standard (PS3.15, B.12).

Certificates say who the other side is, so a peer without one of the site's authorities gets no further than the
handshake. Names in certificates are not compared: a scanner has an address, seldom a name.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from config.settings import SiteSettings

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:@SECLEVEL=2"
"""Of TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325, 4.2), keys of 112 bits of strength or more.
Those of TLS 1.3 all have both."""
_ROUNDS = 10
"""A handshake in memory takes three."""
_EXPIRED, _NOT_YET_VALID = 10, 9
"""X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL."""


class TlsError(Exception):
    """TLS cannot be set up; the text is a sentence for the user."""


def server_context(settings: SiteSettings) -> ssl.SSLContext:
    """Return what the listener speaks TLS with: a certificate is demanded of every peer.

    Raises
    ------
    TlsError
        If a file is not named, cannot be read or is not PEM, the key is not the certificate's, or the certificate is
        expired, not yet valid or cannot be used; with one sentence that says which.
    """
    context = _context(settings, ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # nobody resumes; unread tickets would turn a peer's close into a reset
    _try_own_certificate(settings, as_server=True)
    return context


def client_context(settings: SiteSettings) -> ssl.SSLContext:
    """Return what this node speaks TLS with where it is the one that asks: an echo, or sending. As `server_context`."""
    context = _context(settings, ssl.PROTOCOL_TLS_CLIENT)
    _try_own_certificate(settings, as_server=False)
    return context


def certificate_expiry(settings: SiteSettings) -> datetime:
    """Return when this node's certificate expires, in UTC.

    Raises
    ------
    TlsError
        As `server_context`.
    """
    return _try_own_certificate(settings, as_server=True)


def reason_in_words(error: OSError) -> str:
    """Return why a handshake failed, as a sentence; nothing of it is the peer's own words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _EXPIRED:
            return "The peer's certificate has expired."
        if error.verify_code == _NOT_YET_VALID:
            return "The peer's certificate is not valid yet."
        return f"The peer's certificate is not accepted: {error.verify_message}."
    if isinstance(error, TimeoutError):
        return "The TLS handshake took too long."
    reason = str(getattr(error, "reason", None) or "")
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "The peer showed no certificate."
    if reason in {
        "HTTP_REQUEST",
        "WRONG_VERSION_NUMBER",
        "UNSUPPORTED_PROTOCOL",
        "NO_SHARED_CIPHER",
        "RECORD_LAYER_FAILURE",
    }:
        return f"The peer does not speak TLS 1.2 or 1.3 as this node does ({reason.replace('_', ' ').lower()})."
    if reason:
        return f"The TLS handshake failed ({reason.replace('_', ' ').lower()})."
    return "The connection ended during the TLS handshake."


def _context(settings: SiteSettings, protocol: ssl._SSLMethod) -> ssl.SSLContext:
    authorities = _file(settings.tls_authorities, "tls_authorities")
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    _load_own(context, settings)
    try:
        context.load_verify_locations(cafile=authorities)
    except ssl.SSLError as error:
        raise TlsError(
            f"{authorities} (site.tls_authorities) holds no certificates in PEM; name the file of the authority."
        ) from error
    return context


def _load_own(context: ssl.SSLContext, settings: SiteSettings) -> None:
    certificate = _file(settings.tls_certificate, "tls_certificate")
    key = _file(settings.tls_key, "tls_key")

    def encrypted() -> str:
        raise TlsError(f"{key} (site.tls_key) is encrypted; a listener that starts by itself needs it without.")

    try:
        context.load_cert_chain(certificate, key, password=encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(
                f"{key} (site.tls_key) is not the key of {certificate} (site.tls_certificate); name the pair."
            ) from error
        if error.reason in {"EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}:
            raise TlsError(f"The key of {certificate} (site.tls_certificate) is too weak for BCP 195.") from error
        raise TlsError(
            f"{certificate} or {key} (site.tls_certificate, site.tls_key) is no certificate or key in PEM."
        ) from error


def _file(path: str, setting: str) -> str:
    if not path:
        raise TlsError(f"TLS needs site.{setting}: the path of a PEM file.")
    try:
        with Path(path).open("rb"):
            return path
    except OSError as error:
        raise TlsError(
            f"{path} (site.{setting}) cannot be read: {error.strerror or error}; check its name and who may read it."
        ) from error


def _try_own_certificate(settings: SiteSettings, *, as_server: bool) -> datetime:
    """Shake hands with ourselves in memory, trusting exactly our own certificate; return when it expires.

    The check that a peer will make, made at the start: OpenSSL alone decides on dates and uses, and no private
    function of the library is needed to read a certificate.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    for context in (server, client):
        context.verify_mode = ssl.CERT_NONE
        _load_own(context, settings)
    judge = client if as_server else server
    judge.verify_mode = ssl.CERT_REQUIRED
    judge.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    judge.load_verify_locations(cafile=settings.tls_certificate)
    try:
        shown = _handshake(server, client, shown_by_server=as_server)
    except ssl.SSLCertVerificationError as error:
        why = {_EXPIRED: "has expired", _NOT_YET_VALID: "is not valid yet"}.get(
            error.verify_code, f"cannot be used: {error.verify_message}"
        )
        raise TlsError(
            f"The certificate {settings.tls_certificate} (site.tls_certificate) {why}; put a valid one in its place, "
            "and look at this machine's clock."
        ) from error
    except ssl.SSLError as error:
        raise TlsError(
            f"The certificate {settings.tls_certificate} (site.tls_certificate) cannot be used: {error.reason}."
        ) from error
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, *, shown_by_server: bool) -> dict[str, object]:
    """Return the certificate that one end saw of the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(_ROUNDS):
        waiting = 0
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        if not waiting:
            break
    return dict((ends[0] if shown_by_server else ends[1]).getpeercert() or {})
