"""What the next planned fraction would give, should uptake go on as it has: a fact of the trend, no advice."""

from __future__ import annotations

from console.dashboard.screen import formatting
from console.dashboard.screen.limits import (
    OF_A_BOUND,
    bounds_before,
    given_since,
    gy_like,
    is_latest,
    limit_of,
    limit_state,
)
from console.dashboard.screen.model import Cell, NextScreen, Tone
from console.dashboard.screen.remembered import by_identity
from console.snapshot import Snapshot
from quantify.findings import FractionResult, Injection
from quantify.model import Role
from quantify.projection import Projection

_METHODS = {
    "proportional": "gain so far taken as proportional to the activity injected at the position",
    "line": "least-squares line through the position's measured points, continued",
}
_TUMOURS = 3
_SOURCE = "source: docs/physics.md §5; quantify/projection.py"


@by_identity()
def build_next(snapshot: Snapshot, shown: FractionResult | None) -> NextScreen | None:
    """The projection of the position's next fraction; None where nothing is known or nothing more is planned."""
    if shown is None:
        return None
    if not is_latest(snapshot, shown):
        latest = snapshot.results[-1].label if snapshot.results else ""
        return NextScreen(title=f"NEXT: told after {latest}, the latest result", numbers=(), tooltip=_SOURCE)
    following = _following(snapshot, shown)
    if following is None:
        return None
    numbers = () if _not_of(snapshot, shown, following) else _numbers(snapshot, shown)
    message = "" if numbers else _why_none(snapshot, shown, following)
    said = (Cell(text=message, tone=Tone.MUTED),) if message else ()
    # What is over a limit comes first: there may not be room for all.
    cells = sorted((*numbers, *said, *_left(snapshot, shown, following)), key=lambda cell: cell.tone is not Tone.ALERT)
    return NextScreen(
        title=_title(snapshot, following, projected=bool(numbers)),
        numbers=tuple(cells),
        tooltip=_tooltip(snapshot, shown, following),
    )


def _following(snapshot: Snapshot, shown: FractionResult) -> Injection | None:
    """The first injection after the shown one that has no result: given or not."""
    keys = [injection.key for injection in snapshot.injections]
    later = snapshot.injections[keys.index(shown.key) + 1 :] if shown.key in keys else ()
    following = next((injection for injection in later if not injection.aborted), None)
    # Of a closed treatment nothing is to come.
    return None if following is not None and following.time is None and snapshot.closed is not None else following


def _not_of(snapshot: Snapshot, shown: FractionResult, following: Injection) -> str:
    """Why the projections are not those of the following injection; empty where they are.

    They are made for the position's next injection in the list, with what was planned of it, and nothing else between.
    """
    if following.position != shown.position:
        if any(result.position == following.position for result in snapshot.results):
            return f"{shown.position} was injected since the last result at {following.position}"
        return f"no fraction of {following.position} has been measured yet"
    keys = [injection.key for injection in snapshot.injections]
    at = keys.index(following.key)
    between = [i.label for i in snapshot.injections[keys.index(shown.key) + 1 : at]]
    if between:
        return f"{', '.join(between)} aborted since {shown.label}"
    more = [i.label for i in snapshot.injections[at + 1 :] if i.time is not None]
    if following.time is None or not more:
        return ""
    return f"{', '.join([following.label, *more])} given since {shown.label}"


def _title(snapshot: Snapshot, following: Injection, *, projected: bool) -> str:
    if following.time is not None:
        given = formatting.activity(following.activity_mbq)
        told = following.planned_mbq is not None and projected
        # What is cut where there is no room is the end.
        state = f"projected for {formatting.activity(following.planned_mbq)} planned" if told else "not measured"
        return f"GIVEN {following.label} · {given} · {state}"
    if following.planned_mbq is None:
        return f"NEXT {following.label} · activity not stated"
    here = [i.planned_mbq for i in snapshot.injections if i.position == following.position]
    stated = [mbq for mbq in here if mbq is not None]
    share = f" · {100.0 * following.planned_mbq / sum(stated):.0f} %" if len(stated) == len(here) else ""
    return f"NEXT {following.label}{share} · {formatting.activity(following.planned_mbq)} planned"


