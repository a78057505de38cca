"""What goes wrong with outputs; in a file of its own, so that who only reports it need not load what writes them."""

from __future__ import annotations


class OutputError(Exception):
    """An output could not be written; the text says which, where and what to do."""
