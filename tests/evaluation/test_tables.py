import csv
import io

import pytest

from llamarec_cli.evaluation.tables import TableFormat, metric_table, write_tables

TABLE = metric_table(
    "ml-100k, all users",
    {"lrurec": [{"mrr@5": 0.04, "ndcg@5": 0.05}], "sasrec": [{"mrr@5": 0.03, "ndcg@5": 0.05}]},
    {"lrurec": {"mrr@5": 0.039, "ndcg@5": 0.0468}},
)


def test_best_figures_are_marked_ties_included() -> None:
    assert [cell.best for cell in TABLE.rows["mrr@5"]] == [True, False]
    assert [cell.best for cell in TABLE.rows["ndcg@5"]] == [True, True]


def test_markdown() -> None:
    lines = write_tables([TABLE], TableFormat.MARKDOWN).splitlines()
    assert lines[2] == "| | lrurec | sasrec |"
    assert lines[4] == "| mrr@5 | **0.0400** (0.0390) | 0.0300 |"


def test_the_paper_is_named_only_where_it_has_a_figure() -> None:
    alone = metric_table("my shop", {"lrurec": [{"mrr@5": 0.04}]}, {})
    assert not alone.has_paper
    for form in (TableFormat.MARKDOWN, TableFormat.LATEX):
        assert "the paper's figure in parentheses" in write_tables([TABLE], form)
        assert "paper" not in write_tables([alone], form)


def test_csv_has_a_line_for_each_figure() -> None:
    rows = list(csv.DictReader(io.StringIO(write_tables([TABLE], TableFormat.CSV))))
    assert len(rows) == 4
    assert rows[0] == {
        "table": "ml-100k, all users",
        "metric": "mrr@5",
        "model": "lrurec",
        "value": "0.04",
        "deviation": "",
        "paper": "0.039",
    }
    assert rows[1]["paper"] == ""


def test_latex() -> None:
    text = write_tables([TABLE], TableFormat.LATEX)
    assert r"mrr@5 & \textbf{0.0400} (0.0390) & 0.0300 \\" in text
    assert text.count("tabular") == 2


def test_several_runs_are_shown_as_mean_and_standard_deviation() -> None:
    table = metric_table("three seeds", {"lrurec": [{"mrr@5": 0.01}, {"mrr@5": 0.02}, {"mrr@5": 0.03}]}, {})
    assert "| mrr@5 | **0.0200 ± 0.0100** |" in write_tables([table], TableFormat.MARKDOWN)
    assert r"\textbf{0.0200 $\pm$ 0.0100}" in write_tables([table], TableFormat.LATEX)
    (row,) = csv.DictReader(io.StringIO(write_tables([table], TableFormat.CSV)))
    assert float(row["deviation"]) == pytest.approx(0.01)
