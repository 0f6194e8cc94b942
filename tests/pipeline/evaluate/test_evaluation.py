"""Which checkpoints share a column."""

from pathlib import Path

import numpy as np

from llamarec_cli.artefacts.context import Context
from llamarec_cli.pipeline.evaluate.evaluation import evaluate
from llamarec_cli.pipeline.prepare import prepare_dataset
from llamarec_cli.pipeline.train.retriever import train
from llamarec_cli.pipeline.train.retriever_plan import RetrieverRequest


def test_only_checkpoints_that_differ_in_their_seed_are_runs_of_one_model(context: Context, raw_folder: Path) -> None:
    prepare_dataset(context, "ml-100k", raw_folder)
    for name, seed, dropout in (
        ("ml-100k/lrurec", 1, 0.5),
        ("ml-100k/lrurec-seed-2", 2, 0.5),
        ("lrurec", 1, 0.1),  # would have the same short name
    ):
        overrides = {
            "lrurec": {"width": 16, "blocks": 1, "max_length": 12, "dropout": dropout},
            "training": {"batch_size": 16, "epochs": 2, "validate_every": 8, "seed": seed},
        }
        train(context, RetrieverRequest("ml-100k", name=name, overrides=overrides))
    runs = evaluate(context, "ml-100k").runs
    assert {column: len(of_column) for column, of_column in runs.items()} == {"ml-100k/lrurec": 2, "lrurec": 1}
    assert not np.array_equal(runs["lrurec"][0], runs["ml-100k/lrurec"][0])
