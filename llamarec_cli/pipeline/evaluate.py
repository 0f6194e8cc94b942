"""`evaluate`: the paper's metrics for the retriever alone and for both stages, over all users and the valid subset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamarec_cli.data.splits import Split, held_out
from llamarec_cli.evaluation.metrics import all_metrics
from llamarec_cli.evaluation.paper import RETRIEVER, TABLE_1, TABLE_3, TWO_STAGES
from llamarec_cli.pipeline.context import Context
from llamarec_cli.pipeline.recommend import load_both_stages
from llamarec_cli.pipeline.train_ranker import ranker_name, retrieved_examples
from llamarec_cli.ranking.finetuning import score_examples
from llamarec_cli.ranking.fusion import fuse, ranks_of_answers

# The verbalizer without fusion: what the paper calls LlamaRec, on the base model at hand.
VERBALIZER = "verbalizer"


@dataclass(frozen=True)
class ModelResult:
    """The metrics of one model.

    Attributes:
        all_users: Over all users; the item of one that was not retrieved keeps the retriever's rank.
        valid_users: Over users whose item was retrieved.
    """

    all_users: dict[str, float]
    valid_users: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` shows.

    Attributes:
        dataset: Name of the data set.
        split: Which held-out item was predicted.
        users: Number of users.
        valid_users: Users whose item was retrieved.
        weight: Share of the verbalizer in the fusion.
        models: Result of each model.
        paper_all: The paper's Table 1 for this set, by model and metric; empty where it has none.
        paper_valid: The paper's Table 3 likewise.
    """

    dataset: str
    split: Split
    users: int
    valid_users: int
    weight: float
    models: dict[str, ModelResult]
    paper_all: dict[str, dict[str, float]]
    paper_valid: dict[str, dict[str, float]]


def evaluate(context: Context, dataset: str, *, ranker: str | None = None, split: Split = Split.TEST) -> Evaluation:
    """Rank the candidates of every user whose item was retrieved, and compare with the retriever's own order.

    Args:
        context: Surroundings.
        dataset: Name of the data set.
        ranker: Name of the ranker; `DATASET/smollm2-135m` by default.
        split: Which held-out item is predicted. The fusion was fitted on validation, so only test is a fair figure.
    """
    data, retriever, trained = load_both_stages(context, dataset, ranker or ranker_name(dataset))
    result = retriever.results[split]
    examples = retrieved_examples(held_out(data, split), result)
    answers = np.array([example.answer for example in examples], dtype=np.int64)
    verbalizer_SK = score_examples(trained.engine, examples, f"rank {split} users", context.report)
    retriever_SK = result.candidates.log_probabilities()[result.retrieved]
    ranks = {
        RETRIEVER: result.ranks_S,
        VERBALIZER: _with_ranks(result.ranks_S, result.retrieved, ranks_of_answers(verbalizer_SK, answers)),
        TWO_STAGES: _with_ranks(
            result.ranks_S,
            result.retrieved,
            ranks_of_answers(fuse(retriever_SK, verbalizer_SK, trained.weight), answers),
        ),
    }
    return Evaluation(
        dataset=dataset,
        split=split,
        users=len(result.ranks_S),
        valid_users=len(examples),
        weight=trained.weight,
        models={
            model: ModelResult(all_metrics(ranks_S), all_metrics(ranks_S[result.retrieved]))
            for model, ranks_S in ranks.items()
        },
        paper_all=TABLE_1.get(dataset, {}),
        paper_valid=TABLE_3.get(dataset, {}),
    )


def _with_ranks(
    ranks_S: npt.NDArray[np.int32], users: npt.NDArray[np.int64], new: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    changed = ranks_S.copy()
    changed[users] = new
    return changed
