"""Names of artefacts."""

import pytest

from llamarec_cli.errors import UsageError
from llamarec_cli.store.names import name_of, place_of
from llamarec_cli.store.registry import Store


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc", "A", "", "a--b", "a/b/c", ".hidden", "a b", "a/"])
def test_names_cannot_leave_the_store(store: Store, name: str) -> None:
    with pytest.raises(UsageError):
        store.path_of(name)


@pytest.mark.parametrize("name", ["games", "games/lrurec", "ml-100k/smollm2-135m.test", "x" * 120])
def test_a_name_is_recovered_from_its_folder(name: str) -> None:
    assert name_of(place_of(name)) == name


def test_a_long_name_is_refused() -> None:
    with pytest.raises(UsageError, match="is not a valid name"):
        place_of("x" * 121)
