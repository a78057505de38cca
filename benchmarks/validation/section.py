"""What a section of the validation is: a pure run that gives figures, and how these become text and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Figures = dict[str, Any]
"""What a run measured: only what JSON can hold. ``figures["targets"]`` is the list of `target` rows."""

REPORTED = "to be reported"
"""The bound of a target that asks for a figure, whatever it is."""

Progress = Callable[[float], None]
"""Called with the share of the run that is done, 0…1."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line or cloud. ``error`` is a half width; ``style``: 'line', 'points' or 'dots' (with error)."""

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""
    style: str = "line"
    error: Sequence[float] | None = None
    dashed: bool = False
    colour: int | None = None
    """Number of the colour; None: the next one. Negative: grey."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One set of axes of a picture."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    log_x: bool = False
    log_y: bool = False
    y_limits: tuple[float, float] | None = None
    band: tuple[float, float] | None = None
    """A horizontal band: where a target lies."""
    x_ticks: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the document: its name is its file ``validation-{name}.png``."""

    name: str
    caption: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section: its run, the number it runs with, and its renderer.

    ``run(n, seed, progress)`` is a pure function of ``n`` and ``seed``; ``markdown(figures)`` gives the text under the
    heading, ``pictures(figures)`` what is drawn below it. ``unit`` says what `n` counts.
    """

    name: str
    title: str
    unit: str
    full: int
    quick: int
    seed: int
    run: Callable[[int, int, Progress], Figures]
    markdown: Callable[[Figures], str]
    pictures: Callable[[Figures], Sequence[Picture]] = field(default=lambda figures: ())


def target(what: str, bound: str, measured: str, met: bool | None) -> dict[str, Any]:
    """One row of the table of targets; `met` is None where nothing was measured, or nothing was asked but a figure."""
    return {"what": what, "bound": bound, "measured": measured, "met": met}


def met_word(row: Mapping[str, Any]) -> str:
    """How the document says whether a target is met."""
    if row["met"] is None:
        return "reported" if row["bound"] == REPORTED else "not measured"
    return "met" if row["met"] else "**not met**"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def silent(share: float) -> None:
    """Progress that nobody watches."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """Progress of one part of a run, which lies between two shares of the whole."""
    return lambda share: progress(start + (end - start) * share)
