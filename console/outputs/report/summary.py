"""The first page: what a radiologist reads in a minute, with everything that speaks against it."""

from __future__ import annotations

from reportlab.lib.colors import Color
from reportlab.platypus import Flowable

from console.outputs.report.layout import heading, remark, subheading, table, text
from console.outputs.report.letters import ALERT, CAUTION
from console.outputs.report.words import (
    Document,
    activity,
    activity_left,
    coverage,
    coverage_head,
    derived_dose,
    dose_interval,
    is_bound,
    label,
    last_with_results,
    mean_dose,
    moment,
    ordered,
    percent,
    plain,
    ratio,
    recovery,
    registration,
    trend,
    verdict,
)

_READING = (
    "Mean absorbed dose, cumulative over all fractions and positions, ± one standard uncertainty (k = 1). "
    "≥: a lower bound, the truth may be anything above. ≈: no uncertainty of its own. Withheld: the mean is not known "
    "well enough to tell it. D70: what the hottest 70 % of a volume receive at least. T/N: mean concentration in "
    "the tumour over that in the healthy liver."
)


def summary(document: Document) -> list[Flowable]:
    """Doses after the last fraction that has any, limits, recovery, registration, flags."""
    fraction = last_with_results(document)
    if fraction is None:
        told = "No fraction has a result" if not document["fractions"] else "Every fraction failed"
        return [
            *heading("1 Summary"),
            *remark(f"{told}: this report holds no dose.", alert=True),
            *_state(document, None),
            *_activity(document, None),
            *_alarms(document),
        ]
    when = f"image of {moment(fraction['acquired_at'])} ({document['state']['time_zone']})"
    return [
        *heading(f"1 Summary: dose after {label(fraction)}"),
        *text(f"{when}; result {fraction['status']}.", 8.5),
        *_state(document, fraction),
        *_tumours(document, fraction),
        *_normal_tissue(document, fraction),
        *_activity(document, fraction),
        *_alarms(document),
        *text(_READING, 7.0, muted=True),
    ]


def _state(document: Document, fraction: Document | None) -> list[Flowable]:
    """What speaks against the numbers below, each in a box."""
    found: list[Flowable] = []
    state, failed = document["state"], [f for f in document["fractions"] if f["status"] == "failed"]
    for own in failed:
        found += remark(f"{label(own)} FAILED, it has no dose: {own['error'] or 'cause unknown'}", alert=True)
    if fraction is not None and fraction["status"] == "provisional":
        found += remark(f"PROVISIONAL: {'; '.join(fraction['provisional_reasons']) or 'reason not stated'}")
    if state["what_if"]:
        laid = ", ".join(f"{key} = {value}" for key, value in sorted(state["what_if"].items()))
        found += remark(f"WHAT-IF, not as treated: computed with {laid}", alert=True)
    not_imaged = document["activity"]["not_imaged_MBq"]
    if not_imaged is None:
        found += remark("An activity injected after the last image is not known; no dose here holds it.")
    elif not_imaged > 0:
        found += remark(f"{activity(not_imaged)} were injected after the last image: no dose here holds them.")
    if not state["complete"]:
        awaited = state["awaited"]
        rest = f"; {label(awaited)} is awaited" if awaited is not None else ""
        found += remark(f"The treatment is not complete{rest}.")
    for fault in document["structures"]["faults"]:
        found += remark(fault)
    return found


def _tumours(document: Document, fraction: Document) -> list[Flowable]:
    volumes = fraction["volumes"]
    names = [name for name in ordered(document, volumes) if volumes[name]["role"] == "tumour"]
    if not names:
        return remark("No tumour was given or defined: no tumour dose can be told.")
    head = ("Tumour", "Mean dose", "95 % interval", "D70", coverage_head(document), "T/N", "Evaluable")
    rows = [
        (
            name,
            mean_dose(volumes[name]),
            dose_interval(volumes[name]),
            derived_dose(volumes[name], "d70_Gy"),
            coverage(volumes[name]),
            ratio(volumes[name], "tnr"),
            percent(volumes[name]["evaluable_fraction"]),
        )
        for name in names
    ]
    notes = [_tumour_note(volumes[name], fraction["trend"].get(name)) for name in names]
    marked = [_tumour_ground(volumes[name], fraction["trend"].get(name)) for name in names]
    widths = (34, 27, 27, 25, 22, 20, 18)
    return [*subheading("Tumours"), *table(head, rows, widths, size=8.2, notes=notes, marked=marked)]


def _tumour_ground(volume: Document, point: Document | None) -> Color | None:
    return CAUTION if volume["status"] != "ok" or (point is not None and point["flagged"]) else None


def _tumour_note(volume: Document, point: Document | None) -> str:
    told = [f"Trend: {trend(point)}"] if point is not None else []
    told += [str(volume[key]) for key in ("message", "warning") if volume[key]]
    told += ["Lower bound: voxels at the noise floor."] if is_bound(volume) and not volume["message"] else []
    return " · ".join(told)


def _normal_tissue(document: Document, fraction: Document) -> list[Flowable]:
    volumes, limits = fraction["volumes"], document["limits"]
    rows, notes, marked = [], [], []
    for limit in limits:
        own = volumes.get(limit["volume"])
        word, look = verdict(own, limit["dose_Gy"])
        mean, interval = ("—", "—") if own is None else (mean_dose(own), dose_interval(own))
        left = activity_left(document, fraction, limit["volume"])
        rows.append((limit["volume"], mean, interval, plain(limit["dose_Gy"], "Gy"), word, left))
        notes.append(f"Limit: {limit['provenance']}" if limit["provenance"] else "")
        marked.append(ALERT if look else None)
    limited = {limit["volume"] for limit in limits}
    for name in ordered(document, volumes):
        own = volumes[name]
        if own["role"] != "tumour" and name not in limited:
            told = (name, mean_dose(own), dose_interval(own), "none stated", "—", "—")
            rows.append(told)
            notes.append("" if own["status"] == "ok" else own["message"])
            marked.append(CAUTION if own["status"] != "ok" else None)
    if not rows:
        return remark("No liver was given or defined: no dose of healthy liver can be told.")
    head = ("Volume", "Mean dose", "95 % interval", "Limit", "Against the limit", "Activity left")
    widths = (34, 27, 27, 20, 40, 32)
    return [*subheading("Liver and limits"), *table(head, rows, widths, size=8.2, notes=notes, marked=marked)]


def _activity(document: Document, fraction: Document | None) -> list[Flowable]:
    own = document["activity"]
    rows = [
        ("Activity injected", activity(own["injected_MBq"], own["injected_u_MBq"])),
        ("Activity planned", activity(own["planned_MBq"])),
    ]
    if fraction is not None:
        rows += [("Recovery: measured of injected", recovery(fraction)), ("Registration", registration(fraction))]
    return [*subheading("Activity and trust"), *table(("", ""), rows, (50, 130), size=8.2)]


def _alarms(document: Document) -> list[Flowable]:
    active = document["alarms"]
    if not active:
        return [*subheading("Active alarms"), *text("None.")]
    order = ("high", "medium", "low")
    rows = [
        (str(alarm["priority"]).upper(), alarm["text"])
        for alarm in sorted(active, key=lambda a: (order.index(a["priority"]), a["raised_at"], a["id"]))
    ]
    return [*subheading("Active alarms (all, with acknowledgements, in section 7)"), *table(("", ""), rows, (20, 160))]
