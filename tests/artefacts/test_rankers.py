import numpy as np

from llamarec_cli.artefacts.rankers import of_places, retrieved_examples, trained_precision
from llamarec_cli.artefacts.retrievers import SplitResult
from llamarec_cli.data.splits import HeldOut, Sequences
from llamarec_cli.names import Precision
from llamarec_cli.ranking.examples import RankingExample
from llamarec_cli.retrieval.candidates import Candidates


def test_an_example_for_each_user_whose_item_was_retrieved() -> None:
    histories = Sequences(np.arange(1, 31, dtype=np.int32), np.array([0, 25, 27, 30]))
    cases = HeldOut(np.arange(3), histories, np.array([41, 42, 43], dtype=np.int32))
    items = np.array([[50, 41, 51], [50, 51, 52], [43, 50, 0]], dtype=np.int32)
    result = SplitResult(np.array([2, 9, 1], dtype=np.int32), Candidates(items, np.zeros(items.shape, np.float32)))
    first, third = retrieved_examples(cases, result)
    assert first.history.tolist() == list(range(6, 26))
    assert (first.candidates.tolist(), first.answer) == ([50, 41, 51], 1)
    assert third.history.tolist() == [28, 29, 30]
    assert (third.candidates.tolist(), third.answer) == ([43, 50], 0)
    (only,) = retrieved_examples(cases, result, k=1)
    assert (only.candidates.tolist(), only.answer) == ([43], 0)


def test_places_beyond_the_candidates_are_left_out() -> None:
    example = RankingExample(np.array([1, 2], dtype=np.int32), np.array([7, 8, 9], dtype=np.int32), 2)
    assert of_places(example, np.array([2, 0, 3])).candidates.tolist() == [9, 7]


def test_an_adapter_trained_beside_4_bit_weights_ranks_beside_them() -> None:
    assert trained_precision({"quantization": "nf4"}) is Precision.NF4
    assert trained_precision({"quantization": "none"}) is None
    assert trained_precision({}) is None
