"""Plots of a comparison for paper: mean dose against injected activity, and dose–volume histograms, of both sides."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from console.comparison import Comparison, Pair
from console.outputs.report.letters import drawable
from quantify.dvh import dose_received_by
from quantify.findings import FractionResult, VolumeStatistics, VolumeStatus
from quantify.model import Role

# Okabe and Ito, without the yellow that paper swallows; black is the healthy liver's.
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a5195")
_MARKERS = "soDphPX*"
"""None of them is a triangle: that is a lower bound."""
_PLOTTED = (Role.TUMOUR, Role.HEALTHY_LIVER)
_BOUND = "^"
_DPI = 200
_WIDTH_IN, _PANEL_IN = 7.3, 3.1
_LETTERS: Any = {"font.family": "DejaVu Sans", "font.size": 8.0, "axes.linewidth": 0.7, "text.parse_math": False}
_RAISED = 1.06
_HOTTEST_PCT = 1.0


def trend_figure(comparison: Comparison) -> bytes | None:
    """PNG of the trends: one panel for a position with both sides, or for each side of two treatments. None without.

    A is filled and solid, B open and dashed; a triangle without a bar is a lower bound, a ring is flagged.
    """
    panels = _panels(comparison)
    if not panels:
        return None
    looks = _looks(comparison)
    rows = -(-len(panels) // 2)
    with rc_context(_LETTERS):
        figure = Figure(figsize=(_WIDTH_IN, rows * _PANEL_IN + 0.5), layout="constrained")
        alone = len(panels) == 1
        places = figure.subplots(rows, 1 if alone else 2, squeeze=False)
        drawn = places.ravel()[: len(panels)]
        for place, (title, sides) in zip(drawn, panels, strict=True):
            for letter, results in sides:
                _draw_trend(place, letter, results, looks)
            place.set_title(drawable(title), fontsize=9)
            _finish(place, "activity injected at the position (MBq)", "mean absorbed dose (Gy)")
        if not comparison.same_treatment:
            # Each keeps its numbers beside it, all have the same ends.
            wide, high = (max(place.axis()[end] for place in drawn) for end in (1, 3))
            for place in drawn:
                place.axis((0.0, wide, 0.0, high))
        for place in places.ravel()[len(panels) :]:
            place.set_visible(False)
        _legend(figure, looks, "points ± u (k = 1)", bounds=True)
        return _png(figure)


def dvh_figure(comparison: Comparison) -> bytes | None:
    """PNG of the cumulative dose–volume histograms after the last fractions that both sides have; None without any."""
    pair = last_pair_with_curves(comparison)
    if pair is None or pair.a is None or pair.b is None:
        return None
    looks = _looks(comparison)
    with rc_context(_LETTERS):
        figure = Figure(figsize=(_WIDTH_IN, 1.25 * _PANEL_IN), layout="constrained")
        place = figure.subplots()
        for letter, result in (("A", pair.a), ("B", pair.b)):
            for name, (colour, _) in looks.items():
                own = result.volumes.get(name)
                if own is not None and own.dvh is not None:
                    dose, share = [0.0, *own.dvh.dose_gy], [100.0, *(100.0 * own.dvh.volume_fraction)]
                    place.plot(dose, share, color=colour, linestyle="-" if letter == "A" else "--", linewidth=1.5)
        place.set_title(drawable(f"after {pair.label}"), fontsize=9)
        _finish(place, "absorbed dose (Gy)", "volume receiving at least this (%)")
        place.set_ylim(0.0, 102.0)
        place.set_xlim(0.0, _RAISED * _hottest_gy((pair.a, pair.b), looks))
        _legend(figure, _renamed(looks, (pair.a, pair.b)), "of the evaluable part of each volume")
        return _png(figure)


def last_pair_with_curves(comparison: Comparison) -> Pair | None:
    """The last fractions of which both sides have a histogram."""

    def has_curves(result: FractionResult | None) -> bool:
        return result is not None and any(own.dvh is not None for own in result.volumes.values())

    return next((pair for pair in reversed(comparison.pairs) if has_curves(pair.a) and has_curves(pair.b)), None)


def _hottest_gy(results: tuple[FractionResult, FractionResult], looks: dict[str, tuple[str, str]]) -> float:
    """Where the axis ends: at what a hundredth of some volume receives, so that hot voxels do not press all flat."""
    plotted = [own for r in results for name, own in r.volumes.items() if name in looks]
    return max((dose_received_by(own.dvh, _HOTTEST_PCT) for own in plotted if own.dvh is not None), default=0.0) or 1.0


Panel = tuple[str, list[tuple[str, list[FractionResult]]]]


def _panels(comparison: Comparison) -> list[Panel]:
    found: list[Panel] = []
    of = {"A": comparison.a.results, "B": comparison.b.results}
    if comparison.same_treatment:
        for position in _positions([*of["A"], *of["B"]]):
            sides = [(letter, [r for r in results if r.position == position]) for letter, results in of.items()]
            found.append((f"{position}: A and B", sides))
        return found
    for letter, results in of.items():
        for position in _positions(results):
            found.append((f"{letter}: {position}", [(letter, [r for r in results if r.position == position])]))
    return found


def _positions(results: Iterable[FractionResult]) -> list[str]:
    return list(dict.fromkeys(result.position for result in results if result.volumes))


def _looks(comparison: Comparison) -> dict[str, tuple[str, str]]:
    """Colour and marker of every plotted volume, by name; the healthy liver is black."""
    volumes = [own for side in (comparison.a, comparison.b) for r in side.results for own in r.volumes.values()]
    tumours = dict.fromkeys(own.name for own in volumes if own.role is Role.TUMOUR)
    healthy = dict.fromkeys(own.name for own in volumes if own.role is Role.HEALTHY_LIVER)
    looks = {}
    for number, name in enumerate([*healthy, *tumours], start=0 if healthy else 1):
        place = number if number == 0 else 1 + (number - 1) % (len(_COLOURS) - 1)
        looks[name] = _COLOURS[place], _MARKERS[place]
    return looks


def _draw_trend(place: Axes, letter: str, results: Sequence[FractionResult], looks: dict[str, tuple[str, str]]) -> None:
    filled = letter == "A"
    for name, (colour, marker) in looks.items():
        face = colour if filled else "none"
        size = 5.0 if filled else 8.0
        ends: list[float] = []
        for result in results:
            own, x = result.volumes.get(name), result.position_injected_mbq
            if own is None or x is None or own.dose_mean_gy is None or own.status is VolumeStatus.NOT_EVALUABLE:
                continue
            bound = own.status is VolumeStatus.LOWER_BOUND
            u = None if bound else own.dose_mean_u_gy
            style = _BOUND if bound else marker
            place.errorbar(
                [x], [own.dose_mean_gy], yerr=None if u is None else [u], fmt=style, color=colour,
                markerfacecolor=face, markersize=size, elinewidth=1.0, capsize=2.5,
            )  # fmt: skip
            ends.append(x)
            point = result.trend.get(name)
            if point is not None and point.flagged:
                place.plot([x], [own.dose_mean_gy], "o", color="#b00020", markersize=13, markerfacecolor="none")
        line = next(
            (p for r in reversed(results) if (p := r.trend.get(name)) is not None and p.slope_gy_per_mbq is not None),
            None,
        )
        if line is not None and line.slope_gy_per_mbq is not None and line.intercept_gy is not None and ends:
            span = [min(ends), max(ends)]
            heights = [line.intercept_gy + line.slope_gy_per_mbq * x for x in span]
            place.plot(span, heights, color=colour, linestyle="-" if filled else "--", linewidth=1.0)


def _finish(place: Axes, x_label: str, y_label: str) -> None:
    place.set_xlabel(x_label)
    place.set_ylabel(y_label)
    place.set_xlim(left=0.0, right=_RAISED * max(place.get_xlim()[1], 1e-9))
    place.set_ylim(bottom=0.0)
    place.grid(visible=True, color="#d5dbe1", linewidth=0.5)
    place.set_axisbelow(True)


def _renamed(
    looks: dict[str, tuple[str, str]], results: tuple[FractionResult, FractionResult]
) -> dict[str, tuple[str, str]]:
    """Names with what is known of their curves: a lower bound, or none."""

    def words(name: str) -> str:
        states = {side: _curve_word(own.volumes.get(name)) for side, own in zip("AB", results, strict=True)}
        told = [f"{side} {word}" for side, word in states.items() if word]
        return f"{name} ({', '.join(told)})" if told else name

    return {words(name): look for name, look in looks.items()}


def _curve_word(own: VolumeStatistics | None) -> str:
    if own is None:
        return "absent"
    if own.dvh is None:
        return "none"
    return "≥" if own.status is VolumeStatus.LOWER_BOUND else ""


def _legend(figure: Figure, looks: dict[str, tuple[str, str]], about: str, *, bounds: bool = False) -> None:
    # Behind a space: a name that begins with an underscore would be left out.
    handles = [
        Line2D([], [], color=colour, marker=marker, label=f" {drawable(name)}")
        for name, (colour, marker) in looks.items()
    ]
    handles += [
        Line2D([], [], color="#333333", linestyle="-", label="A: filled, solid"),
        Line2D([], [], color="#333333", linestyle="--", label=f"B: open, dashed; {about}"),
    ]
    if bounds:
        handles.append(Line2D([], [], color="#333333", marker=_BOUND, linestyle="", label="≥ lower bound"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()
