"""The sections behind the summary that consist of tables of doses and activities."""

from __future__ import annotations

from collections.abc import Sequence

from reportlab.platypus import Flowable

from console.outputs import rounding
from console.outputs.report.layout import heading, remark, subheading, table, text
from console.outputs.report.words import (
    UNKNOWN,
    Document,
    activity,
    coverage,
    coverage_head,
    derived_dose,
    dose_interval,
    label,
    last_with_results,
    mean_dose,
    measured,
    moment,
    ordered,
    percent,
    plain,
    ratio,
    recovery,
    registration,
    span,
    trend,
    volume_ml,
)

_AT_ONCE = 5
"""Volumes side by side in a table of the uncertainties."""
_QUANTITIES = {
    "dose_mean_Gy": ("Mean dose", "Gy", 1.0),
    "d90_Gy": ("D90", "Gy", 1.0),
    "d70_Gy": ("D70", "Gy", 1.0),
    "d50_Gy": ("D50", "Gy", 1.0),
    "dose_sd_Gy": ("Standard deviation", "Gy", 1.0),
    "cv": ("CV", "", 1.0),
    "tnr": ("T/N", "", 1.0),
    "coverage": ("Coverage", "%", 100.0),
    "activity_MBq": ("Activity", "MBq", 1.0),
    "gain_Gy": ("Gain since the image before", "Gy", 1.0),
    "dose_normalised_Gy": ("Dose scaled to the activity injected", "Gy", 1.0),
    "bed_Gy": ("BED", "Gy", 1.0),
}


def fractions(document: Document) -> list[Flowable]:
    """Section 4: every fraction with every volume."""
    found = heading("4 Results by fraction and volume")
    if not document["fractions"]:
        return [*found, *text("No fraction has a result yet.")]
    for fraction in document["fractions"]:
        found += _fraction(document, fraction)
    return found


def _fraction(document: Document, fraction: Document) -> list[Flowable]:
    status = str(fraction["status"])
    found = subheading(f"{label(fraction)} · {status} · image of {moment(fraction['acquired_at'])}", needs_mm=40.0)
    injected = activity(fraction["injected_MBq"], fraction["injected_u_MBq"])
    sums = f"injected {injected}; at this position so far {activity(fraction['position_injected_MBq'])}; "
    sums += f"in all {activity(fraction['cumulative_injected_MBq'])}"
    if status == "failed":
        failure = remark(f"FAILED, no dose: {fraction['error'] or 'cause unknown'}", alert=True)
        return [*found, *failure, *text(f"Activity: {sums}.", 7.2)]
    words = f"Activity: {sums}; measured in the liver {measured(fraction)}; recovery {recovery(fraction)}. "
    found += text(f"{words}Registration: {registration(fraction)}.", 7.2)
    said = [f"Provisional: {reason}." for reason in fraction["provisional_reasons"]] + list(fraction["notes"])
    found += text(" ".join(said), 7.2) if said else []
    volumes = fraction["volumes"]
    if not volumes:
        return [*found, *text("No volumes of interest: there are maps only.")]
    names, covered = ordered(document, volumes), coverage_head(document)
    head = ("Volume", "Evaluable", "Mean dose", "95 % interval", "SD", "D90", "D70", "D50", "CV", "T/N", covered)
    rows = [_volume_row(name, volumes[name]) for name in names]
    notes = [_volume_note(volumes[name], fraction["trend"].get(name)) for name in names]
    return [*found, *table(head, rows, (25, 15, 20, 20, 15, 16, 16, 16, 15, 14, 14), size=6.4, notes=notes)]


def _volume_row(name: str, own: Document) -> tuple[str, ...]:
    doses = (derived_dose(own, key) for key in ("dose_sd_Gy", "d90_Gy", "d70_Gy", "d50_Gy"))
    share = percent(own["evaluable_fraction"])
    return (
        name,
        share,
        mean_dose(own),
        dose_interval(own),
        *doses,
        ratio(own, "cv"),
        ratio(own, "tnr"),
        coverage(own),
    )


