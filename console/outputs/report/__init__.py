"""The report on paper: what a physicist files and a radiologist reads in ten minutes, made from ``results.json``."""

from console.outputs.report.pages import report_bytes, write_report

__all__ = ["report_bytes", "write_report"]
