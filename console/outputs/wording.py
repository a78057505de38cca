"""The words that go on the splash, in the header and in every output."""

RESEARCH_USE = (
    "For research use only. Not a medical device; not cleared, approved or CE-marked. "
    "Displayed dose is an estimate with stated uncertainty; confirm with an independent method."
)
