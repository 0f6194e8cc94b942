import numpy as np

from llamarec_cli.evaluation.metrics import ndcg_per_user
from llamarec_cli.strategies.verbalizer.validation import follows_order

# Of 20 candidates in random order.
CHANCE = 0.227


def gains(ranks: np.ndarray) -> np.ndarray:
    return ndcg_per_user(ranks.astype(np.int32), 10)


def test_a_model_that_is_good_in_order_and_random_when_shuffled_follows_the_order() -> None:
    generator = np.random.default_rng(0)
    ordered, shuffled = generator.integers(1, 8, 200), generator.integers(1, 21, 200)
    assert follows_order(gains(ordered), gains(shuffled), CHANCE)
    # One that knows the titles, one that knows nothing, and three users, who tell nothing.
    assert not follows_order(gains(ordered), gains(ordered), CHANCE)
    assert not follows_order(gains(shuffled), gains(generator.permutation(shuffled)), CHANCE)
    assert not follows_order(gains(np.array([1, 6, 18])), gains(np.array([4, 5, 19])), CHANCE)
    assert not follows_order(gains(np.array([1, 1])), gains(np.array([12, 9])), CHANCE)
    assert not follows_order(gains(ordered[:1]), gains(shuffled[:1]), CHANCE)