def _volume_note(own: Document, point: Document | None) -> str:
    told = [f"Trend: {trend(point)}"] if point is not None else []
    if own["gain_Gy"] is not None and own["status"] == "ok":
        told.append(f"gained since the image before: {derived_dose(own, 'gain_Gy')}")
    told += [f"{name.replace('_', ' ')}: {percent(share)}" for name, share in sorted(own["reasons"].items())]
    if own["v_x"] and own["status"] == "ok":
        shares = ", ".join(f"{percent(v['share'])} ≥ {plain(v['dose_Gy'])} Gy" for v in own["v_x"])
        told.append(f"share that receives at least a dose: {shares}")
    if own["partial_volume_Gy"] is not None and own["status"] != "not_evaluable":
        added = rounding.signed(own["partial_volume_Gy"], 1)
        told.append(f"of the mean by the correction for partial volume: {added} Gy")
    if own["cold"] is not None:
        told.append(f"largest connected part below the dose of coverage: {volume_ml(own['cold']['volume_mL'])}")
    told += [str(own[key]) for key in ("message", "warning") if own[key]]
    return " · ".join(told)


def ledger(document: Document) -> list[Flowable]:
    """Section 5: every activity, from the vial to the patient."""
    found = heading("5 Ledger of activity")
    if not document["injections"]:
        return [*found, *text("No injection is planned or known.")]
    head = ("Injection", "Planned", "Net, at its end", "End of injection", "Specific activity then", "State")
    rows = [_injection(own) for own in document["injections"]]
    own = document["activity"]
    for position, sums in own["positions"].items():
        rows.append((f"{position}, all", activity(sums["planned_MBq"]), _injected(sums), "", "", ""))
    rows.append(("All positions", activity(own["planned_MBq"]), _injected(own), "", "", ""))
    found += table(head, rows, (22, 20, 30, 30, 28, 50))
    found += text(
        "Net activity with its own standard uncertainty (k = 1); that of the activity meter, common to all, is in the "
        "sums only.",
        7.0,
        muted=True,
    )
    plan = document["plan"]
    found += _batch(plan)
    if plan.get("vials"):
        rows = [
            (v["name"], plain(v["activity_MBq"], "MBq"), moment(v["assay_time"]), plain(v.get("mass_mg"), "mg"))
            for v in plan["vials"]
        ]
        found += [*subheading("Vials"), *table(("Vial", "Activity", "Assayed at", "Mass"), rows, (40, 40, 60, 40))]
    if plan.get("residuals"):
        rows = [
            (
                ", ".join(f"{position} F{number}" for position, number in r["injections"]),
                plain(r["activity_MBq"], "MBq"),
                moment(r["assay_time"]),
            )
            for r in plan["residuals"]
        ]
        found += [*subheading("Residuals"), *table(("Of injections", "Activity", "Assayed at"), rows, (80, 40, 60))]
    return found


def _injected(sums: Document) -> str:
    return activity(sums["injected_MBq"], sums["injected_u_MBq"])


def _injection(own: Document) -> tuple[str, ...]:
    given = own["time"] is not None
    words = [word for key, word in (("aborted", "aborted"), ("outside_mri", "outside the MRI")) if own[key]]
    if own["cancelled"]:
        words = ["cancelled"]
    elif not given and not own["aborted"]:
        words.append("under way" if own["started_at"] is not None else "not given yet")
    if own["provisional_reason"]:
        words.append(f"provisional: {own['provisional_reason']}")
    # Planned activities count from what is stated; an activity that is not known is no 0.
    net = activity(own["activity_MBq"], own["activity_u_MBq"]) if own["activity_MBq"] is not None or given else "—"
    specific = own["specific_activity_MBq_per_mg"]
    return (
        label(own),
        activity(own["planned_MBq"]),
        net,
        moment(own["time"]) if given else "—",
        "—" if specific is None else plain(specific, "MBq/mg"),
        "; ".join(words) or "given",
    )


