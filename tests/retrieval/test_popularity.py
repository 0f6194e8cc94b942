import torch
from sequences import nothing_held_out, sequences_of

from llamarec_cli.retrieval.candidates import retrieve
from llamarec_cli.retrieval.popularity import Popularity, PopularityConfig
from llamarec_cli.retrieval.scoring import Fitting, Retriever


def no_other(name: str) -> Retriever:
    raise AssertionError(f"{name} was asked for")


def test_popularity_counts_the_training_sequences() -> None:
    sequences = sequences_of([1, 2, 2], [2, 3, 4, 4])
    model = Popularity.fit(PopularityConfig(), Fitting(sequences, nothing_held_out(), 5, no_other, torch.device("cpu")))
    assert retrieve(model, sequences_of([1], [2]), k=3).items_SK.tolist() == [[2, 4, 3], [4, 1, 3]]
