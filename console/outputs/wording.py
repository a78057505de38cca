"""The words that go on the splash, in the header and in every output."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

RESEARCH_USE = (
    "For research use only. Not a medical device; not cleared, approved or CE-marked. "
    "Displayed dose is an estimate with stated uncertainty; confirm with an independent method."
)


@cache
def software_version() -> str:
    """Version of the installed Holmia."""
    return version("holmia")
