"""The settings and the plan: typed, with units, ranges, defaults and sources. Knows nothing else of the project."""
