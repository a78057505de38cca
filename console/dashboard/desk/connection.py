"""The connection wizard in words: what the scanner's form asks for, what came of its echo, and ours to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from config.settings import SiteSettings
from console.dashboard.desk.connection_echo import is_loopback
from console.dashboard.desk.connection_refusals import refusal_words
from console.dashboard.screen import formatting
from console.dashboard.screen.model import State, Tone
from console.dashboard.screen.room_time import room_time
from console.snapshot import Snapshot
from dicom_listener.events import Event, Kind

_LATEST = 6


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the scanner's form: what it is called there, and what to enter; `copied` where it can be copied."""

    label: str
    value: str
    note: str = ""
    tone: Tone = Tone.NORMAL
    copied: bool = True


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One association as it is told: when, who, what it did, and what to change where it was refused."""

    state: State
    words: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class ConnectionScreen:
    """All three steps."""

    listening: State
    lines: tuple[Line, ...]
    heard: tuple[Heard, ...]
    """The latest first; empty while nobody has called."""
    waiting: str
    """What is waited for, in a sentence."""


def connection_screen(
    snapshot: Snapshot,
    site: SiteSettings,
    *,
    name: str,
    addresses: Sequence[str],
    port: int | None,
    listening: bool,
    now: datetime | None,
) -> ConnectionScreen:
    """Everything that the dialog shows of this node and of whoever called it.

    Parameters
    ----------
    name, addresses
        Of this machine, those that others can reach.
    port
        Where the listener listens, if this console started it.
    listening
        Whether a listener is at work on the treatment file.
    now
        The time in the room; None where there is none.
    """
    title = title_in_use(snapshot, site)
    heard = tuple(_told(one, snapshot, site, title, now) for one in _associations(snapshot.events)[:_LATEST])
    return ConnectionScreen(
        listening=_listening(listening, site),
        lines=(
            _address_line(site, addresses),
            Line(label="Host name", value=name, note="where the scanner asks for a name instead of an address"),
            _port_line(port_in_use(snapshot, site, port), site, listening=listening),
            _title_line(title, site),
            _security_line(site),
            _syntax_line(site),
        ),
        heard=heard,
        waiting=_waiting(heard, listening=listening),
    )


def port_in_use(snapshot: Snapshot, site: SiteSettings, port: int | None) -> int:
    """The listener's port: as this console started it, as it recorded it, else as the settings have it."""
    if port:
        return port
    started = (event for event in reversed(snapshot.events) if event.kind == Kind.LISTENER_STARTED)
    event = next(started, None)
    return (_port(event) if event is not None else None) or site.port


def title_in_use(snapshot: Snapshot, site: SiteSettings) -> str:
    """The listener's AE title: as it recorded it, else as the settings have it."""
    for event in reversed(snapshot.events):
        if event.kind == Kind.LISTENER_STARTED:
            return str(event.payload.get("ae_title") or site.ae_title)
    return site.ae_title


# -- what the scanner's form asks for ------------------------------------------------------------------------------


def _listening(listening: bool, site: SiteSettings) -> State:
    if not listening:
        return State(
            sign="✕",
            word="the listener is NOT running: no images can arrive; start the console again, or holmia listen",
            tone=Tone.ALERT,
        )
    if is_loopback(site.host):
        return State(
            sign="▲",
            word=f"the listener runs, but on this machine only (site.host = {site.host}): no scanner can reach it",
            tone=Tone.CAUTION,
        )
    return State(sign="✓", word="the listener is running", tone=Tone.GOOD)


def _address_line(site: SiteSettings, addresses: Sequence[str]) -> Line:
    label = "IP address"
    if is_loopback(site.host):
        note = "reached from this machine only; set site.host = 0.0.0.0 (settings file) for a scanner to reach it"
        return Line(label=label, value=site.host, note=note, tone=Tone.CAUTION)
    if site.host not in ("0.0.0.0", "::", ""):
        return Line(label=label, value=site.host, note="the only address that the listener takes calls on (site.host)")
    if not addresses:
        note = "this machine has no address that others can reach: is its network connected?"
        return Line(label=label, value=formatting.NOT_KNOWN, note=note, tone=Tone.ALERT, copied=False)
    others = ", ".join(addresses[1:])
    note = f"or {others}: the one in the scanner's network" if others else "this machine's address"
    return Line(label=label, value=addresses[0], note=note)


def _port_line(port: int, site: SiteSettings, *, listening: bool) -> Line:
    if not port:
        note = "site.port = 0 takes any free one, another after each start; set site.port, as 11112"
        return Line(label="Port", value=formatting.NOT_KNOWN, note=note, tone=Tone.CAUTION, copied=False)
    if site.port == 0:
        note = "another one after each start (site.port = 0); set site.port, as 11112"
        return Line(label="Port", value=str(port), note=note, tone=Tone.CAUTION)
    if port != site.port and listening:
        return Line(label="Port", value=str(port), note=f"given at the start; the settings say {site.port} (site.port)")
    return Line(label="Port", value=str(port), note="site.port")


