"""Holmia's console: treatment, engine, outputs, dashboard and command line."""
