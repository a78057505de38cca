"""The trend of each injection position and the dose–volume histograms, drawn from the results document alone."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from console.outputs.report.look import drawing, look_of, plain_text
from console.outputs.report.words import Document, is_bound, plotted

HEIGHT_MM = 74.0
_FARTHEST_LIMIT = 2.0
"""A limit further above all doses than this would press them flat: it is only named."""
_FITTED = ("too_few_points", "fit")
_HOTTEST = 0.01
_BOUND = " (lower bound)"


def positions_with_points(document: Document) -> list[str]:
    """Injection positions, in order, that have a point to plot."""
    positions = dict.fromkeys(f["position"] for f in document["fractions"])
    return [p for p in positions if any(_points(fractions_of(document, p), n) for n in plotted(document))]


def fractions_of(document: Document, position: str) -> list[Document]:
    """The results of a position, in order."""
    return [f for f in document["fractions"] if f["position"] == position]


def _points(fractions: Sequence[Document], name: str) -> list[tuple[float, float, float | None, Document]]:
    """Activity, mean dose, its uncertainty (None: a lower bound) and the trend of a volume, by fraction."""
    found = []
    for fraction in fractions:
        own, x = fraction["volumes"].get(name), fraction["position_injected_MBq"]
        if own is None or x is None or own["dose_mean_Gy"] is None or own["status"] == "not_evaluable":
            continue
        if not is_bound(own) and own["dose_mean_u_Gy"] is None:
            continue
        u = None if is_bound(own) else float(own["dose_mean_u_Gy"])
        found.append((float(x), float(own["dose_mean_Gy"]), u, fraction["trend"].get(name)))
    return found


def trend_plot(document: Document, position: str) -> bytes:
    """Mean dose against the activity injected at a position: points ± u, line, 95 % prediction intervals; PNG."""
    fractions = fractions_of(document, position)
    drawn = {name: (index, found) for name, index in plotted(document).items() if (found := _points(fractions, name))}
    ticks = _ticks(fractions)
    with drawing(HEIGHT_MM) as (figure, buffer):
        axes = figure.add_axes((0.075, 0.2, 0.635, 0.75))
        farthest = max(x for x, _ in ticks)
        for name, (index, found) in sorted(drawn.items(), key=lambda item: item[1][0]):
            _series(axes, name, index, found, _line(fractions, name), farthest)
        top = axes.dataLim.y1
        for limit in document["limits"]:
            if limit["volume"] in drawn and limit["dose_Gy"] <= _FARTHEST_LIMIT * top:
                colour = look_of(drawn[limit["volume"]][0])[0]
                axes.axhline(limit["dose_Gy"], color=colour, linewidth=0.9, linestyle=(0, (6, 2, 1, 2)))
                axes.text(0.0, limit["dose_Gy"], _limit_words(limit), color=colour, fontsize=6, va="bottom")
        axes.set_xlim(0.0, 1.06 * farthest)
        axes.set_ylim(0.0, None)
        axes.set_xticks([x for x, _ in ticks])
        axes.set_xticklabels([words for _, words in ticks])
        _labels(axes, f"activity injected at {position} (MBq)", "mean absorbed dose (Gy)")
        handles, names = axes.get_legend_handles_labels()
        order = {plain_text(name): index for name, (index, _) in drawn.items()}
        pairs = sorted(zip(handles, names, strict=True), key=lambda pair: order[_named(pair[1])])
        _legend(axes, [handle for handle, _ in pairs], [name for _, name in pairs])
        _signs(axes)
    return buffer.getvalue()


def _ticks(fractions: Sequence[Document]) -> list[tuple[float, str]]:
    """Where fractions lie on the axis, and what stands there: number and activity; of one that failed, that it did."""
    found: dict[float, str] = {}
    for fraction in fractions:
        x = fraction["position_injected_MBq"]
        if x is not None:
            failed = " failed" if fraction["status"] == "failed" else ""
            found.setdefault(float(x), f"F{fraction['fraction']}{failed}\n{x:.0f}")
    return sorted(found.items())


def _named(words: str) -> str:
    return words.removeprefix("≥ ").removesuffix(_BOUND) if words.endswith(_BOUND) else words


def _legend(axes: Axes, handles: list[Any], names: list[str]) -> None:
    """Beside the plot; long names on several lines."""
    wrapped = ["\n".join(wrap(name, 26)) for name in names]
    place = (1.015, 1.01)
    axes.legend(
        handles, wrapped, loc="upper left", bbox_to_anchor=place, frameon=False, fontsize=6.5, labelspacing=0.55
    )


def _line(fractions: Sequence[Document], name: str) -> tuple[float, float, float] | None:
    """Intercept, slope, and the activity until which the line was fitted."""
    points = [(f["position_injected_MBq"], f["trend"].get(name)) for f in fractions]
    lined = [t for _, t in points if t is not None and t["slope_Gy_per_MBq"] is not None]
    if not lined or lined[-1]["intercept_Gy"] is None:
        return None
    fitted = [x for x, t in points if x is not None and t is not None and t["status"] in _FITTED]
    return float(lined[-1]["intercept_Gy"]), float(lined[-1]["slope_Gy_per_MBq"]), float(max(fitted, default=0.0))


def _series(
    axes: Axes,
    name: str,
    index: int,
    points: Sequence[tuple[float, float, float | None, Document]],
    line: tuple[float, float, float] | None,
    farthest: float,
) -> None:
    colour, symbol = look_of(index)
    for x, _, _, own in points:
        if own is not None and own["prediction_interval_Gy"] is not None:
            low, high = own["prediction_interval_Gy"]
            wide = 0.012 * farthest
            axes.fill_between((x - wide, x + wide), low, high, facecolor=colour, alpha=0.16, edgecolor=colour)
            axes.plot((x,), (own["expected_Gy"],), marker="x", color=colour, markersize=5, linewidth=0)
        if own is not None and own["flagged"]:
            axes.plot((x,), (_dose_at(points, x),), marker="o", markersize=13, mfc="none", mec="#b00020", mew=1.2)
    if line is not None:
        intercept, slope, until = line
        first = points[0][0]
        axes.plot((first, until), (intercept + slope * first, intercept + slope * until), color=colour, linewidth=1.1)
        ends = (intercept + slope * until, intercept + slope * farthest)
        axes.plot((until, farthest), ends, color=colour, linewidth=1.1, linestyle=(0, (4, 3)))
    known = [(x, dose, u) for x, dose, u, _ in points if u is not None]
    bounds = [(x, dose) for x, dose, u, _ in points if u is None]
    shown = plain_text(name)
    style: dict[str, Any] = {"color": colour, "elinewidth": 1, "markersize": 5}
    if known:
        at, doses, errors = (np.array(v) for v in zip(*known, strict=True))
        axes.errorbar(at, doses, yerr=errors, fmt=symbol, capsize=2.5, label=shown, **style)
    if bounds:
        at, doses = (np.array(v) for v in zip(*bounds, strict=True))
        up, words = 0.06 * max(dose for _, dose, *_ in points), f"≥ {shown}{_BOUND}"
        axes.errorbar(at, doses, yerr=up, lolims=True, fmt=symbol, mfc="white", label=words, **style)


def _dose_at(points: Sequence[tuple[float, float, float | None, Document]], x: float) -> float:
    return next(dose for at, dose, _, _ in points if at == x)


def _limit_words(limit: Document) -> str:
    return plain_text(f" limit of {limit['volume']}: {limit['dose_Gy']:g} Gy")


def _signs(axes: Axes) -> None:
    """What the marks mean, under the legend."""
    words = "bars: ± u (k = 1)\nopen, arrow: lower bound\nline: through the first points\ndashed: continued\n"
    words += "× and box: expected, with the\n95 % prediction interval\nred ring: flagged"
    axes.text(1.03, 0.0, words, transform=axes.transAxes, fontsize=6, color="#55636f", va="bottom", linespacing=1.45)


def _labels(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(plain_text(x))
    axes.set_ylabel(plain_text(y))
    axes.grid(visible=True, color="#dfe5ea", linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def has_histograms(fraction: Document | None) -> bool:
    """Whether a fraction has a curve to draw."""
    return fraction is not None and any(v["dvh"] is not None for v in fraction["volumes"].values())


def dvh_plot(document: Document, fraction: Document) -> bytes:
    """Cumulative dose–volume histograms after a fraction, with limits and the dose of coverage; PNG."""
    indices = plotted(document)
    curves = {
        name: own
        for name in sorted(indices, key=lambda n: indices[n])
        if (own := fraction["volumes"].get(name)) is not None
        and own["dvh"] is not None
        and own["status"] != "not_evaluable"
    }
    marks = sorted({float(limit["dose_Gy"]) for limit in document["limits"]} | set(_coverage_gy(document)))
    with drawing(HEIGHT_MM) as (figure, buffer):
        axes = figure.add_axes((0.075, 0.2, 0.635, 0.75))
        hottest = [_received_by(own["dvh"], _HOTTEST) for own in curves.values()]
        for name, own in curves.items():
            colour, _ = look_of(indices[name])
            bound = is_bound(own)
            axes.plot(
                own["dvh"]["dose_Gy"],
                [100.0 * share for share in own["dvh"]["volume_fraction"]],
                color=colour,
                linewidth=1.4,
                linestyle=(0, (5, 2)) if bound else "-",
                label=plain_text(f"≥ {name}{_BOUND}" if bound else name),
            )
        for mark in marks:
            axes.axvline(mark, color="#55636f", linewidth=0.8, linestyle=(0, (1, 2)))
            axes.text(mark, 101.0, f"{mark:g} Gy", fontsize=6, ha="center", va="bottom", color="#55636f")
        axes.set_xlim(0.0, 1.05 * max([*hottest, *marks], default=100.0))
        axes.set_ylim(0.0, 100.0)
        _labels(axes, "absorbed dose (Gy)", "volume that receives at least this dose (%)")
        _legend(axes, *axes.get_legend_handles_labels())
        words = "dotted: limits of the plan\nand the dose of coverage"
        axes.text(1.03, 0.0, words, transform=axes.transAxes, fontsize=6, color="#55636f", linespacing=1.45)
    return buffer.getvalue()


def _coverage_gy(document: Document) -> list[float]:
    statistics = document["settings"].get("quantification", {}).get("statistics", {})
    return [float(statistics["coverage_Gy"])] if "coverage_Gy" in statistics else []


def _received_by(dvh: Document, share: float) -> float:
    """Dose that the hottest `share` of the volume receives at least."""
    doses, shares = np.array(dvh["dose_Gy"]), np.array(dvh["volume_fraction"])
    return float(np.interp(share, shares[::-1], doses[::-1]))