def _title_line(title: str, site: SiteSettings) -> Line:
    must = "must be exactly this" if site.require_called_ae_title else "any other is taken too"
    return Line(label="AE title", value=title, note=f"of this node, capitals matter; {must} (site.ae_title)")


def _security_line(site: SiteSettings) -> Line:
    if site.tls:
        value, note = "on", "TLS 1.2 or 1.3 with certificates on both sides (site.tls); the scanner needs one of ours"
    else:
        value, note = "off", "no TLS (site.tls)"
    return Line(label="Security (TLS)", value=value, note=note, copied=False)


def _syntax_line(site: SiteSettings) -> Line:
    value = "uncompressed or lossless" if site.compressed_transfer_syntaxes else "uncompressed"
    note = "Explicit or Implicit VR Little Endian"
    if site.compressed_transfer_syntaxes:
        note += "; also JPEG Lossless, JPEG-LS, JPEG 2000 Lossless, RLE"
    return Line(label="Transfer syntax", value=value, note=note, copied=False)


# -- who has called ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Association:
    """The events of one association: its beginning and end, or its refusal."""

    first: Event
    closed: Event | None = None


def _associations(events: Sequence[Event]) -> list[_Association]:
    """From the network, the latest first."""
    closed = {str(e.payload.get("association")): e for e in events if e.kind == Kind.ASSOCIATION_CLOSED}
    found = []
    for event in reversed(events):
        if event.kind == Kind.ASSOCIATION_REFUSED:
            found.append(_Association(first=event))
        elif event.kind == Kind.ASSOCIATION_OPENED:
            found.append(_Association(first=event, closed=closed.get(str(event.payload.get("association")))))
    return found


def last_caller(snapshot: Snapshot) -> tuple[str, str]:
    """Address and AE title of whoever called last over the network, this machine apart; empty where nobody did."""
    for one in _associations(snapshot.events):
        address = str(one.first.payload.get("address") or "")
        if address and not is_loopback(address):
            return address, str(one.first.payload.get("calling_ae") or "")
    return "", ""


def _told(one: _Association, snapshot: Snapshot, site: SiteSettings, title: str, now: datetime | None) -> Heard:
    payload = one.first.payload
    calling, address = str(payload.get("calling_ae") or ""), str(payload.get("address") or "an unknown address")
    # Without a plan the room's zone is that of its clock.
    at = room_time(snapshot, one.first.utc) if now is None else one.first.utc.astimezone(now.tzinfo)
    passed = f", {formatting.age(now - at)} ago" if now is not None and now >= at else ""
    who = f"{at:%H:%M:%S}{passed} · {calling or 'somebody without an AE title'} from {address}"
    if one.first.kind == Kind.ASSOCIATION_REFUSED:
        why, advice = refusal_words(str(payload.get("why") or ""), payload, site, title)
        return Heard(state=State(sign="✕", word="REFUSED", tone=Tone.ALERT), words=f"{who}: {why}", advice=advice)
    if one.closed is None:
        return Heard(state=State(sign="●", word="OPEN", tone=Tone.ACTIVE), words=f"{who}: connected now")
    stored = one.closed.payload.get("instances", 0)
    how = str(one.closed.payload.get("how") or "")
    if how == "released":
        did = "nothing was sent, as in an echo" if stored == 0 else _stored(stored)
        return Heard(state=State(sign="✓", word="REACHED US", tone=Tone.GOOD), words=f"{who}: {did}; ended in order")
    broke = "broken off by the sender" if how == "aborted" else "the connection was lost"
    advice = "Echo again from the scanner; if it is lost again, look at the cable, the firewall and its time limits."
    state = State(sign="▲", word="BROKE OFF", tone=Tone.CAUTION)
    return Heard(state=state, words=f"{who}: {_stored(stored)}; {broke}", advice=advice)


def _stored(count: object) -> str:
    return "nothing was stored" if count == 0 else f"{count} object{'' if count == 1 else 's'} stored"


def _waiting(heard: Sequence[Heard], *, listening: bool) -> str:
    if not listening:
        return "Nothing can be heard: the listener is not running."
    if not heard:
        return "Waiting: start an echo (verification, C-ECHO) on the scanner; it appears here by itself."
    return "Still listening: another echo appears here by itself."


def _port(event: Event) -> int | None:
    port = event.payload.get("port")
    return port if isinstance(port, int) and port > 0 else None
