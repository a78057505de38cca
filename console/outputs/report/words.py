"""What the results document says of a dose, in words: the same digits and the same states as on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from console.outputs import rounding

Document = Mapping[str, Any]

NOT_EVALUABLE, WITHHELD, UNKNOWN = "not evaluable", "withheld", "not known"
ROLES = {"tumour": "tumour", "liver": "liver", "healthy_liver": "healthy liver", "territory": "territory"}
_ORDER = ("tumour", "healthy_liver", "territory", "liver")


def label(of: Document) -> str:
    """``RHA F2``."""
    return f"{of['position']} F{of['fraction']}"


def moment(text: str | None) -> str:
    """``2026-03-04 10:54``: date and minutes as the document has them, in the treatment's zone."""
    return UNKNOWN if text is None else f"{text[:10]} {text[11:16]}"


def ordered(document: Document, volumes: Mapping[str, Document]) -> list[str]:
    """Names of volumes: tumours first, in the plan's order, then what is healthy; whatever the order of the keys."""
    stated = list((document["plan"].get("structures") or {}).get("tumours", ()))
    place = {name: at for at, name in enumerate(stated)}
    return sorted(volumes, key=lambda name: (_ORDER.index(volumes[name]["role"]), place.get(name, len(place)), name))


def plotted(document: Document) -> dict[str, int]:
    """Number of every volume with a curve of its own: 0 is the healthy liver, tumours count from 1, parts go on."""
    every = {**document["volumes"], **{n: v for f in document["fractions"] for n, v in f["volumes"].items()}}
    names = [name for name in ordered(document, every) if every[name]["role"] in ("tumour", "healthy_liver")]
    healthy = [name for name in names if every[name]["role"] == "healthy_liver"]
    first = "Healthy liver" if "Healthy liver" in healthy else next(iter(healthy), None)
    return {name: 0 if name == first else at for at, name in enumerate(sorted(names, key=lambda n: n == first), 1)}


def is_bound(volume: Document) -> bool:
    """Whether its dose is a lower bound."""
    return bool(volume["status"] == "lower_bound")


def last_with_results(document: Document) -> Document | None:
    """The fraction that the report is about: the last that did not fail."""
    return next((f for f in reversed(document["fractions"]) if f["status"] != "failed"), None)


def plain(value: float | None, unit: str = "", *, digits: int = 4) -> str:
    """A number without an uncertainty, as it was stated: at most `digits` significant digits."""
    if value is None:
        return UNKNOWN
    number = f"{value:.{digits}g}".replace("-", "−")
    return f"{number} {unit}" if unit else number


def volume_ml(value: float | None) -> str:
    """``33 mL``; below 10 mL with a decimal."""
    return UNKNOWN if value is None else f"{rounding.decimal(value, 0 if value >= 10 else 1)} mL"


def percent(share: float | None) -> str:
    """``83 %`` of a share 0…1."""
    return UNKNOWN if share is None else f"{rounding.decimal(100.0 * share, 0)} %"


def mean_dose(volume: Document) -> str:
    """``78 ± 11 Gy``, ``≥ 120 Gy``, or in words why there is no number."""
    mean, u = volume["dose_mean_Gy"], volume["dose_mean_u_Gy"]
    if volume["status"] == "not_evaluable":
        return NOT_EVALUABLE
    if mean is None:
        return UNKNOWN
    if is_bound(volume):
        return rounding.lower_bound(mean, u, "Gy")
    if u is None or u <= 0:
        return "its uncertainty is not known"
    return rounding.with_uncertainty(mean, u, "Gy")


def derived_dose(volume: Document, key: str) -> str:
    """A dose beside the mean (D70, gain …); ``≈`` where it has no uncertainty of its own: rounded like the mean."""
    value, u = volume[key], volume["dose_mean_u_Gy"]
    if volume["status"] == "not_evaluable":
        return "—"
    if value is None:
        return WITHHELD if key in ("d90_Gy", "d70_Gy", "d50_Gy", "dose_sd_Gy") else "—"
    if is_bound(volume):
        return "—" if key in ("dose_sd_Gy", "gain_Gy") else rounding.lower_bound(value, u, "Gy")
    own = volume["intervals"].get(key)
    if own is not None and own["u"] > 0:
        return rounding.with_uncertainty(value, own["u"], "Gy")
    places = min(rounding.decimals_for(u), 0) if u is not None and u > 0 else 0
    return f"≈ {rounding.decimal(value, places)} Gy"


