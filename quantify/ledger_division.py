"""How the content of vials divides over the injections that draw on them, where nobody measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ROUNDS = 200
"""Of alternate scaling: a division that is possible settles within a few; the last step empties every vial exactly."""

_Cells = dict[tuple[int, str], float]
"""Amount [MBq, all at one time] by (number of the injection, name of the vial)."""


@dataclass(frozen=True, kw_only=True)
class Sharer:
    """One injection with the vials that it names; ``taken_mbq`` is what it drew of them, where that is known."""

    vials: tuple[str, ...]
    planned_mbq: float | None = None
    taken_mbq: float | None = None


def divided(sharers: Sequence[Sharer], contents_mbq: Mapping[str, float]) -> tuple[dict[str, float], ...]:
    """Share 0…1 of every vial that each injection draws; the shares of a vial add up to 1.

    Parameters
    ----------
    sharers
        A vial named by one injection alone is drawn by it as a whole. Of a vial named by several, those whose draw is
        known take theirs first; the others take the rest in proportion to their planned activities, or equally when
        one of them has none.
    contents_mbq
        Content of every vial, all at one time.

    Notes
    -----
    Where injections draw on several vials, the amounts are scaled in turn until each injection has its planned part
    of the whole and each vial is empty (iterative proportional fitting, Deming & Stephan 1940): an injection that has
    a vial of its own draws that much less on the shared one. Only the proportions of what is planned count.
    """
    members = {name: [n for n, sharer in enumerate(sharers) if name in sharer.vials] for name in contents_mbq}
    cells: _Cells = {}
    open_cells: _Cells = {}
    unplanned: set[int] = set()
    for name, content in contents_mbq.items():
        known = {n: _part(sharers[n], name, members, contents_mbq) for n in members[name] if _is_known(sharers[n])}
        waiting = [n for n in members[name] if n not in known]
        taken = sum(known.values())
        if waiting:
            # More than the vial held cannot have been taken from it.
            scale = content / taken if taken > content else 1.0
            rest = content - scale * taken
            planned = [sharers[n].planned_mbq or 0.0 for n in waiting]
            if len(waiting) > 1 and min(planned) <= 0:
                unplanned.update(waiting)
                planned = [1.0] * len(waiting)
            total = sum(planned)
            for n, weight in zip(waiting, planned, strict=True):
                open_cells[n, name] = rest * (weight / total if total > 0 else 1.0)
        elif taken > 0:
            scale = content / taken
        else:
            known, scale = dict.fromkeys(known, content / max(len(known), 1)), 1.0
        cells.update({(n, name): amount * scale for n, amount in known.items()})
    cells.update(_fitted(open_cells, sharers, unplanned))
    return tuple(
        {
            # An empty vial divides evenly: only its mass hangs on it.
            name: cells[n, name] / contents_mbq[name] if contents_mbq[name] > 0 else 1.0 / len(members[name])
            for name in sharer.vials
        }
        for n, sharer in enumerate(sharers)
    )


def _is_known(sharer: Sharer) -> bool:
    return sharer.taken_mbq is not None


def _part(sharer: Sharer, name: str, members: Mapping[str, list[int]], contents: Mapping[str, float]) -> float:
    """What an injection of known draw takes from one of its vials: its own vials first, then the shared evenly."""
    if len(members[name]) == 1:
        return contents[name]
    own = sum(contents[one] for one in sharer.vials if len(members[one]) == 1)
    shared = sum(contents[one] for one in sharer.vials if len(members[one]) > 1)
    needed = max((sharer.taken_mbq or 0.0) - own, 0.0)
    return needed * contents[name] / shared if shared > 0 else 0.0


def _fitted(cells: _Cells, sharers: Sequence[Sharer], unplanned: set[int]) -> _Cells:
    """Scale rows to what is planned and columns to what the vials hold, in turn; columns last."""
    columns = {name: sum(a for (_, of), a in cells.items() if of == name) for _, name in cells}
    rows = {n for n, _ in cells if n not in unplanned and (sharers[n].planned_mbq or 0.0) > 0}
    for _ in range(_ROUNDS):
        before = dict(cells)
        for n in rows:
            _scale(cells, [cell for cell in cells if cell[0] == n], sharers[n].planned_mbq or 0.0)
        for name, content in columns.items():
            _scale(cells, [cell for cell in cells if cell[1] == name], content)
        if all(abs(cells[cell] - before[cell]) <= 1e-12 * before[cell] for cell in cells):
            break
    return cells


def _scale(cells: _Cells, some: Sequence[tuple[int, str]], total: float) -> None:
    now = sum(cells[cell] for cell in some)
    if now > 0:
        for cell in some:
            cells[cell] *= total / now
