"""Cuts through the patient: those of every output (`quantify.planes`)."""

from __future__ import annotations

from quantify.planes import PLANE_NAMES, PlaneGeometry, bounds_mm, contour_lines, direction_letters, plane_geometries

__all__ = ["PLANE_NAMES", "PlaneGeometry", "bounds_mm", "contour_lines", "direction_letters", "plane_geometries"]
