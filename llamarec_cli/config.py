"""Configuration from defaults, a TOML file, environment variables and flags, in rising order of precedence.

Each table of the file configures one dataclass, whose fields are the keys. The dataclasses are defined beside the
models they configure.
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
from llamarec_cli.retrieval.registry import RETRIEVERS
from llamarec_cli.small_files import read_small

Config = TypeVar("Config")


_TOML_HINT = "Write tables and keys, such as [training] and epochs = 100."


def table_names() -> tuple[str, ...]:
    """Return the tables that a configuration file may have: one for each retriever, `training` and `ranker`."""
    return (*RETRIEVERS, "training", "ranker")


@dataclass
class Settings:
    """The user's settings and where each of them comes from.

    Attributes:
        tables: Value of each setting by table and key; a table without settings is empty.
        sources: Source of each setting by `table.key`: path of the file, name of the variable, or `flag`.
    """

    tables: dict[str, dict[str, Any]]
    sources: dict[str, str]

    def give(self, table: str, **flags: Any) -> None:
        """Override settings of a table by flags; None means that the flag was not given."""
        for key, value in flags.items():
            if value is not None:
                self.tables[table][key] = value
                self.sources[f"{table}.{key}"] = "flag"


def read_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a TOML configuration file and the environment variables `LLAMAREC_TABLE_KEY`, which override it.

    Args:
        path: The file, or None for no file.
        environment: Variables such as `LLAMAREC_TRAINING_SEED=7`; values are written as in the file.

    Raises:
        LlamaRecError: The file is missing, unreadable or not TOML.
        UsageError: The file has unknown tables, or values outside tables.
    """
    tables = table_names()
    settings = Settings({table: {} for table in tables}, {})
    for table, values in (_read_file(path) if path else {}).items():
        settings.tables[table] |= values
        settings.sources |= dict.fromkeys((f"{table}.{key}" for key in values), str(path))
    for variable, text in sorted(environment.items()):
        for table in tables:
            prefix = f"LLAMAREC_{table.upper()}_"
            if variable.startswith(prefix):
                key = variable.removeprefix(prefix).lower()
                settings.tables[table][key] = _parsed(text)
                settings.sources[f"{table}.{key}"] = variable
    return settings


def _parsed(text: str) -> Any:
    """Parse the value of a variable as TOML; what is not TOML is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # not TOML, a number of thousands of digits, or lists nested too deeply
        return text


def _read_file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        document = tomllib.loads(read_small(path).decode("utf-8-sig"))
    except OSError as error:
        raise LlamaRecError(
            f"The configuration file {path} cannot be read ({error.strerror}).", "Check `config`."
        ) from error
    except RecursionError as error:
        raise LlamaRecError(f"The configuration file {path} nests lists too deeply.", _TOML_HINT) from error
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise LlamaRecError(f"The configuration file {path} is not TOML: {error}.", _TOML_HINT) from error
    known = table_names()
    for name, table in document.items():
        if name not in known:
            raise UsageError(
                f"{path} has an unknown table {name}: {nearest(name, known)}",
                f"The tables are {', '.join(f'[{one}]' for one in known)}.",
            )
        if not isinstance(table, dict):
            raise UsageError(f"In {path}, {name} must be a table.", f"Write [{name}] on a line, its keys below it.")
    return document


def resolve_config(defaults: Config, overrides: Mapping[str, Any]) -> Config:
    """Return a copy of a dataclass instance with some fields replaced.

    Args:
        defaults: The instance.
        overrides: New values by field name.

    Raises:
        UsageError: A key is not a field of the dataclass, or a value has the wrong type or range.
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
        raise UsageError(f"The configuration is invalid: {error}.", "Change the `config` file or the flag.") from error


def _hint(known: Mapping[str, Any]) -> str:
    return f"The keys of this table are {', '.join(known)}."


def _checked(key: str, value: Any, default: Any) -> Any:
    """Return `value` converted to the type of the field's default, or raise."""
    if problem := problem_with(value):
        raise UsageError(f"{key} {problem}.", f"Its default is {default!r}.")
    if type(value) is type(default):
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    raise UsageError(f"{key} must be {type(default).__name__}, not {value!r}.", f"Its default is {default!r}.")
