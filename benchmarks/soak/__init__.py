"""The listener for an hour: kills, attacks, associations, memory. ``python -m benchmarks.soak`` writes docs/soak.md."""
