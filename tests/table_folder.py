"""A folder in which tests write tables and read them back."""

from pathlib import Path
from typing import Any

from llamarec_cli.data.readers import RawLog
from llamarec_cli.data.tables import ImportReport, TableOptions, read_tables


class TableFolder:
    """Writes tables and reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(
        self, log: str | bytes, items: str | bytes | None = None, name: str = "log.csv", **options: Any
    ) -> tuple[RawLog, ImportReport]:
        for file, content in ((name, log), ("items.csv", items)):
            if content is not None:
                (self.path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_tables(
            self.path / name, None if items is None else self.path / "items.csv", TableOptions(**options)
        )

    def titles(self, *arguments: Any, **options: Any) -> dict[str, str]:
        return dict(self.read(*arguments, **options)[0].titles.iter_rows())
