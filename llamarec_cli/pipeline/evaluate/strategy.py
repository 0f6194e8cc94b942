"""Evaluation of a strategy: a ranker's language model alone, read in one way, on a sample of test users.

Generating takes half a minute for each user on a CPU, hence a sample.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import ranker_name, retrieved_examples
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.engines.examples import score_through_engine
from llamarec_cli.engines.registry import DEFAULT_ENGINE
from llamarec_cli.errors import LlamaRecError, command
from llamarec_cli.evaluation.metrics import all_metrics, gains_per_user, ranks_of_answers
from llamarec_cli.evaluation.significance import Difference, paired_bootstrap
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.both_stages import load_both_stages
from llamarec_cli.pipeline.prepare import warn_of_masked_items


@dataclass(frozen=True)
class StrategyEvaluation:
    """A strategy compared with the retriever's order.

    Attributes:
        ranker: Name of the ranker.
        strategy: How its language model was read.
        sample: Number of users; the item of each is among the candidates.
        metrics: Mean metrics over the sample, by name of the retriever and of the strategy.
        difference: NDCG@10 of the strategy minus the retriever's, with its bootstrap interval.
        precision: Precision that was asked for; None for the default.
        seconds_per_user: Mean time of ranking one user.
        unparsed: Generated lines or letters that name no candidate; None if the strategy does not generate.
    """

    ranker: str
    strategy: str
    sample: int
    metrics: dict[str, dict[str, float]]
    difference: Difference
    precision: Precision | None
    seconds_per_user: float
    unparsed: int | None


def evaluate_strategy(
    context: Context,
    dataset: str,
    strategy: str,
    *,
    ranker: str | None = None,
    sample: int = 100,
    seed: int = 42,
    precision: Precision | None = None,
    engine: str = DEFAULT_ENGINE,
) -> StrategyEvaluation:
    """Rank a sample of the test users whose item was retrieved, by the language model alone.

    Args:
        context: Store and reporting callbacks.
        dataset: Name of the data set.
        strategy: How the language model is read.
        ranker: Name of the ranker; `DATASET/smollm2-135m` by default.
        sample: Number of users to draw; all of them if there are fewer.
        seed: Seed of the draw.
        precision: Precision of the language model; by default the one `load_ranker` chooses.
        engine: Where the users are ranked.

    Raises:
        LlamaRecError: There is no such ranker, or no test user's item was retrieved.
    """
    name = ranker or ranker_name(dataset)
    data, retriever, trained = load_both_stages(context, dataset, name, precision)
    warn_of_masked_items(context, dataset, data)
    k: int = trained.artefact.manifest.config["k"]
    result = retriever.retrieved(data, Split.TEST, k)
    if not len(result.retrieved):
        raise LlamaRecError(
            f"{trained.retriever} retrieves no test user's item, so there is nothing to rank.",
            command("train retriever", dataset=dataset, replace=True),
        )
    retrieved = retrieved_examples(held_out(data, Split.TEST), result)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(retrieved))[:sample])
    examples = [retrieved[user] for user in drawn]
    scorer = trained.load_strategy(strategy)
    began = time.monotonic()
    chunks = score_through_engine(
        engine, trained.spec(strategy), lambda: scorer, examples, k=k, chunk_size=len(examples), report=context.report
    )
    scores_SK = np.concatenate(list(chunks))
    seconds = (time.monotonic() - began) / len(examples)
    answers = np.array([example.answer for example in examples], dtype=np.int64)
    own = (answers + 1).astype(np.int32)
    ranks = ranks_of_answers(scores_SK, answers)
    return StrategyEvaluation(
        name,
        strategy,
        len(examples),
        {trained.retriever: all_metrics(own), strategy: all_metrics(ranks)},
        paired_bootstrap(gains_per_user(ranks)["ndcg@10"], gains_per_user(own)["ndcg@10"]),
        precision,
        seconds,
        scorer.unparsed,
    )
