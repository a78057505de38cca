"""Targets of an export as data: what each is called, holds, needs and brings along. Light: the help shows them."""

from __future__ import annotations

from dataclasses import dataclass

from config.errors import did_you_mean
from console.outputs.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Target:
    """One form that a treatment can be written in."""

    name: str
    holds: str
    """In words."""
    entry: str = ""
    """The name in the folder that is written to; its own if empty. ``{name}`` stands for the treatment's."""
    computed: bool = True
    """Whether it needs the results: the received data do not."""
    by_fraction: bool = False
    """Whether single fractions of it can be asked for."""
    brings: tuple[str, ...] = ()
    """Other targets that it refers to."""

    def entry_of(self, identity: Identity) -> str:
        """Its name in the folder that is written to."""
        return (self.entry or self.name).format(name=identity.name)


TARGETS = {
    target.name: target
    for target in (
        Target(
            name="treatment",
            holds="the treatment file, whole and compact, also while it is being filled",
            entry="{name}.holmia",
            computed=False,
        ),
        Target(name="rtdose", holds="RTDOSE after every fraction, with its structure set and plan", by_fraction=True),
        Target(name="seg", holds="volumes of interest, and what could not be evaluated, as SEG", by_fraction=True),
        Target(
            name="parametric-map",
            holds="R2*, holmium, dose and its standard error as Parametric Map",
            by_fraction=True,
        ),
        Target(name="sr", holds="the statistics as structured report TID 1500", brings=("seg",)),
        Target(name="dicom", holds="the received instances", computed=False),
        Target(name="nifti", holds="maps as NIfTI, each with a JSON sidecar", by_fraction=True),
        Target(name="csv", holds="the statistics as a table", entry="results.csv"),
        Target(name="json", holds="all results", entry="results.json"),
        Target(name="pdf", holds="the report", entry="report.pdf"),
    )
}
"""In the order in which they are written."""


def chosen_targets(text: str) -> tuple[Target, ...]:
    """The targets of a comma-separated list, or ``all``, with those that they bring along, in the order of writing.

    Raises
    ------
    ValueError
        If the list is empty or a name is unknown; the sentence has the nearest one.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError(f"--to names nothing; choose from {', '.join(TARGETS)}, or all.")
    for name in names:
        if name not in TARGETS and name != "all":
            raise ValueError(f'"{name}" is nothing that can be exported.{did_you_mean(name, [*TARGETS, "all"])}')
    wanted = set(TARGETS) if "all" in names else {*names, *(own for name in names for own in TARGETS[name].brings)}
    return tuple(target for name, target in TARGETS.items() if name in wanted)
