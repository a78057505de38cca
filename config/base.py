"""What all tables of a settings or plan file have in common: frozen, strict, file keys with units, defaults, hash."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from config.errors import ConfigurationError

# Python names are lower case; a file writes units as the field does. The one place where the two meet.
_UNITS = {"gy": "Gy", "mbq": "MBq", "ml": "mL", "mj": "mJ", "mb": "MB", "t": "T", "5t": "5T", "3t": "3T", "c": "C"}


def file_key(name: str) -> str:
    """Return the file's key of a Python name, e.g. ``activity_MBq`` of ``activity_mbq``."""
    return "_".join(_UNITS.get(part, part) for part in name.split("_"))


class Table(BaseModel):
    """A table of a file: immutable, no unknown keys, no silent conversions, no infinite numbers.

    Files are read by their keys only (`file_key`); Python code may construct by attribute name.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        alias_generator=file_key,
        validate_by_name=True,
        validate_by_alias=True,
    )

    def to_mapping(self) -> dict[str, Any]:
        """Return the table with its file keys, of JSON types only. Equal tables give equal mappings."""
        return self.model_dump(mode="json", by_alias=True)


TableType = TypeVar("TableType", bound=Table)

DEFAULTS: dict[str, Any] = tomllib.loads(files("config").joinpath("defaults.toml").read_text(encoding="utf-8"))
"""``defaults.toml``: the only place where a setting's default is written."""


def settings_in(section: str) -> Callable[..., Any]:
    """Return the maker of fields of one table of ``defaults.toml``, e.g. ``quantification.trend``."""
    table: Any = DEFAULTS
    for part in section.split("."):
        table = table[part]

    def setting(key: str, description: str, *, source: str, unit: str = "", form: str = "", **constraints: Any) -> Any:  # noqa: ANN401
        """Make one field: default from the table, and what a panel shows of it."""
        default = tuple(table[key]) if isinstance(table[key], list) else table[key]
        # Lists are what TOML has for a tuple: their own strictness is lifted, that of their values is not.
        if isinstance(default, tuple):
            constraints["strict"] = False
        extra: dict[str, Any] = {"unit": unit, "source": source} | ({"form": form} if form else {})
        return Field(default=default, description=description, json_schema_extra=extra, **constraints)

    return setting


def canonical_sha256(mapping: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a mapping's canonical JSON: sorted keys, no white space, UTF-8, finite numbers."""
    text = json.dumps(mapping, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it, table by table."""
    result = dict(base)
    for key, value in changes.items():
        below = result.get(key)
        both_tables = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both_tables else value  # type: ignore[arg-type]
    return result


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or is not TOML; the sentence says where.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError([f"The file cannot be read: {error.strerror or error}."], source=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            [f"The file is not UTF-8 text (byte {error.start}); save it as UTF-8."], source=str(path)
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"The file is not valid TOML: {error}."], source=str(path)) from error
