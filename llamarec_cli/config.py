"""Configuration: dataclasses from defaults, a TOML file and flags, in rising order of precedence.

The dataclasses themselves stand beside the model they configure; their fields are the keys of the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from llamarec_cli.errors import LlamaRecError, UsageError, nearest

Config = TypeVar("Config")


def read_config_table(path: Path | None, table: str) -> dict[str, Any]:
    """Read one table of a TOML configuration file.

    Args:
        path: The file, or None for no file.
        table: `retriever` or `ranker`.

    Raises:
        LlamaRecError: The file is missing, unreadable or not TOML.
    """
    if path is None:
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LlamaRecError(f"The configuration file {path} cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LlamaRecError(f"The configuration file {path} is not TOML: {error}.") from error
    values = document.get(table, {})
    if not isinstance(values, dict):
        raise UsageError(f"In {path}, {table} must be a table.", f"Write [{table}] on a line, its keys below it.")
    return values


def resolve_config(defaults: Config, *overrides: Mapping[str, Any]) -> Config:
    """Lay overrides over a dataclass instance; a later mapping wins, and None means "not given".

    Args:
        defaults: A dataclass instance that holds the defaults.
        *overrides: Mappings from field name to value.

    Raises:
        UsageError: A key is no field of the dataclass, or a value has the wrong type or range.
    """
    known = {field.name: getattr(defaults, field.name) for field in fields(defaults)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for override in overrides:
        for key, value in override.items():
            if key not in known:
                raise UsageError(f"{key} is not a configuration key: {nearest(key, known)}")
            if value is not None:
                given[key] = _checked(key, value, known[key])
    try:
        return replace(defaults, **given)  # type: ignore[type-var]
    except ValueError as error:
        raise UsageError(f"The configuration does not fit: {error}.") from error


def _checked(key: str, value: Any, default: Any) -> Any:
    """Return `value` in the type of the field's default, or raise."""
    if default is None or (type(value) is type(default)):
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    raise UsageError(f"{key} must be {type(default).__name__}, not {value!r}.")
