"""The laws that the soak holds its figures against."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.soak.endurance import Course
from benchmarks.soak.kills import Tally
from benchmarks.soak.probe import ECHO_LIMIT_S
from benchmarks.soak.replays import Replays

GROWTH_LIMIT_MIB = 64.0
REPLAY_GROWTH_LIMIT_MIB = 32.0
"""A treatment's maps, or its window, left behind only once in five replays would be more after 200."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """One bound, what was measured, and whether it holds."""

    what: str
    bound: str
    measured: str
    holds: bool


def laws_of_kills(tally: Tally) -> list[Law]:
    """What must hold after kills."""
    return [
        Law(
            what=f"acknowledged instances missing after {tally.kills:,} kills",
            bound="0",
            measured=f"{tally.lost} of {tally.acknowledged:,}",
            holds=tally.lost == 0 and tally.acknowledged > 0,
        ),
        Law(
            what="… or with other bytes than were sent", bound="0", measured=f"{tally.altered}", holds=not tally.altered
        ),
        Law(
            what="files whose chain did not verify, checked after every kill",
            bound="0",
            measured=f"{tally.broken_files}",
            holds=tally.broken_files == 0,
        ),
    ]


def laws_of_endurance(course: Course) -> list[Law]:
    """What must hold for the listener that went through everything."""
    start, end = course.footprints["at the start"], course.footprints["at the end"]
    grown = max(found["resident_mib"] for found in course.footprints.values()) - start["resident_mib"]
    grown = max([grown, *(attack["resident_mib"] - start["resident_mib"] for attack in course.attacks)])
    worst = max((max(a["worst_during_s"], a["worst_after_s"]) for a in course.attacks), default=0.0)
    wrong = [*course.wrong_answers, *course.failures]
    echoes = sum(attack["echoes"] for attack in course.attacks)
    return [
        Law(
            what=f"slowest of {echoes:,} echoes during and after {len(course.attacks)} attacks",
            bound=f"≤ {ECHO_LIMIT_S:g} s",
            measured=f"{worst:.2f} s",
            holds=worst <= ECHO_LIMIT_S,
        ),
        Law(
            what="growth of the resident memory, after any part",
            bound=f"< {GROWTH_LIMIT_MIB:g} MiB",
            measured=f"{grown:.0f} MiB",
            holds=grown < GROWTH_LIMIT_MIB,
        ),
        Law(
            what=f"threads at the end, against the start, after {course.opened:,} associations",
            bound="no more",
            measured=f"{end['threads']:.0f}, {start['threads']:.0f}",
            holds=end["threads"] <= start["threads"],
        ),
        Law(
            what="open descriptors at the end, against the start",
            bound="no more",
            measured=f"{end['descriptors']:.0f}, {start['descriptors']:.0f}",
            holds=end["descriptors"] <= start["descriptors"],
        ),
        Law(
            what="associations opened and not closed in the treatment file",
            bound="0",
            measured=f"{course.opened - course.closed}",
            holds=course.opened == course.closed,
        ),
        Law(
            what=f"acknowledged instances missing ({course.acknowledged:,} stored among the rest)",
            bound="0",
            measured=f"{course.missing}",
            holds=course.missing == 0,
        ),
        Law(
            what=f"wrong or missing answers ({course.instances} hostile instances, all attacks, all associations)",
            bound="0",
            measured=f"{len(wrong)}",
            holds=not wrong,
        ),
        Law(
            what="files left beside the treatment file and its quarantine",
            bound="0",
            measured=f"{len(course.files) - 2}",
            holds=course.files == ["t.holmia", "t.quarantine.holmia"],
        ),
        Law(
            what="exit status after SIGTERM; tracebacks",
            bound="0; none",
            measured=f"{course.exit_status}; {'some' if course.said_traceback else 'none'}",
            holds=course.exit_status == 0 and not course.said_traceback,
        ),
    ]


def laws_of_replays(course: Replays) -> list[Law]:
    """What must hold for the process that showed them all."""
    settled, end = course.holdings[course.settled_after - 1], course.holdings[-1]
    grown = end["resident_mib"] - settled["resident_mib"]
    after = f"after {course.replays} replays, against after {course.settled_after}"
    equal = [
        Law(
            what=f"{name} {after}",
            bound="the same",
            measured=f"{end[key]:.0f}, {settled[key]:.0f}",
            holds=end[key] == settled[key],
        )
        for key, name in (
            ("widgets", "widgets"),
            ("threads", "threads of the window's process"),
            ("descriptors", "open descriptors of the window's process"),
            ("processes", "processes started by it"),
        )
    ]
    return [
        Law(
            what=f"growth of the window's resident memory {after}",
            bound=f"< {REPLAY_GROWTH_LIMIT_MIB:g} MiB",
            measured=f"{grown:.0f} MiB",
            holds=grown < REPLAY_GROWTH_LIMIT_MIB,
        ),
        *equal,
        Law(
            what=f"replays that did not show every fraction ({course.results} results shown)",
            bound="0",
            measured=f"{len(course.failures)}",
            holds=not course.failures and course.results > 0,
        ),
    ]
