"""Configuration: dataclasses from defaults, a TOML file, variables and flags, in rising order of precedence.

The dataclasses themselves stand beside the model they configure; their fields are the keys of the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from llamarec_cli.errors import LlamaRecError, UsageError, nearest
from llamarec_cli.numbers import problem_with
from llamarec_cli.small_files import read_small

Config = TypeVar("Config")


# The tables a configuration file may hold: one for each dataclass.
TABLES = ("lrurec", "sasrec", "bert4rec", "narm", "textrec", "popularity", "ensemble", "training", "ranker")


@dataclass
class Settings:
    """What the user set, by table and key, and by which means.

    Attributes:
        tables: Values; a table in which nothing is set is empty.
        sources: For each `table.key` that is set: the file, the variable or `flag`.
    """

    tables: dict[str, dict[str, Any]]
    sources: dict[str, str]

    def give(self, table: str, **flags: Any) -> None:
        """Lay flags over a table; those that are None were not given."""
        for key, value in flags.items():
            if value is not None:
                self.tables[table][key] = value
                self.sources[f"{table}.{key}"] = "flag"


def read_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a TOML configuration file, and over it the variables `LLAMAREC_TABLE_KEY`.

    Args:
        path: The file, or None for no file.
        environment: Variables, such as `LLAMAREC_TRAINING_SEED=7`; values are written as in the file.

    Raises:
        LlamaRecError: The file is missing, unreadable or not TOML.
        UsageError: It holds something else than the known tables.
    """
    settings = Settings({table: {} for table in TABLES}, {})
    for table, values in (_read_file(path) if path else {}).items():
        settings.tables[table] |= values
        settings.sources |= dict.fromkeys((f"{table}.{key}" for key in values), str(path))
    for variable, text in sorted(environment.items()):
        for table in TABLES:
            prefix = f"LLAMAREC_{table.upper()}_"
            if variable.startswith(prefix):
                key = variable.removeprefix(prefix).lower()
                settings.tables[table][key] = _parsed(text)
                settings.sources[f"{table}.{key}"] = variable
    return settings


def _parsed(text: str) -> Any:
    """Return the value of a variable: what TOML makes of it, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML, a number of thousands of digits, or lists in lists in lists
        return text


def _read_file(path: Path) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    try:
        document = tomllib.loads(read_small(path).decode("utf-8-sig"))
    except OSError as error:
        raise LlamaRecError(
            f"The configuration file {path} cannot be read ({error.strerror}).", "Check --config."
        ) from error
    except RecursionError as error:
        raise LlamaRecError(
            f"The configuration file {path} holds lists in lists without end.",
            "Write tables and keys, such as [training] and epochs = 100.",
        ) from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise LlamaRecError(
            f"The configuration file {path} is not TOML: {error}.",
            "Write tables and keys, such as [training] and epochs = 100.",
        ) from error
    for name, table in document.items():
        if name not in TABLES:
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
    if problem := problem_with(value):
        raise UsageError(f"{key} {problem}.", f"Its default is {default!r}.")
    if type(value) is type(default):
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    raise UsageError(f"{key} must be {type(default).__name__}, not {value!r}.", f"Its default is {default!r}.")
