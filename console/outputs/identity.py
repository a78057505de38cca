"""Whether outputs name the patient: the one mechanism that every output goes through, whatever its form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydicom.dataset import Dataset


class Identity(Protocol):
    """Takes what is to be written as it is known here, and returns what may leave."""

    identified: bool
    """Whether what leaves names the patient."""
    name: str
    """What folders and files of this treatment may be called: a pseudonym, or the treatment file's own name."""

    def dataset(self, dataset: Dataset) -> Dataset:
        """Return the dataset as it may leave, with its file meta information; the given one is not changed."""

    def document(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a JSON document (results, plan, payload of an event) as it may leave."""

    def text(self, text: str) -> str:
        """Return a sentence as it may leave."""


class Identified:
    """Everything leaves as it is: by explicit choice only."""

    identified = True

    def __init__(self, name: str) -> None:
        self.name = name

    def dataset(self, dataset: Dataset) -> Dataset:
        """As it is."""
        return dataset

    def document(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """As it is."""
        return dict(document)

    def text(self, text: str) -> str:
        """As it is."""
        return text
