"""``comparison.json`` and ``comparison.csv``: every number of a comparison, with what it is worth."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from console.comparison import Comparison, Row, Side
from console.comparison_quantities import Value
from console.outputs.identity import Identity
from console.outputs.wording import RESEARCH_USE, software_version

_HEAD = (
    *("fractions", "volume", "quantity"),
    *("a", "a_u", "a_lower_bound", "a_words", "b", "b_u", "b_lower_bound", "b_words"),
    *("difference", "difference_pct", "u_if_errors_shared", "u_if_errors_separate", "not_told", "verdict"),
)


def side_that_may_leave(letter: str, document: Mapping[str, Any], identity: Identity, details: str = "") -> Side:
    """A side made from what may leave: no name in a comparison of such sides is one that its identity keeps back.

    Parameters
    ----------
    letter
        ``A`` or ``B``.
    document
        The results document of the treatment as it is known here.
    details
        What was laid over the treatment, in words; it goes through the identity too.
    """
    label = " · ".join(filter(None, (f"{letter}: {identity.name}", identity.text(details))))
    return Side(label=label, document=identity.document(document))


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as a JSON document, with the results of both sides. Unknown is None; there is no NaN.

    Numbers of a row have the unit that the quantity's name tells, as in ``results.json``.
    """
    return {
        "schema": 1,
        "research_use": RESEARCH_USE,
        "software": {"version": software_version()},
        "same_treatment": comparison.same_treatment,
        "same_patient": comparison.same_patient,
        "inputs": list(comparison.inputs),
        "notes": list(comparison.notes),
        "rows": [row_document(comparison, row) for row in comparison.rows],
        "a": {"label": comparison.a.label, "results": dict(comparison.a.document)},
        "b": {"label": comparison.b.label, "results": dict(comparison.b.document)},
    }


def row_document(comparison: Comparison, row: Row) -> dict[str, Any]:
    """One row of the document."""
    change = row.difference
    return {
        "fractions": comparison.pairs[row.pair].label,
        "volume": row.volume,
        "quantity": row.quantity.key,
        "a": _value_document(row.a),
        "b": _value_document(row.b),
        "difference": change.change,
        "difference_pct": change.change_pct,
        "u_if_errors_shared": change.u_shared,
        "u_if_errors_separate": change.u_separate,
        "not_told": change.why or None,
        "verdict": str(row.verdict),
    }


def comparison_json(comparison: Comparison) -> str:
    """The document as text; NaN is refused rather than written."""
    return json.dumps(comparison_document(comparison), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def comparison_csv(comparison: Comparison) -> str:
    """One line for every row, for a spreadsheet; the lines before it say what was compared, and what this is not."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for side in (comparison.a, comparison.b):
        own = side.document["software"]
        told = f"record head {own['record_head']}, settings {own['settings_sha256']}"
        writer.writerow([f"# {side.label}: {told}"])
    for words in (*comparison.inputs, *comparison.notes, f"Holmia {software_version()}", RESEARCH_USE):
        writer.writerow([f"# {words}"])
    writer.writerow(_HEAD)
    for row in comparison.rows:
        document = row_document(comparison, row)
        sides = [document[side][key] for side in "ab" for key in ("value", "u", "lower_bound", "words")]
        writer.writerow([*(document[key] for key in _HEAD[:3]), *sides, *(document[key] for key in _HEAD[11:])])
    return stream.getvalue()


def _value_document(value: Value) -> dict[str, Any]:
    return {"value": value.number, "u": value.u, "lower_bound": value.bound, "words": value.words or None}