def _numbers(snapshot: Snapshot, shown: FractionResult) -> tuple[Cell, ...]:
    """What would pass its limit, then tumours, then what stays under its limit; each with its ±."""
    over, tumours, under = [], [], []
    for name, projection in shown.projection.items():
        if projection.dose_gy is None:
            continue
        statistics, limit = shown.volumes.get(name), limit_of(snapshot, name)
        now_bound, bound_before = bounds_before(snapshot, shown, name)
        if bound_before:
            continue
        words, tooltip = (
            f"{name} {_dose_words(projection, bound=now_bound)}",
            _projection_line(name, projection, bound=now_bound),
        )
        if limit is not None and _passes(projection, limit.dose_gy):
            words = f"▲ {words}, upper bound over limit {limit.dose_gy:g} Gy"
            over.append(Cell(text=words, tone=Tone.ALERT, bold=True, tooltip=tooltip))
        elif statistics is not None and statistics.role is Role.TUMOUR:
            tumours.append(Cell(text=words, tooltip=tooltip))
        elif limit is not None:
            under.append(Cell(text=f"{words} (limit {limit.dose_gy:g})", tooltip=tooltip))
    more = tumours[_TUMOURS:]
    if more:
        told = "\n".join(cell.tooltip for cell in more)
        tumours[_TUMOURS:] = [Cell(text=f"+ {len(more)} tumours", tone=Tone.MUTED, tooltip=told)]
    return (*over, *tumours, *under)


def _passes(projection: Projection, limit_gy: float) -> bool:
    return projection.high_95_gy is not None and projection.high_95_gy > limit_gy


def _dose_words(projection: Projection, *, bound: bool) -> str:
    if bound:
        return formatting.lower_bound(projection.dose_gy, projection.u_gy, "Gy")
    return formatting.with_uncertainty(projection.dose_gy, projection.u_gy, "Gy")


def _left(snapshot: Snapshot, shown: FractionResult, following: Injection) -> tuple[Cell, ...]:
    """The activity that the position can take until the first limit; the others are in the tooltip."""
    cells = []
    since = given_since(snapshot, shown)
    for name, left in shown.activity_left.items():
        limit = limit_of(snapshot, name)
        if limit is None or left.mbq is None:
            continue
        state = limit_state(shown.volumes.get(name), limit.dose_gy)
        reached = left.mbq <= 0 or state.tone is Tone.ALERT
        if not reached and any(bounds_before(snapshot, shown, name)):
            continue
        if reached:
            words = f"▲ upper 95 % bound of {name} has reached {limit.dose_gy:g} Gy"
            cells.append((0.0, Cell(text=words, tone=Tone.ALERT, bold=True, tooltip=left.message)))
        else:
            where = "" if following.position == shown.position else f" at {shown.position}"
            left_words = f"{formatting.activity(left.mbq)}{where}"
            words = f"{left_words} until the upper 95 % bound of {name} reaches {limit.dose_gy:g} Gy"
            words += f", counted{since}" if since else ""
            cells.append((left.mbq, Cell(text=words, tooltip=f"at {shown.position}, method: {left.method}")))
    return tuple(cell for _, cell in sorted(cells, key=lambda pair: pair[0]))[:1]


def _why_none(snapshot: Snapshot, shown: FractionResult, following: Injection) -> str:
    not_of = _not_of(snapshot, shown, following)
    if not_of:
        return f"no number: {not_of}"
    if following.planned_mbq is None:
        return "no number: the plan does not state its activity"
    said = [projection.message for projection in shown.projection.values() if projection.message]
    return f"no number: {said[0]}" if said else f"no number: {shown.error or 'no dose after this fraction'}"


def _tooltip(snapshot: Snapshot, shown: FractionResult, following: Injection) -> str:
    lines = [f"Mean absorbed dose after {following.label}, cumulative, Gy ± one standard uncertainty (k = 1)"]
    if following.time is not None:
        planned = formatting.activity(following.planned_mbq)
        lines.append(f"{following.label} has been injected; the doses are projected for the {planned} planned")
    if not _not_of(snapshot, shown, following):
        for name, projection in shown.projection.items():
            now_bound, bound_before = bounds_before(snapshot, shown, name)
            none = f"{name}: no number: {OF_A_BOUND}"
            lines.append(none if bound_before else _projection_line(name, projection, bound=now_bound))
    for name, left in shown.activity_left.items():
        limit = limit_of(snapshot, name)
        if limit is not None:
            told = left.message if left.mbq is None else f"{formatting.activity(left.mbq)} at {shown.position}"
            told = OF_A_BOUND if any(bounds_before(snapshot, shown, name)) else told
            lines.append(f"{name}: activity until its limit of {limit.dose_gy:g} Gy: {told} ({left.method})")
    methods = {own.method for own in shown.projection.values()} | {own.method for own in shown.activity_left.values()}
    lines += [f"{method}: {words}" for method, words in _METHODS.items() if method in methods]
    lines.append("The interval is that of the dose itself; measuring it scatters besides.")
    return "\n".join([*lines, _SOURCE])


def _projection_line(name: str, projection: Projection, *, bound: bool) -> str:
    low, high = projection.low_95_gy, projection.high_95_gy
    if low is None or high is None:
        return f"{name}: no number: {projection.message}"
    if bound:
        return f"{name}: {_dose_words(projection, bound=True)}, from a lower bound ({projection.method})"
    interval = f"{gy_like(low, projection.u_gy)} to {gy_like(high, projection.u_gy)}"
    return f"{name}: {_dose_words(projection, bound=False)}, 95 % interval {interval} ({projection.method})"
