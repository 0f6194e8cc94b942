import numpy as np

from llamarec_cli.ranking.fusion import fit_weight, fuse, ranks_of_answers


def log_softmax(scores: np.ndarray) -> np.ndarray:
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def case(users: int = 200, k: int = 20) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    generator = np.random.default_rng(0)
    answers = generator.integers(k, size=users)
    retriever = generator.normal(size=(users, k))
    retriever[np.arange(users), answers] += 1.0
    return log_softmax(retriever), answers, generator


def test_weight_0_is_the_retriever_and_weight_1_the_verbalizer() -> None:
    one, other = log_softmax(np.array([[3.0, 1.0, 2.0]])), log_softmax(np.array([[1.0, 2.0, 3.0]]))
    assert np.allclose(fuse(one, other, 0.0), one)
    assert np.allclose(fuse(one, other, 1.0), other)
    assert np.allclose(np.exp(fuse(one, other, 0.3)).sum(), 1)


def test_candidates_that_do_not_exist_stay_impossible() -> None:
    one = np.array([[np.log(0.5), np.log(0.5), -np.inf]])
    for weight in (0.0, 0.5, 1.0):
        fused = fuse(one, one, weight)
        assert np.isneginf(fused[0, 2])
        assert not np.isnan(fused).any()


def test_ties_are_never_in_favour_of_the_answer() -> None:
    scores = np.array([[0.1, 0.5, 0.5, 0.2], [0.25, 0.25, 0.25, 0.25]])
    assert ranks_of_answers(scores, np.array([1, 0])).tolist() == [2, 4]


def test_what_is_not_a_number_is_never_a_hit() -> None:
    assert ranks_of_answers(np.full((1, 4), np.nan), np.array([0])).tolist() == [4]


def test_noise_gets_no_weight() -> None:
    retriever, answers, generator = case()
    assert fit_weight(retriever, log_softmax(generator.normal(size=retriever.shape)), answers).weight == 0.0


def test_a_verbalizer_that_knows_gets_weight() -> None:
    retriever, answers, generator = case()
    verbalizer = generator.normal(size=retriever.shape)
    verbalizer[np.arange(len(answers)), answers] += 2.0
    fitted = fit_weight(retriever, log_softmax(verbalizer), answers)
    assert fitted.weight > 0.2
    assert fitted.users == 200
    assert fitted.ndcg_by_weight[f"{fitted.weight:.2f}"] > fitted.ndcg_by_weight["0.00"]


def test_one_user_decides_nothing() -> None:
    retriever, answers, _ = case(users=1)
    assert fit_weight(retriever, -retriever, answers).weight == 0.0
