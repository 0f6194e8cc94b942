"""Tables of the paper's layout, models as columns and metrics as rows, as text for people and papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev
from typing import assert_never


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        value: Ours; over several runs, their mean.
        deviation: Standard deviation over the runs, where there is more than one.
        paper: The paper's, where it has one.
        best: Whether ours is the best of its row.
    """

    value: float
    deviation: float | None
    paper: float | None
    best: bool

    def text(self) -> str:
        """Return the figure to four places, with its deviation."""
        return f"{self.value:.4f}" + ("" if self.deviation is None else f" ± {self.deviation:.4f}")


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
    title: str, ours: Mapping[str, Sequence[Mapping[str, float]]], paper: Mapping[str, Mapping[str, float]]
) -> MetricTable:
    """Lay out figures.

    Args:
        title: Heading.
        ours: Model -> runs -> metric -> figure; at least one model with at least one run, all with the same metrics.
        paper: Model -> metric -> figure of the paper, for some of the models.
    """
    metrics = next(iter(ours.values()))[0].keys()
    rows: dict[str, list[Cell]] = {}
    for metric in metrics:
        figures = {model: [run[metric] for run in runs] for model, runs in ours.items()}
        best = max(fmean(values) for values in figures.values())
        rows[metric] = [
            Cell(
                fmean(values),
                stdev(values) if len(values) > 1 else None,
                paper.get(model, {}).get(metric),
                fmean(values) == best,
            )
            for model, values in figures.items()
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
        texts = [_in_parentheses(f"**{cell.text()}**" if cell.best else cell.text(), cell) for cell in cells]
        lines.append(f"| {metric} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def _latex(table: MetricTable) -> str:
    lines = [f"% {table.title}, the paper's figure in parentheses", rf"\begin{{tabular}}{{l{'r' * len(table.models)}}}"]
    lines.append(f" & {' & '.join(table.models)} \\\\ \\hline")
    for metric, cells in table.rows.items():
        texts = [
            _in_parentheses(rf"\textbf{{{_latex_text(cell)}}}" if cell.best else _latex_text(cell), cell)
            for cell in cells
        ]
        lines.append(f"{metric} & {' & '.join(texts)} \\\\")
    return "\n".join([*lines, r"\end{tabular}"]) + "\n"


def _latex_text(cell: Cell) -> str:
    return cell.text().replace("±", r"$\pm$")


def _in_parentheses(text: str, cell: Cell) -> str:
    return text if cell.paper is None else f"{text} ({cell.paper:.4f})"


def _csv(tables: Sequence[MetricTable]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["table", "metric", "model", "value", "deviation", "paper"])
    for table in tables:
        for metric, cells in table.rows.items():
            for model, cell in zip(table.models, cells, strict=True):
                optional = ["" if figure is None else figure for figure in (cell.deviation, cell.paper)]
                writer.writerow([table.title, metric, model, cell.value, *optional])
    return stream.getvalue()
