"""Names of artefacts."""

import pytest

from llamarec_cli.errors import UsageError
from llamarec_cli.store.registry import Store


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc", "A", "", "a--b", "a/b/c", ".hidden", "a b", "a/"])
def test_names_cannot_leave_the_store(store: Store, name: str) -> None:
    with pytest.raises(UsageError):
        store.path_of(name)