def dose_interval(volume: Document) -> str:
    """``57…99 Gy``: the 95 % interval of the mean; a lower bound has none."""
    own = volume["intervals"].get("dose_mean_Gy")
    if volume["status"] == "not_evaluable" or volume["dose_mean_Gy"] is None:
        return "—"
    if is_bound(volume):
        return "none: lower bound"
    return UNKNOWN if own is None else span(own, "Gy")


def span(interval: Document, unit: str, *, factor: float = 1.0) -> str:
    """Low and high of a 95 % interval, rounded like its uncertainty."""
    low, high, u = (factor * interval[key] for key in ("low_95", "high_95", "u"))
    if u > 0:
        places = rounding.decimals_for(u)
        low_text, high_text = rounding.decimal(low, places), rounding.decimal(high, places)
    else:
        low_text, high_text = plain(low, digits=3), plain(high, digits=3)
    return f"{low_text}…{high_text} {unit}".rstrip()


def coverage_head(document: Document) -> str:
    """The head of the column of coverage: ``≥ 90 Gy``."""
    at = document["settings"].get("quantification", {}).get("statistics", {}).get("coverage_Gy")
    return "Coverage" if at is None else f"≥ {plain(at)} Gy"


def coverage(volume: Document) -> str:
    """Share of a tumour that receives at least the dose of coverage."""
    share = volume["coverage"]
    if volume["role"] != "tumour":
        return ""
    if volume["status"] == "not_evaluable":
        return "—"
    if share is None:
        return WITHHELD
    own = volume["intervals"].get("coverage")
    if is_bound(volume):
        return rounding.lower_bound(100.0 * share, None, "%")
    if own is not None and own["u"] > 0:
        return " ± ".join(rounding.pair(100.0 * share, 100.0 * own["u"])) + " %"
    return f"≈ {percent(share)}"


def ratio(volume: Document, key: str) -> str:
    """T/N or CV: numbers without a unit."""
    value = volume[key]
    if key == "tnr" and volume["role"] != "tumour":
        return ""
    if volume["status"] == "not_evaluable":
        return "—"
    if value is None:
        return WITHHELD
    own = volume["intervals"].get(key)
    if own is not None and own["u"] > 0 and not is_bound(volume):
        return " ± ".join(rounding.pair(value, own["u"]))
    return f"≈ {rounding.decimal(value, 1 if key == 'tnr' else 2)}"


def liver_is_a_bound(fraction: Document) -> bool:
    """Whether the activity measured, and with it the recovery, is a lower bound."""
    return any(v["role"] == "liver" and is_bound(v) for v in fraction["volumes"].values())


def measured(fraction: Document) -> str:
    """``1 340 ± 100 MBq`` in the liver."""
    value, u = fraction["measured_MBq"], fraction["measured_u_MBq"]
    if value is None:
        return UNKNOWN
    if liver_is_a_bound(fraction):
        return rounding.lower_bound(value, u, "MBq")
    return UNKNOWN if u is None else rounding.with_uncertainty(value, u, "MBq")


def recovery(fraction: Document) -> str:
    """``104 ± 8 %``: measured of injected."""
    value, u = fraction["recovery_ratio"], fraction["recovery_ratio_u"]
    if value is None:
        return f"{UNKNOWN} (it needs a liver contour and the activities injected)"
    if liver_is_a_bound(fraction):
        return rounding.lower_bound(100.0 * value, 100.0 * u if u else None, "%")
    if not u:
        return UNKNOWN
    words = " ± ".join(rounding.pair(100.0 * value, 100.0 * u)) + " %"
    interval = fraction["recovery_interval_95"]
    if interval is None:
        return words
    low, high = (rounding.decimal(100.0 * end, rounding.decimals_for(100.0 * u)) for end in interval)
    return f"{words}, 95 % interval {low}…{high} %"


