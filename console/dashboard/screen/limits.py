"""The limits of the plan: what stands against each, how much activity is left until it, and where it comes from."""

from __future__ import annotations

from config.plan import LimitPlan
from console.dashboard.screen import formatting
from console.dashboard.screen.model import Cell, Row, State, Table, Tone
from console.dashboard.screen.remembered import by_identity
from console.dashboard.screen.words import dose_words
from console.snapshot import Snapshot
from quantify.findings import FractionResult, VolumeStatistics, VolumeStatus
from quantify.thresholds import limit_provenance
from quantify.trend import K95

OF_A_BOUND = "its dose is a lower bound (≥), and may be anything above"
# With more limits than this the panel has room for one line each: the rest is in the tooltip.
_WHOLE_ROWS = 1


@by_identity()
def limits_table(snapshot: Snapshot, shown: FractionResult | None) -> Table:
    """Every limit of the plan with the value it stands against: ``healthy liver 29 ± 5 Gy, limit 55 Gy``."""
    limits = snapshot.plan.limits if snapshot.plan is not None else ()
    rows = tuple(_row(snapshot, shown, limit, whole=len(limits) <= _WHOLE_ROWS) for limit in limits)
    return Table(columns=("", ""), rows=rows, empty="the plan states no limit")


def limit_of(snapshot: Snapshot, volume: str) -> LimitPlan | None:
    """The lowest limit of a volume; None where the plan states none."""
    limits = snapshot.plan.limits if snapshot.plan is not None else ()
    return min((limit for limit in limits if limit.volume == volume), key=lambda limit: limit.dose_gy, default=None)


def limit_state(statistics: VolumeStatistics | None, limit_gy: float) -> State:
    """How a mean dose and its upper 95 % bound stand against a limit."""
    if statistics is None or statistics.dose_mean_gy is None:
        return State(sign="○", word="no value", tone=Tone.MUTED)
    if statistics.dose_mean_gy >= limit_gy:
        return State(sign="▲", word="over the limit", tone=Tone.ALERT)
    upper = upper_95_gy(statistics)
    if upper is not None and upper > limit_gy:
        return State(sign="▲", word="upper bound over the limit", tone=Tone.ALERT)
    if statistics.status is VolumeStatus.LOWER_BOUND:
        return State(sign="≥", word="lower bound: may be over the limit", tone=Tone.CAUTION)
    if upper is None:
        return State(sign="!", word="no uncertainty: may be over the limit", tone=Tone.CAUTION)
    return State(sign="✓", word="under the limit", tone=Tone.GOOD)


def upper_95_gy(statistics: VolumeStatistics) -> float | None:
    """Upper 95 % bound of the mean dose, as the alarm takes it [Gy]; None where it is not known."""
    own = statistics.intervals.get("dose_mean_gy")
    if own is not None:
        return own.high_95
    mean, u = statistics.dose_mean_gy, statistics.dose_mean_u_gy
    return None if mean is None or u is None else mean + K95 * u


def told_upper_95_gy(statistics: VolumeStatistics) -> float | None:
    """The upper 95 % bound as it may be told [Gy]: of a lower bound there is none, the truth may be anything above."""
    return None if statistics.status is VolumeStatus.LOWER_BOUND else upper_95_gy(statistics)


def bounds_before(snapshot: Snapshot, shown: FractionResult, volume: str) -> tuple[bool, bool]:
    """Whether a volume's dose is a lower bound after this fraction, and whether it was one after an earlier one.

    No activity left can be told from a lower bound: it would be too much.
    """
    keys = [result.key for result in snapshot.results]
    earlier = snapshot.results[: keys.index(shown.key)] if shown.key in keys else ()
    return _is_bound(shown, volume), any(_is_bound(result, volume) for result in earlier)


def _is_bound(result: FractionResult, volume: str) -> bool:
    own = result.volumes.get(volume)
    return own is not None and own.status is VolumeStatus.LOWER_BOUND


def gy_like(value_gy: float, u_gy: float | None) -> str:
    """``94 Gy``: a dose without an uncertainty of its own on the glass, rounded like the mean, at most to whole Gy."""
    places = formatting.decimals_for(u_gy) if u_gy is not None and formatting.known(u_gy) and u_gy > 0 else 0
    return f"{formatting.decimal(value_gy, min(places, 0))} Gy"


def activity_left_words(snapshot: Snapshot, shown: FractionResult, volume: str) -> str:
    """``812 MBq left``; empty for an earlier fraction, whose activity has been given since."""
    left = shown.activity_left.get(volume)
    if left is None or not is_latest(snapshot, shown):
        return ""
    if left.mbq is None or any(bounds_before(snapshot, shown, volume)):
        return f"activity left {formatting.NOT_KNOWN}"
    return f"{formatting.activity(left.mbq)} left{_elsewhere(snapshot, shown)}{given_since(snapshot, shown)}"


