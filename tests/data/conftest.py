from pathlib import Path

import pytest
from table_folder import TableFolder


@pytest.fixture
def folder(tmp_path: Path) -> TableFolder:
    return TableFolder(tmp_path)