def activity(value: float | None, u: float | None = None) -> str:
    """An activity in MBq, with its uncertainty where that is known."""
    if value is None:
        return UNKNOWN
    if u is None or u <= 0:
        return rounding.activity(value)
    return f"{' ± '.join(rounding.decimal(v, min(rounding.decimals_for(u), 0)) for v in (value, u))} MBq"


def registration(fraction: Document) -> str:
    """Status, motion of the liver's centre, and what the edges say of what is left."""
    own = fraction["registration"]
    if own is None:
        return UNKNOWN
    status = str(own["status"]).replace("_", " ")
    if own["status"] == "not_needed":
        return status
    parts = [status]
    if own["status"] != "failed":
        shift = ", ".join(rounding.signed(v, 1) for v in own["translation_mm"])
        turn = ", ".join(rounding.signed(v, 1) for v in own["rotation_deg"])
        parts.append(f"corrected {shift} mm (L, P, H), {turn}°")
    if own["edge_median_mm"] is not None:
        edge = f"edges apart {own['edge_median_mm']:.1f} mm (median)"
        far = own["edge_95_mm"]
        parts.append(edge if far is None else f"{edge}, {far:.1f} mm (95 % of them below)")
    if own["similarity"] is not None:
        parts.append(f"similarity {own['similarity']:.2f}")
    parts += ["deformable"] if own["deformable"] else []
    parts += [f"given by {own['given_by']}"] if own["given_by"] else []
    return "; ".join([*parts, own["message"]] if own["message"] else parts)


def trend(point: Document | None) -> str:
    """``−24 % from the line (−18 Gy), outside the 95 % prediction interval 66…84 Gy``, flagged or not."""
    if point is None:
        return "—"
    state = str(point["status"]).replace("_", " ")
    if point["status"] != "tested" or point["deviation_pct"] is None:
        told = point["message"]
        return f"{state}: {told}" if told and told != state else state
    words = f"{'FLAGGED ' if point['flagged'] else ''}{rounding.signed(point['deviation_pct'])} % from the line"
    interval, places = point["prediction_interval_Gy"], 0
    if interval is not None and interval[1] > interval[0]:
        places = rounding.decimals_for((interval[1] - interval[0]) / 4)
    if point["deviation_Gy"] is not None:
        words += f" ({rounding.signed(point['deviation_Gy'], places)} Gy)"
    if interval is not None and point["significant"] is not None:
        low, high = (rounding.decimal(v, places) for v in interval)
        words += f", {'outside' if point['significant'] else 'inside'} the 95 % prediction interval {low}…{high} Gy"
    return words


def verdict(volume: Document | None, limit_gy: float) -> tuple[str, bool]:
    """How a mean dose and its upper 95 % bound stand against a limit; and whether somebody has to look."""
    if volume is None or volume["dose_mean_Gy"] is None or volume["status"] == "not_evaluable":
        return "no value to hold against it", True
    if volume["dose_mean_Gy"] >= limit_gy:
        return "OVER THE LIMIT", True
    own = volume["intervals"].get("dose_mean_Gy")
    if own is not None and own["high_95"] > limit_gy:
        return "UPPER 95 % BOUND OVER THE LIMIT", True
    if is_bound(volume):
        return "lower bound: may be over the limit", True
    if own is None:
        return "no uncertainty: may be over the limit", True
    return "under the limit, upper 95 % bound too", False


def activity_left(document: Document, fraction: Document, volume: str) -> str:
    """What the position can still take until a limit; withheld where it would rest on a lower bound."""
    left = fraction["outlook"]["activity_left"].get(volume)
    if left is None or document["state"]["complete"]:
        return "—"
    so_far: Sequence[Document] = document["fractions"][: document["fractions"].index(fraction) + 1]
    bounds = any(volume in f["volumes"] and is_bound(f["volumes"][volume]) for f in so_far)
    if left["MBq"] is None or bounds:
        return "not told: it would rest on a lower bound" if bounds else left["message"] or UNKNOWN
    return f"{rounding.activity(left['MBq'])} at {fraction['position']}, counted after {label(fraction)}"
