"""Why an association was refused, in plain words, and what to change on the scanner, or else in the settings here."""

from __future__ import annotations

from collections.abc import Mapping

from config.settings import SiteSettings


def refusal_words(why: str, payload: Mapping[str, object], site: SiteSettings, title: str) -> tuple[str, str]:
    """Why an association was refused, in plain words, and what to change on the scanner, or else here.

    `why` is as recorded (`dicom_listener.statuses`, `dicom_listener.tls`); one that is not known is told as it is.
    """
    called = str(payload.get("called_ae") or "")
    calling = str(payload.get("calling_ae") or "")
    address = str(payload.get("address") or "its address")
    told = {
        "The called AE title is not this node's.": (
            f"the scanner calls us {called!r}; this node is {title!r}",
            f"On the scanner enter {title!r} as the AE title of this destination; or set site.ae_title = {called!r}.",
        ),
        "The calling AE title is not on the list of the site.": (
            f"the scanner calls itself {calling!r}, which is not on the site's list",
            f"Add {calling!r} to site.calling_ae_titles; or give the scanner one of: "
            f"{', '.join(map(repr, site.calling_ae_titles)) or 'any'}.",
        ),
        "The calling or the called AE title is not valid.": (
            f"{calling!r} calling {called!r}: one of them is no AE title",
            "On the scanner enter AE titles of 1 to 16 letters, digits and signs, without backslash or accents.",
        ),
        "The address is not on the list of the site.": (
            f"{address} is not on the site's list of addresses",
            f"Add {address} to site.calling_addresses; or send from one of: "
            f"{', '.join(site.calling_addresses) or 'any'}.",
        ),
        "The version of the upper-layer protocol is not 1.": (
            "the sender speaks a version of the DICOM protocol that does not exist",
            "Is it a DICOM node? Its software may need an update; ask its vendor.",
        ),
        "The listener is stopping.": (
            "the listener was being stopped",
            "Start it again (holmia console or holmia listen), then echo again.",
        ),
        "The connection ended during the TLS handshake.": (
            "the connection ended while TLS was being agreed on",
            "Is TLS on at the scanner, with a certificate? If the scanner has no TLS, set site.tls = false.",
        ),
        "The TLS handshake took too long.": (
            "TLS was not agreed on in time",
            "Is TLS on at the scanner? If it has no TLS, set site.tls = false.",
        ),
        "The peer showed no certificate.": (
            "the scanner showed no certificate",
            "On the scanner load a certificate for TLS and have it sent (mutual authentication).",
        ),
        "The peer's certificate has expired.": (
            "the scanner's certificate has expired",
            "Load a new certificate on the scanner; and look at this machine's date.",
        ),
        "The peer's certificate is not valid yet.": (
            "the scanner's certificate is not valid yet",
            "Look at the dates of both machines; else load another certificate on the scanner.",
        ),
        "The peer speaks TLS, this port does not (site.tls).": (
            "the scanner speaks TLS, this node does not",
            "Turn TLS off for this destination on the scanner; or set site.tls = true, with certificates.",
        ),
        "The peer speaks HTTP, not DICOM.": (
            "a browser or another web program called, no scanner",
            "Enter this address and port as a DICOM destination, not as a web address.",
        ),
    }
    if why in told:
        return told[why]
    if why.startswith("There are "):
        return (
            f"there were {site.maximum_associations} associations at once already",
            "Echo again in a minute; if it stays, set site.maximum_associations higher.",
        )
    if why.startswith("The peer's certificate is not accepted"):
        return (
            f"the scanner's certificate is not accepted{why.partition('accepted')[2].rstrip('.')}",
            "Load a certificate of an authority of site.tls_authorities on the scanner; or add its authority there.",
        )
    if why.startswith("The peer does not speak TLS"):
        return (
            f"the scanner does not speak TLS as this node does{why.partition('node does')[2].rstrip('.')}",
            "Turn TLS 1.2 or 1.3 on for this destination on the scanner; or set site.tls = false.",
        )
    if why.startswith("The TLS handshake failed"):
        return (
            f"TLS could not be agreed on{why.partition('failed')[2].rstrip('.')}",
            "Look at certificates and TLS versions on the scanner (1.2 or 1.3), or set site.tls = false.",
        )
    return why.rstrip(".") or "no reason was recorded", "Look at the log of the listener."