def _elsewhere(snapshot: Snapshot, shown: FractionResult) -> str:
    """`` at RHA``, where the next injection is at another position: the activity left is not that one's."""
    keys = [injection.key for injection in snapshot.injections]
    later = snapshot.injections[keys.index(shown.key) + 1 :] if shown.key in keys else ()
    following = next((injection for injection in later if not injection.aborted), None)
    return f" at {shown.position}" if following is not None and following.position != shown.position else ""


def given_since(snapshot: Snapshot, shown: FractionResult) -> str:
    """`` before RHA F3``: what was injected after the image that this result is of; empty if nothing was."""
    keys = [injection.key for injection in snapshot.injections]
    later = snapshot.injections[keys.index(shown.key) + 1 :] if shown.key in keys else ()
    given = [injection.label for injection in later if injection.time is not None]
    return f" before {', '.join(given)}" if given else ""


def is_latest(snapshot: Snapshot, shown: FractionResult) -> bool:
    """Whether no result stands after this one: only then does it say anything of what comes."""
    return bool(snapshot.results) and snapshot.results[-1].key == shown.key


def provenance(limit: LimitPlan) -> str:
    """Where the plan has a limit from, as a sentence."""
    return limit_provenance(
        isotope=limit.isotope,
        device=limit.device,
        population=limit.population,
        method=limit.method,
        source=limit.source,
    )


def limit_tooltip(snapshot: Snapshot, shown: FractionResult | None, limit: LimitPlan) -> str:
    """What a limit is held against, what is left until it, and where it comes from."""
    statistics = shown.volumes.get(limit.volume) if shown is not None else None
    lines = [f"{limit.volume}: limit {limit.dose_gy:g} Gy, mean absorbed dose of all fractions together"]
    if shown is not None and statistics is not None:
        words = f"after {shown.label}: {dose_words(statistics)} (k = 1)"
        upper = told_upper_95_gy(statistics)
        if upper is not None:
            words += f", upper 95 % bound {gy_like(upper, statistics.dose_mean_u_gy)}"
        lines.append(f"{words}: {limit_state(statistics, limit.dose_gy).word}")
        lines += _left_lines(snapshot, shown, limit.volume)
    lines += [provenance(limit), "source: the plan, [[limits]]; docs/physics.md §5 and §6"]
    return "\n".join(lines)


def _left_lines(snapshot: Snapshot, shown: FractionResult, volume: str) -> list[str]:
    left, lowest = shown.activity_left.get(volume), limit_of(snapshot, volume)
    if left is None or lowest is None:
        return []
    if not is_latest(snapshot, shown):
        return ["activity left: told of the latest result only"]
    if left.mbq is None:
        return [f"activity left: no number: {left.message}"]
    if any(bounds_before(snapshot, shown, volume)):
        return [f"activity left: no number: {OF_A_BOUND}"]
    since = given_since(snapshot, shown)
    told = f"; counted{since}, injected since" if since else ""
    until = f"until the upper 95 % bound reaches {lowest.dose_gy:g} Gy"
    return [f"{formatting.activity(left.mbq)} at {shown.position} {until} (method: {left.method}){told}"]


def _row(snapshot: Snapshot, shown: FractionResult | None, limit: LimitPlan, *, whole: bool) -> Row:
    statistics = shown.volumes.get(limit.volume) if shown is not None else None
    state = limit_state(statistics, limit.dose_gy)
    words = f"{dose_words(statistics)}, limit {limit.dose_gy:g} Gy"
    if shown is not None and not is_latest(snapshot, shown):
        words = f"◂ after {shown.label}: {words}"
    tone = state.tone
    if state.tone is not Tone.GOOD:
        words += f" · {state.word.removesuffix(' the limit')}"
    if whole:
        known = shown is not None and state.tone is not Tone.ALERT
        left = activity_left_words(snapshot, shown, limit.volume) if known and shown is not None else ""
        stated = ", ".join(text for text in (limit.isotope, limit.method) if text) or limit.source
        words += "".join(f" · {part}" for part in (left, stated or "origin not stated") if part)
    tooltip = limit_tooltip(snapshot, shown, limit)
    if tone is Tone.GOOD and shown is not None and not is_latest(snapshot, shown):
        tone = Tone.CAUTION  # under the limit then is not under the limit now
    return Row(
        cells=(
            Cell(text=f"{state.sign} {limit.volume}", tone=tone, tooltip=tooltip),
            Cell(text=words, tone=tone, tooltip=tooltip),
        )
    )
