"""One listener for everything else: thousands of associations, every attack, hostile instances, a gigabyte."""

from __future__ import annotations

import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.soak.attack import Battle, associated
from benchmarks.soak.attacks import ATTACKS
from benchmarks.soak.instances import ROOT, Hostile, hostile_instances, image
from benchmarks.soak.listener_process import Footprint, ListenerProcess
from benchmarks.soak.misuse import send_zeros
from benchmarks.soak.probe import store_one, under_attack, warm_up
from dicom_listener.events import Kind
from dicom_listener.record import Record

GIGABYTE = 1_000_000_000
SETTINGS = {"compressed_transfer_syntaxes": True, "calling_ae_titles": ["SENDER"], "network_timeout_s": 5.0}
DRIP_S = 45.0
"""As long as the slow drip lasts: it must have been ended before."""
_SETTLE_S = 20.0

Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything."""

    associations: int
    seconds_per_attack: float
    drip_s: float
    data_set_bytes: int
    attacks: tuple[str, ...] = ()
    """Names of their functions; empty: all."""


@dataclass(kw_only=True)
class Course:
    """What one listener went through, in figures that JSON can hold."""

    footprints: dict[str, dict[str, float]] = field(default_factory=dict)
    attacks: list[dict[str, Any]] = field(default_factory=list)
    associations: int = 0
    instances: int = 0
    wrong_answers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    data_set_bytes: int = 0
    data_set_s: float = 0.0
    acknowledged: int = 0
    missing: int = 0
    opened: int = 0
    closed: int = 0
    exit_status: int | None = None
    said_traceback: bool = False
    files: list[str] = field(default_factory=list)


def run(scale: Scale, seed: int, progress: Progress) -> Course:
    """Put one listener through it."""
    course, acknowledged = Course(), list[str]()
    with tempfile.TemporaryDirectory(prefix="holmia-soak-") as name:
        path = Path(name) / "t.holmia"
        with ListenerProcess(path, SETTINGS) as listener:
            warm_up(listener.port)
            start = _settled(listener, None)
            course.footprints["at the start"] = asdict(start)
            _associations(listener, scale.associations, seed, course, acknowledged, lambda s: progress(0.3 * s))
            course.footprints["after the associations"] = asdict(_settled(listener, start))
            _attacks(listener, scale, course, acknowledged, lambda s: progress(0.3 + 0.6 * s))
            course.footprints["after the attacks"] = asdict(_settled(listener, start))
            _instances(listener, course)
            course.footprints["after the hostile instances"] = asdict(_settled(listener, start))
            _large(listener, scale.data_set_bytes, course)
            acknowledged.append(store_one(listener.port))
            course.footprints["at the end"] = asdict(_settled(listener, start))
            course.exit_status = listener.stop()
            course.said_traceback = "Traceback" in listener.said()
        _compare(path, acknowledged, course)
    progress(1.0)
    return course


def _associations(
    listener: ListenerProcess, number: int, seed: int, course: Course, acknowledged: list[str], progress: Progress
) -> None:
    """Echo or store, then release, abort or drop, in random order; after a tenth of them it is measured."""
    rng, tenth = random.Random(seed), max(number // 10, 1)
    for count in range(1, number + 1):
        with associated(listener.port) as peer:
            if rng.random() < 0.5:
                if peer.echo() != 0:
                    course.wrong_answers.append("echo")
            else:
                uid = f"{ROOT}.6.{count}"
                if peer.store(uid, image(uid)) == 0:
                    acknowledged.append(uid)
                else:
                    course.wrong_answers.append("store")
            rng.choice((peer.release, peer.abort, peer.reset, lambda: None))()
        if count == tenth:
            course.footprints["after a tenth of the associations"] = asdict(listener.footprint())
        if count % 50 == 0:
            progress(count / number)
    course.associations = number


def _attacks(
    listener: ListenerProcess, scale: Scale, course: Course, acknowledged: list[str], progress: Progress
) -> None:
    attacks = [a for a in ATTACKS if not scale.attacks or a.run.__name__ in scale.attacks]
    for number, attack in enumerate(attacks, start=1):
        slow = attack.run.__name__ == "slow_drip"
        try:
            outcome = under_attack(listener.port, attack, seconds=scale.drip_s if slow else scale.seconds_per_attack)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page tells it and the others go on
            course.failures.append(f"{attack.name}: {type(error).__name__} {error}")
            continue
        acknowledged.append(outcome.stored_uid)
        course.attacks.append(
            {
                "name": attack.name,
                "echoes": len(outcome.during_s) + len(outcome.after_s),
                "median_during_s": statistics.median(outcome.during_s),
                "worst_during_s": max(outcome.during_s),
                "worst_after_s": max(outcome.after_s),
                "resident_mib": listener.footprint().resident_mib,
            }
        )
        progress(number / len(attacks))


def _instances(listener: ListenerProcess, course: Course) -> None:
    for hostile in hostile_instances(f"{ROOT}.3"):
        course.instances += 1
        try:
            if not _is_answered_right(listener.port, hostile):
                course.wrong_answers.append(hostile.name)
        except Exception as error:  # noqa: BLE001 - as above
            course.failures.append(f"{hostile.name}: {type(error).__name__} {error}")


def _is_answered_right(port: int, hostile: Hostile) -> bool:
    with associated(port) as peer:
        if hostile.before is not None and peer.store(hostile.uid, hostile.before) != 0:
            return False
        return peer.store(hostile.uid, hostile.data, context=hostile.context) == hostile.answer and peer.echo() == 0


def _large(listener: ListenerProcess, size: int, course: Course) -> None:
    battle = Battle(port=listener.port, under_way=threading.Event(), stop=threading.Event())
    start = time.perf_counter()
    try:
        send_zeros(battle, size)
    except Exception as error:  # noqa: BLE001 - as above
        course.failures.append(f"a data set of {size / 1e6:.0f} MB: {type(error).__name__} {error}")
    course.data_set_bytes, course.data_set_s = size, time.perf_counter() - start


def _settled(listener: ListenerProcess, start: Footprint | None) -> Footprint:
    """Its footprint once the threads of ended associations are gone."""
    time.sleep(0.5)
    deadline = time.monotonic() + _SETTLE_S
    while True:
        found = listener.footprint()
        if start is None or time.monotonic() > deadline:
            return found
        if found.threads <= start.threads and found.descriptors <= start.descriptors:
            return found
        time.sleep(0.2)


def _compare(path: Path, acknowledged: list[str], course: Course) -> None:
    course.files = sorted(found.name for found in path.parent.iterdir())
    with Record.open(path, read_only=True) as record:
        record.verify()
        counts: dict[str, int] = {}
        stored = set()
        for event in _every_event(record):
            counts[event.kind] = counts.get(event.kind, 0) + 1
            if event.kind == Kind.INSTANCE_STORED:
                stored.add(event.payload["sop_instance_uid"])
    course.acknowledged, course.missing = len(acknowledged), len(set(acknowledged) - stored)
    course.opened, course.closed = counts[Kind.ASSOCIATION_OPENED], counts[Kind.ASSOCIATION_CLOSED]


def _every_event(record: Record) -> Iterator[Any]:
    after = 0
    while batch := record.events(after, limit=5_000):
        yield from batch
        after = batch[-1].seq
