"""Usual names of columns."""

import pytest

from llamarec_cli.data.columns import Role, usual_column


@pytest.mark.parametrize(
    ("role", "columns", "expected"),
    [
        (Role.USER, ["x", "Customer ID"], "Customer ID"),
        (Role.ITEM, ["product", "item_id"], "item_id"),  # by preference, not by position
        (Role.ITEM, ["Item", "item"], "Item"),
        (Role.ITEM, ["id"], None),
        (Role.CATALOGUE_ITEM, ["id"], "id"),
        (Role.HISTORY, ["History"], "History"),
        (Role.TIME, [], None),
    ],
)
def test_usual_columns(role: Role, columns: list[str], expected: str | None) -> None:
    assert usual_column(role, columns) == expected
