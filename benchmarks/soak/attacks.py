"""Every attack: what somebody can do to a port on a hospital's network.

Each is a function that goes on until it is stopped. It checks what the listener owes *it* (an answer, a rejection with
its reason, an end) and raises `AttackError` if that does not come; what the listener owes *everybody else* is measured
beside it, in `probe`.
"""

from __future__ import annotations

from benchmarks.soak.attack import Attack
from benchmarks.soak.broken_peers import BROKEN_PEERS
from benchmarks.soak.floods import FLOODS
from benchmarks.soak.misuse import MISUSE

ATTACKS: tuple[Attack, ...] = (*FLOODS, *BROKEN_PEERS, *MISUSE)
