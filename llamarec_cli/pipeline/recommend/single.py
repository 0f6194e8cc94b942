"""`recommend`: one history in, a ranked list out."""

from __future__ import annotations

from collections.abc import Sequence

from llamarec_cli.artefacts.context import Context
from llamarec_cli.data.histories import History
from llamarec_cli.data.title_index import Match, TitleIndex
from llamarec_cli.errors import UsageError, shown
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.recommend.recommendations import Recommendations, ambiguities
from llamarec_cli.pipeline.recommend.recommender import Recommender
from llamarec_cli.strategies.prompt import MAX_CANDIDATES

# Entries of a history that are told one by one.
_TOLD = 10


def recommend(
    context: Context,
    history: History,
    *,
    dataset: str | None = None,
    ranker: str | None = None,
    top: int | None = None,
    k: int | None = None,
    fusion: bool = True,
    strategy: str | None = None,
    precision: Precision | None = None,
) -> Recommendations:
    """Recommend for one history, saying which of its entries are not known or are ambiguous. See `Recommender`."""
    # What can be refused before anything is loaded, is.
    most = MAX_CANDIDATES if k is None else k
    if top is not None and not 1 <= top <= most:
        raise UsageError(
            f"--top must be between 1 and the number of candidates, at most {most}, not {top}.",
            "llamarec recommend --help",
        )
    recommender = Recommender(context, dataset, ranker, k=k, fusion=fusion, strategy=strategy, precision=precision)
    recommender.length(top)
    matches = [recommender.index.find(entry) for entry in history]
    _tell_unknown(context, recommender.index, [match for match in matches if match.item is None])
    two_readings = ambiguities(matches, recommender.data.item_ids, recommender.data.titles)
    for ambiguity in two_readings[:_TOLD]:
        context.warn(ambiguity.sentence())
    if len(two_readings) > _TOLD:
        context.warn(f"{len(two_readings) - _TOLD:,} more entries fit several items; --json lists them.")
    found = recommender.recommend(history, top)
    recommender.say_what_is_unnamed()
    return found


def _tell_unknown(context: Context, index: TitleIndex, unknown: Sequence[Match]) -> None:
    for match in unknown[:_TOLD]:
        near = () if match.by_id else index.nearest(match.given)
        nearest = f"; the nearest: {', '.join(near)}" if near else ""
        context.warn(f"{shown(match.given)} is not known and is left out{nearest}.")
    if len(unknown) > _TOLD:
        context.warn(f"{len(unknown) - _TOLD:,} more are not known and are left out.")
