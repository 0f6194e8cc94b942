"""Tables in the paper's layout, a column for each model and a row for each metric, as Markdown, CSV or LaTeX."""

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
    """One metric of one model.

    Attributes:
        value: The measured value; the mean if there are several runs.
        deviation: Standard deviation over the runs; None for a single run.
        paper: The paper's value; None where the paper has none.
        best: Whether `value` is the best of its row.
    """

    value: float
    deviation: float | None
    paper: float | None
    best: bool

    def text(self) -> str:
        """Return the value and its deviation to four places."""
        return f"{self.value:.4f}" + ("" if self.deviation is None else f" ± {self.deviation:.4f}")


@dataclass(frozen=True)
class MetricTable:
    """Metrics of several models.

    Attributes:
        title: Heading.
        models: Names of the columns.
        rows: For each metric, one cell for each model.
    """

    title: str
    models: Sequence[str]
    rows: Mapping[str, Sequence[Cell]]

    @property
    def has_paper(self) -> bool:
        """Whether the paper has a value for any cell."""
        return any(cell.paper is not None for cells in self.rows.values() for cell in cells)


class TableFormat(StrEnum):
    """Formats of a table in a file; the values are the suffixes of file names."""

    MARKDOWN = "md"
    CSV = "csv"
    LATEX = "tex"


def metric_table(
    title: str, ours: Mapping[str, Sequence[Mapping[str, float]]], paper: Mapping[str, Mapping[str, float]]
) -> MetricTable:
    """Return a table of measured metrics beside the paper's.

    Args:
        title: Heading.
        ours: Model -> runs -> metric -> value; at least one model with at least one run, all with the same metrics.
        paper: Model -> metric -> value in the paper, for some of the models.
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
    """Return tables as text, the paper's values in parentheses (Markdown, LaTeX) or in a column of their own (CSV)."""
    match form:
        case TableFormat.MARKDOWN:
            return "\n".join(_markdown(table) for table in tables)
        case TableFormat.CSV:
            return _csv(tables)
        case TableFormat.LATEX:
            return "\n".join(_latex(table) for table in tables)
    assert_never(form)


def _markdown(table: MetricTable) -> str:
    lines = [f"**{table.title}**{_legend(table)}", ""]
    lines += [f"| | {' | '.join(table.models)} |", f"|---|{'---:|' * len(table.models)}"]
    for metric, cells in table.rows.items():
        texts = [_in_parentheses(f"**{cell.text()}**" if cell.best else cell.text(), cell) for cell in cells]
        lines.append(f"| {metric} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def _latex(table: MetricTable) -> str:
    lines = [f"% {table.title}{_legend(table)}", rf"\begin{{tabular}}{{l{'r' * len(table.models)}}}"]
    lines.append(f" & {' & '.join(table.models)} \\\\ \\hline")
    for metric, cells in table.rows.items():
        texts = [
            _in_parentheses(rf"\textbf{{{_latex_text(cell)}}}" if cell.best else _latex_text(cell), cell)
            for cell in cells
        ]
        lines.append(f"{metric} & {' & '.join(texts)} \\\\")
    return "\n".join([*lines, r"\end{tabular}"]) + "\n"


def _legend(table: MetricTable) -> str:
    return ", the paper's figure in parentheses" if table.has_paper else ""


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
