from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from config.errors import ConfigurationError
from config.plan import plan_from_mapping

SPOILERS: list[Any] = [
    None, 1, -1, 0, True, float("inf"), float("nan"), 10**400, 1e-320, 1e300, "", "x", "2026-03-04T10:00:00",
    [], {}, [[]], [{}], {"a": 1}, [["RHA", 1]], [["RHA"]], [[1, "RHA"]], ["A", "A"],
    datetime.min, datetime.max.replace(tzinfo=UTC), date(2026, 1, 1), time(3),
]  # fmt: skip


def paths(table: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    for key, value in items:
        yield (*prefix, key)
        yield from paths(value, (*prefix, key))


def test_a_spoiled_plan_is_either_read_or_refused_in_sentences(content: dict[str, Any]) -> None:
    chance = random.Random(20260304)
    read = refused = 0
    told: list[tuple[str, ...]] = []
    for _ in range(800):
        spoiled = copy.deepcopy(content)
        for _ in range(chance.randint(1, 3)):
            path = chance.choice(list(paths(spoiled)))
            place: Any = spoiled
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = copy.deepcopy(chance.choice(SPOILERS))
        try:
            plan = plan_from_mapping(spoiled, site_time_zone="Europe/Amsterdam")
        except ConfigurationError as error:
            refused += 1
            told.append(error.faults)
        else:
            read += 1
            plan.warnings()
            mapping = json.loads(json.dumps(plan.to_mapping()))
            assert plan_from_mapping(mapping, site_time_zone="UTC") == plan
    assert all(faults for faults in told)
    assert [fault for faults in told for fault in faults if not fault.endswith((".", "?"))] == []
    assert read > 0
    assert refused > read
