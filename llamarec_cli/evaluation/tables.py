"""Tables of the paper's layout, models as columns and metrics as rows, as text for people and papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        value: Ours.
        paper: The paper's, where it has one.
        best: Whether ours is the best of its row.
    """

    value: float
    paper: float | None
    best: bool


@dataclass(frozen=True)
class MetricTable:
    """Figures of several models.

    Attributes:
        title: Heading.
        models: Names of the columns.
        rows: For each metric, a cell a model.
    """

    title: str
    models: Sequence[str]
    rows: Mapping[str, Sequence[Cell]]


class TableFormat(StrEnum):
    """How a table is written to a file; the values are the endings of file names."""

    MARKDOWN = "md"
    CSV = "csv"
    LATEX = "tex"


def metric_table(
    title: str, ours: Mapping[str, Mapping[str, float]], paper: Mapping[str, Mapping[str, float]]
) -> MetricTable:
    """Lay out figures.

    Args:
        title: Heading.
        ours: Model -> metric -> figure; at least one model, all with the same metrics.
        paper: The same of the paper, for some of the models.
    """
    metrics = next(iter(ours.values())).keys()
    rows: dict[str, list[Cell]] = {}
    for metric in metrics:
        best = max(figures[metric] for figures in ours.values())
        rows[metric] = [
            Cell(figures[metric], paper.get(model, {}).get(metric), figures[metric] == best)
            for model, figures in ours.items()
        ]
    return MetricTable(title, list(ours), rows)


def write_tables(tables: Sequence[MetricTable], form: TableFormat) -> str:
    """Return tables as Markdown, CSV or LaTeX; the paper's figure stands in parentheses or in its own column."""
    match form:
        case TableFormat.MARKDOWN:
            return "\n".join(_markdown(table) for table in tables)
        case TableFormat.CSV:
            return _csv(tables)
        case TableFormat.LATEX:
            return "\n".join(_latex(table) for table in tables)
    assert_never(form)


def _markdown(table: MetricTable) -> str:
    lines = [f"**{table.title}**, the paper's figure in parentheses", ""]
    lines += [f"| | {' | '.join(table.models)} |", f"|---|{'---:|' * len(table.models)}"]
    for metric, cells in table.rows.items():
        texts = [_in_parentheses(f"**{cell.value:.4f}**" if cell.best else f"{cell.value:.4f}", cell) for cell in cells]
        lines.append(f"| {metric} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def _latex(table: MetricTable) -> str:
    lines = [f"% {table.title}, the paper's figure in parentheses", rf"\begin{{tabular}}{{l{'r' * len(table.models)}}}"]
    lines.append(f" & {' & '.join(table.models)} \\\\ \\hline")
    for metric, cells in table.rows.items():
        texts = [
            _in_parentheses(rf"\textbf{{{cell.value:.4f}}}" if cell.best else f"{cell.value:.4f}", cell)
            for cell in cells
        ]
        lines.append(f"{metric} & {' & '.join(texts)} \\\\")
    return "\n".join([*lines, r"\end{tabular}"]) + "\n"


def _in_parentheses(text: str, cell: Cell) -> str:
    return text if cell.paper is None else f"{text} ({cell.paper:.4f})"


def _csv(tables: Sequence[MetricTable]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["table", "metric", "model", "value", "paper"])
    for table in tables:
        for metric, cells in table.rows.items():
            for model, cell in zip(table.models, cells, strict=True):
                writer.writerow([table.title, metric, model, cell.value, "" if cell.paper is None else cell.paper])
    return stream.getvalue()
