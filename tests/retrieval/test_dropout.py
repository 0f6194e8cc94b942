import torch

from llamarec_cli.retrieval.dropout import Dropout


def test_the_rate_is_rounded_and_the_expectation_exact() -> None:
    torch.manual_seed(0)
    dropout = Dropout(0.3)
    out = dropout(torch.ones(100_000))
    # 0.3 * 256 is rounded to 77.
    assert set(out.unique().tolist()) == {0.0, torch.tensor(256 / (256 - 77)).item()}
    assert abs(out.mean() - 1) < 0.01


def test_it_changes_nothing_in_evaluation_or_at_rate_0() -> None:
    x = torch.randn(13)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
