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


# The tables a configuration file may hold: one for each dataclass.
TABLES = ("lrurec", "sasrec", "bert4rec", "narm", "popularity", "ensemble", "training", "ranker")


def read_config(path: Path | None) -> dict[str, dict[str, Any]]:
    """Read a TOML configuration file into its tables; a table that is not there is empty.

    Args:
        path: The file, or None for no file.

    Raises:
        LlamaRecError: The file is missing, unreadable or not TOML.
        UsageError: It holds something else than the known tables.
    """
    tables: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    if path is None:
        return tables
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LlamaRecError(
            f"The configuration file {path} cannot be read ({error.strerror}).", "Check --config."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LlamaRecError(
            f"The configuration file {path} is not TOML: {error}.",
            "Write tables and keys, such as [training] and epochs = 100.",
        ) from error
    for name, table in document.items():
        if name not in tables:
            raise UsageError(
                f"{path} holds {name}, which is no table of a configuration: {nearest(name, TABLES)}",
                f"The tables are {', '.join(f'[{table}]' for table in TABLES)}.",
            )
        if not isinstance(table, dict):
            raise UsageError(f"In {path}, {name} must be a table.", f"Write [{name}] on a line, its keys below it.")
        tables[name] = table
    return tables


def resolve_config(defaults: Config, overrides: Mapping[str, Any]) -> Config:
    """Lay overrides over a dataclass instance.

    Args:
        defaults: A dataclass instance that holds the defaults.
        overrides: Field name to value.

    Raises:
        UsageError: A key is no field of the dataclass, or a value has the wrong type or range.
    """
    known = {field.name: getattr(defaults, field.name) for field in fields(defaults)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for key, value in overrides.items():
        if key not in known:
            raise UsageError(f"{key} is not a configuration key: {nearest(key, known)}", _hint(known))
        given[key] = _checked(key, value, known[key])
    try:
        return replace(defaults, **given)  # type: ignore[type-var]
    except ValueError as error:
        raise UsageError(f"The configuration does not fit: {error}.", "Change it in --config or by a flag.") from error


def _hint(known: Mapping[str, Any]) -> str:
    return f"The keys of this table are {', '.join(known)}."


def _checked(key: str, value: Any, default: Any) -> Any:
    """Return `value` in the type of the field's default, or raise."""
    if type(value) is type(default):
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    raise UsageError(f"{key} must be {type(default).__name__}, not {value!r}.", f"Its default is {default!r}.")
