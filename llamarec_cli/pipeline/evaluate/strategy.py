"""`evaluate --strategy`: a ranker's language model, read in one way and alone, on a sample of test users.

Generation takes half a minute a user on a CPU, so that only samples are within reach.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from llamarec_cli.artefacts.context import Context
from llamarec_cli.artefacts.rankers import ranker_name, retrieved_examples
from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.errors import LlamaRecError
from llamarec_cli.evaluation.metrics import all_metrics, gains_per_user, ranks_of_answers
from llamarec_cli.evaluation.significance import Difference, paired_bootstrap
from llamarec_cli.names import Precision
from llamarec_cli.pipeline.both_stages import load_both_stages
from llamarec_cli.ranking.scorer import score_examples


@dataclass(frozen=True)
class StrategyEvaluation:
    """One way to read the language model, beside the retriever's own order.

    Attributes:
        ranker: Name of the ranker.
        strategy: How its language model was read.
        sample: Users that were ranked, all with their item among the candidates.
        metrics: Means over the sample, by model: the retriever's name and the strategy's.
        difference: NDCG@10 of the strategy less the retriever's, with its bootstrap interval.
        precision: What it computed in; None for what the device is best at.
        seconds_per_user: On average.
        unparsed: What was generated and named no candidate, lines or letters; None if nothing is generated.
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
) -> StrategyEvaluation:
    """Rank a sample of the test users whose item was retrieved by the language model alone.

    Args:
        context: Surroundings.
        dataset: Name of the data set.
        strategy: How the language model is read.
        ranker: Name of the ranker; `DATASET/smollm2-135m` by default.
        sample: How many users are drawn; all if there are fewer.
        seed: Of the draw.
        precision: What the language model computes in.

    Raises:
        LlamaRecError: There is no such ranker, or no test user's item was retrieved.
    """
    name = ranker or ranker_name(dataset)
    data, retriever, trained = load_both_stages(context, dataset, name, precision)
    k: int = trained.artefact.manifest.config["k"]
    result = retriever.retrieved(data, Split.TEST, k)
    if not len(result.retrieved):
        raise LlamaRecError(
            f"{trained.retriever} retrieves no test user's item, so there is nothing to rank.",
            f"llamarec train retriever --dataset {dataset} --replace",
        )
    everyone = retrieved_examples(held_out(data, Split.TEST), result)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(everyone))[:sample])
    examples = [everyone[user] for user in drawn]
    scorer = trained.load_strategy(strategy)
    began = time.monotonic()
    scores_SK = score_examples(scorer, examples, k, f"rank by {strategy}", context.report)
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
