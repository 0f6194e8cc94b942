"""`recommend`: one history in, a ranked list out."""

from __future__ import annotations

from collections.abc import Sequence

from llamarec_cli.data.titles import Match, TitleIndex
from llamarec_cli.errors import UsageError
from llamarec_cli.pipeline.context import Context
from llamarec_cli.pipeline.recommendations import Recommendations
from llamarec_cli.pipeline.recommender import Recommender
from llamarec_cli.ranking.inference import Precision
from llamarec_cli.ranking.prompt import MAX_CANDIDATES
from llamarec_cli.ranking.strategies import Strategy


def recommend(
    context: Context,
    history: Sequence[str],
    *,
    dataset: str | None = None,
    ranker: str | None = None,
    top: int | None = None,
    k: int | None = None,
    fusion: bool = True,
    strategy: Strategy | None = None,
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
    for entry in history:
        _tell(context, recommender.index, recommender.index.find(entry))
    found = recommender.recommend(history, top)
    recommender.say_what_is_unnamed()
    return found


def _tell(context: Context, index: TitleIndex, match: Match) -> None:
    if match.item is None:
        near = f"; the nearest: {', '.join(match.alternatives)}" if match.alternatives else ""
        context.warn(f"{match.given!r} is not known and is left out{near}.")
    elif match.alternatives:
        context.warn(
            f"{match.given!r} is taken as {index.titles[match.item]}, the most popular of "
            f"{len(match.alternatives) + 1} that fit (also {', '.join(match.alternatives[:3])})."
        )
