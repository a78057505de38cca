"""The sections that let a reader trace every number: alarms, methods, hashes, series."""

from __future__ import annotations

from reportlab.platypus import Flowable

from console.outputs.report.layout import heading, subheading, table, text
from console.outputs.report.words import UNKNOWN, Document, moment, ordered, percent, plain, volume_ml

_PRIORITIES = ("high", "medium", "low")


def alarms(document: Document) -> list[Flowable]:
    """Section 7: every alarm that was ever raised, and who saw it."""
    raised = document["record"]["alarms"]
    if not raised:
        return [*heading("7 Alarms"), *text("No alarm was raised.")]
    rows = []
    for own in sorted(raised, key=lambda a: (_PRIORITIES.index(a["priority"]), a["raised_at"], a["id"])):
        seen = "NOT ACKNOWLEDGED"
        if own["acknowledged_by"] is not None:
            seen = f"{own['acknowledged_by']}, {moment(own['acknowledged_at'])}"
        state = "active" if own["active"] else "cause gone"
        rows.append((str(own["priority"]).upper(), moment(own["raised_at"]), own["text"], state, seen))
    head = ("Priority", "Dated", "Alarm", "State", "Acknowledged by")
    return [*heading("7 Alarms"), *table(head, rows, (17, 25, 84, 18, 36))]


def methods(document: Document) -> list[Flowable]:
    """Section 8: what ran, and what had to be assumed."""
    found = [*heading("8 Methods"), *text(document["methods"] or "Nothing was computed.")]
    remarks = document["structures"]["remarks"]
    if remarks:
        found += [*subheading("Volumes: what was assumed"), *text(" ".join(remarks), 7.2)]
    return found


def sources(document: Document) -> list[Flowable]:
    """Section 9: versions, hashes, series, volumes, maps, revisions."""
    return [
        *heading("9 Where the numbers come from"),
        *_software(document),
        *_volumes(document),
        *_series(document),
        *_maps(document),
        *_revisions(document),
    ]


def _software(document: Document) -> list[Flowable]:
    own, state, grid = document["software"], document["state"], document["images"]["grid"]
    closed = state["closed"]
    rows = [
        ("Holmia", own["version"]),
        ("Settings, SHA-256", own["settings_sha256"] or UNKNOWN),
        ("Record head, SHA-256", own["record_head"] or UNKNOWN),
        ("Treatment file", own["record_damage"] or "whole: no damage was found"),
        ("Closed", "no" if closed is None else f"{moment(closed['at'])} by {closed['by']}"),
        ("Time zone", state["time_zone"]),
        ("Reference series", document["reference"]["series_instance_uid"] or "none"),
    ]
    if grid is not None:
        shape, spacing = (" × ".join(plain(v) for v in grid[key]) for key in ("shape", "spacing_mm"))
        rows.append(("Grid of the maps", f"{shape} voxels of {spacing} mm (slice, row, column)"))
    rows.append(("Anatomy", document["images"]["anatomy"] or "none"))
    text_of_record = (
        "The record head is the hash of the treatment file's last event: a file with another head is another file. "
        "□ stands for a letter that this report's font lacks; results.json has it."
    )
    return [*table(("", ""), rows, (40, 140), mono=(1,)), *text(text_of_record, 7.0, muted=True)]


def _volumes(document: Document) -> list[Flowable]:
    sources_of, volumes = document["record"]["volume_sources"], document["volumes"]
    if not volumes:
        return [*subheading("Volumes"), *text("No structures were received or drawn.")]
    rows = []
    for name in ordered(document, volumes):
        own, source = volumes[name], sources_of.get(name)
        size = volume_ml(own["contour_volume_mL"])
        outside = percent(own["outside_the_grid"])
        if source is None:
            rows.append((name, size, outside, "derived from other volumes", "", ""))
        else:
            rows.append((name, size, outside, source["title"], plain(source["version"]), source["sha256"]))
    head = ("Volume", "Contoured", "Outside the grid", "Source", "Version", "Object, SHA-256")
    return [*subheading("Volumes"), *table(head, rows, (30, 18, 16, 36, 14, 66), mono=(5,))]


def _series(document: Document) -> list[Flowable]:
    rows = []
    for own in document["record"]["series"]:
        role = own["role"] or "unbound"
        if own["position"] is not None and own["fraction"] is not None:
            role += f" {own['position']} F{own['fraction']}"
        role += "" if own["confirmed"] is None or own["confirmed"] else ", unconfirmed"
        echoes = ", ".join(plain(v, digits=3) for v in own["echo_times_ms"])
        rows.append(
            (
                role,
                f"{own['description']} ({own['protocol']})" if own["protocol"] else own["description"],
                moment(own["acquired_at"]),
                f"{echoes} ms" if echoes else "—",
                own["refusal"] or _series_state(own),
                " ".join(own["series_instance_uids"]),
            )
        )
    if not rows:
        return [*subheading("Series"), *text("No series was received.")]
    head = ("Role", "Series", "Acquired", "Echo times", "State", "Series Instance UID")
    return [*subheading("Series"), *table(head, rows, (22, 30, 22, 28, 40, 38), size=6.4, mono=(5,))]


def _series_state(own: Document) -> str:
    status, reason = str(own["status"]), str(own["reason"])
    return reason if reason.startswith(status) or not reason else f"{status}: {reason}"


def _maps(document: Document) -> list[Flowable]:
    rows = [
        (f"{own['position']} F{own['fraction']}", name, own[name])
        for own in document["record"]["map_sha256"]
        for name in ("r2star", "holmium", "dose", "reason")
        if name in own
    ]
    if not rows:
        return []
    head = ("After", "Map", "SHA-256 of its values")
    return [*subheading("Maps"), *table(head, rows, (24, 24, 132), size=6.4, mono=(2,))]


def _revisions(document: Document) -> list[Flowable]:
    rows = [
        (moment(own["at"]), own["by"], "; ".join(own["differences"]), own["reason"] or "—")
        for own in document["record"]["revisions"]
    ]
    if not rows:
        return [*subheading("Revisions of plan and settings"), *text("None after the treatment had begun.")]
    head = ("When", "By", "What", "Why")
    return [*subheading("Revisions of plan and settings"), *table(head, rows, (26, 30, 80, 44))]
