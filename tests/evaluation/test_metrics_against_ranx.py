"""Our metrics against an independent implementation, on random scores with many ties."""

import numpy as np
import pytest
import torch
from ranx import Qrels, Run, evaluate

from llamarec_cli.evaluation.metrics import gains_per_user
from llamarec_cli.retrieval.candidates import ranks_of

USERS, ITEMS = 300, 30


@pytest.mark.filterwarnings("ignore:unsafe cast")
@pytest.mark.parametrize("levels", [3, 1000], ids=["many ties", "few ties"])
def test_ranx_agrees_for_every_user_ties_included(levels: int) -> None:
    generator = np.random.default_rng(levels)
    scores = generator.integers(levels, size=(USERS, ITEMS)).astype(np.float32)
    targets = generator.integers(ITEMS, size=USERS).astype(np.int32)
    ours = gains_per_user(ranks_of(torch.from_numpy(scores), targets))

    # Our ranks put the true item behind items of the same score. ranx breaks ties otherwise, so its score is lowered.
    pessimistic = scores.copy()
    pessimistic[np.arange(USERS), targets] -= 0.5
    qrels = Qrels({f"user{user}": {f"item{target}": 1} for user, target in enumerate(targets)})
    run = Run(
        {
            f"user{user}": {f"item{item}": float(score) for item, score in enumerate(row)}
            for user, row in enumerate(pessimistic)
        }
    )
    theirs = evaluate(qrels, run, list(ours), return_mean=False)
    for metric, gains in ours.items():
        by_user = dict(zip(qrels.qrels.keys(), theirs[metric], strict=True))
        expected = [by_user[f"user{user}"] for user in range(USERS)]
        assert gains.tolist() == pytest.approx(expected), metric