def _batch(plan: Document) -> list[Flowable]:
    rows = []
    if "microspheres" in plan:
        own = plan["microspheres"]
        held = f"{plain(own['specific_activity_MBq_per_mg'], 'MBq per mg of microspheres')} at "
        held += f"{moment(own['reference_time'])}; holmium {plain(own['holmium_fraction'])} by mass"
        rows.append(("Microspheres", held))
    if "calibration" in plan:
        own = plan["calibration"]
        words = f"relaxivity {plain(own['relaxivity_per_s_per_mg_mL'])} s⁻¹ per mg/mL at {plain(own['field_T'], 'T')}; "
        words += f"holmium {plain(own['holmium_fraction'])} by mass"
        words += f"; {plain(own['temperature_C'], '°C')}" if own.get("temperature_C") is not None else ""
        rows.append(("Calibration", words))
    return [*subheading("Batch and calibration"), *table(("", ""), rows, (35, 145))] if rows else []


def uncertainties(document: Document) -> list[Flowable]:
    """Section 6: intervals, and what the uncertainty of each mean consists of, after the last fraction."""
    fraction = last_with_results(document)
    found = heading("6 Uncertainties")
    names = [] if fraction is None else ordered(document, fraction["volumes"])
    if fraction is None or not names:
        return [*found, *text("There is no dose of a volume that an uncertainty could be told of.")]
    found += text(f"After {label(fraction)}; standard uncertainties (k = 1) and 95 % intervals.")
    evaluable = [name for name in names if fraction["volumes"][name]["status"] != "not_evaluable"]
    for start in range(0, len(evaluable), _AT_ONCE):
        part = evaluable[start : start + _AT_ONCE]
        found += _intervals(fraction["volumes"], part)
        found += _budget(fraction["volumes"], part)
    out = [name for name in names if name not in evaluable]
    return [*found, *(text(f"Not evaluable, without any: {', '.join(out)}.") if out else [])]


def _intervals(volumes: Document, names: Sequence[str]) -> list[Flowable]:
    rows = []
    for key, (words, unit, factor) in _QUANTITIES.items():
        cells = [_interval_cell(volumes[name], key, unit, factor) for name in names]
        if any(cell != "—" for cell in cells):
            rows.append((words, *cells))
    shares = (34, *([146 / len(names)] * len(names)))
    return table(("Quantity", *names), rows, shares) if rows else text("No interval is known.")


def _interval_cell(own: Document, key: str, unit: str, factor: float) -> str:
    value, interval = own[key], own["intervals"].get(key)
    if value is None or interval is None:
        return "—"
    if own["status"] == "lower_bound":
        return "lower bound"
    # The mean has one uncertainty in every table; that of the samples differs in its last digit.
    stated = own["dose_mean_u_Gy"] if key == "dose_mean_Gy" else None
    u = interval["u"] if stated is None else stated
    if u > 0:
        words = " ± ".join(rounding.pair(factor * value, factor * u))
        return f"{words} {unit}".rstrip() + f" ({span(interval, unit, factor=factor)})"
    return f"{plain(factor * value, unit, digits=3)} ({span(interval, unit, factor=factor)})"


def _budget(volumes: Document, names: Sequence[str]) -> list[Flowable]:
    terms = dict.fromkeys((t["term"], t["correlated_with"]) for name in names for t in volumes[name]["budget"])
    if not terms:
        return text("No budget of the mean dose was computed.")
    rows = []
    for term, shared in terms:
        own = [next((t for t in volumes[name]["budget"] if t["term"] == term), None) for name in names]
        cells = ["—" if t is None else _budget_cell(t) for t in own]
        rows.append((term, *cells, shared or "—"))
    shares = (34, *([106 / len(names)] * len(names)), 40)
    return table(("Part of u of the mean (of u²)", *names, "Common to"), rows, shares)


def _budget_cell(term: Document) -> str:
    if term["u_Gy"] is None:
        return UNKNOWN
    share = term["share_of_variance_pct"]
    places = max(0, rounding.decimals_for(term["u_Gy"])) if term["u_Gy"] > 0 else 0
    return f"{rounding.decimal(term['u_Gy'], places)} Gy ({rounding.decimal(share, 0)} %)"
