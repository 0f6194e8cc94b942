"""Titles from one column, or joined from several."""

import pytest
from table_folder import TableFolder

from llamarec_cli.errors import LlamaRecError, UsageError


def test_a_column_that_varies_within_items_is_not_taken_for_titles(folder: TableFolder) -> None:
    log = "user,item,name\n" + "".join(f"u{user},{item},Customer {user}\n" for user in range(3) for item in range(4))
    with pytest.raises(LlamaRecError, match="does not contain titles: 4 of 4 items have several") as caught:
        folder.read(log)
    assert "`title_column`" in (caught.value.hint or "")
    assert len(folder.titles(log, title_column="name")) == 4
    assert folder.titles(log, "id,title\n0,A\n1,B\n") == {"0": "A", "1": "B"}


def test_titles_may_be_joined_from_columns(folder: TableFolder) -> None:
    items = 'product_id,name,brand\np3,"Thing,  3",Maker 1\n'
    titles = folder.titles("user,Product\nu,p3\n", items, title_column="{name} by {brand}", item_column="Product")
    assert titles == {"p3": "Thing, 3 by Maker 1"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{title} by {brand}", {"a": "A by X", "b": "B"}),
        ("{brand}: {title}", {"a": "X: A", "b": "B"}),
        ("{brand} ({color})", {"a": "X (red)", "c": "Y"}),  # neither has a usual name, so the first is the title
    ],
)
def test_a_joined_title_needs_the_title_itself(folder: TableFolder, template: str, expected: dict[str, str]) -> None:
    log = "user,item,title,brand,color\nu,a,A,X,red\nu,b,B,,\nu,c,,Y,\n"
    assert folder.titles(log, title_column=template) == expected


@pytest.mark.parametrize("template", ["{title} {title}", "{title"])
def test_a_malformed_template_is_refused(folder: TableFolder, template: str) -> None:
    with pytest.raises(UsageError, match="must name each column once"):
        folder.read("user,item,title\nu,a,A\n", title_column=template)
