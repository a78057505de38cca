"""The page that tells what the soak measured."""

from __future__ import annotations

from benchmarks.soak.endurance import Course
from benchmarks.soak.kills import Tally
from benchmarks.soak.laws import Law
from benchmarks.soak.replays import Replays

_HEAD = """\
# Soak: listener and window for an hour

Written by `make soak` (scale {scale:g}, seed {seed}{note}). The listener runs as a process of its own on loopback; the
senders and attackers are raw sockets, so that every byte can be wrong. Times depend on the machine and on what else it
does; the laws do not.

**{held} of {number} laws hold.**
"""
_KILLS = """\
## Kills

One to three senders send images of up to 150 kB as fast as they are answered; after 0 to 0.3 s the listener is killed
(SIGKILL), one time in ten while it is still starting. After every kill the file is opened, its whole chain is verified,
and every instance that was answered with 0x0000 is looked for, byte for byte. The next listener goes on with the same
file, ten times.

{kills:,} kills; {acknowledged:,} instances acknowledged; {unanswered:,} cut off before their answer.
"""
_ATTACKS = """\
## Attacks

An echo is a connection, an association, a C-ECHO and a release; milliseconds. Where an attack takes all associations,
a rejection for that reason is an answer. Afterwards an instance is stored each time.
"""
_HOLDS = """\
## What it holds

One process: {associations:,} associations (echo or store; released, aborted, reset or dropped), then the attacks, then
{instances} hostile instances, then a data set of {megabytes:,.0f} MB: 0xA700 after {seconds:.1f} s.
"""
_REPLAYS = """\
## Replays

One process shows a phantom treatment of two fractions in its window, from the file, as `holmia replay` does: the engine
in a process of its own, every layer and view asked for once, the window closed and its engine ended before the next.
{replays} replays, {seconds:.1f} s each.
"""


def page(
    laws: list[Law],
    tally: Tally | None,
    course: Course | None,
    replays: Replays | None = None,
    *,
    scale: float,
    seed: int,
    note: str,
) -> str:
    """Return the page in Markdown."""
    said = f", {note}" if note else ""
    held = sum(law.holds for law in laws)
    parts = [_HEAD.format(scale=scale, seed=seed, note=said, held=held, number=len(laws)), _table_of(laws)]
    if tally is not None:
        parts.append(_KILLS.format(kills=tally.kills, acknowledged=tally.acknowledged, unanswered=tally.unanswered))
        parts.append(_points(tally.messages))
    if course is not None:
        parts += [_ATTACKS, _table_of_attacks(course), _points([*course.wrong_answers, *course.failures])]
        parts.append(
            _HOLDS.format(
                associations=course.associations,
                instances=course.instances,
                megabytes=course.data_set_bytes / 1e6,
                seconds=course.data_set_s,
            )
        )
        parts.append(_table_of_footprints(course))
    if replays is not None:
        each = replays.seconds / max(replays.replays, 1)
        parts += [_REPLAYS.format(replays=replays.replays, seconds=each), _points(replays.failures)]
        parts.append(_table_of_holdings(replays))
    return "\n".join(part for part in parts if part)


def _table_of(laws: list[Law]) -> str:
    rows = [f"| {law.what} | {law.bound} | {law.measured} | {'holds' if law.holds else '**broken**'} |" for law in laws]
    return _lines("| law | bound | measured | |", "|---|---|---|---|", *rows)


def _table_of_attacks(course: Course) -> str:
    rows = [
        f"| {a['name']} | {a['echoes']} | {1e3 * a['median_during_s']:.0f} | {1e3 * a['worst_during_s']:.0f} "
        f"| {1e3 * a['worst_after_s']:.0f} | {a['resident_mib']:.0f} |"
        for a in course.attacks
    ]
    head = "| attack | echoes | median during | worst during | worst after | resident, MiB |"
    return _lines(head, "|---|---|---|---|---|---|", *rows)


def _table_of_footprints(course: Course) -> str:
    rows = [
        f"| {when} | {held['resident_mib']:.0f} | {held['peak_mib']:.0f} | {held['threads']} | {held['descriptors']} |"
        for when, held in course.footprints.items()
    ]
    return _lines("| when | resident, MiB | peak, MiB | threads | descriptors |", "|---|---|---|---|---|", *rows)


def _table_of_holdings(replays: Replays) -> str:
    """The first, then ten or so at equal distances, the last among them."""
    count = len(replays.holdings)
    wanted = {1, count, *(round(count * tenth / 10) for tenth in range(1, 11))} - {0}
    rows = [
        f"| {number} | {held['resident_mib']:.0f} | {held['widgets']} | {held['threads']} | {held['descriptors']} |"
        for number, held in enumerate(replays.holdings, start=1)
        if number in wanted
    ]
    return _lines("| after replay | resident, MiB | widgets | threads | descriptors |", "|---|---|---|---|---|", *rows)


def _points(texts: list[str]) -> str:
    return _lines(*(f"* {text}" for text in texts[:20])) if texts else ""


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
