import torch

from llamarec_cli.retrieval.loss import catalogue_cross_entropy


def test_value_and_gradients_are_those_of_plain_cross_entropy() -> None:
    torch.manual_seed(0)
    # More rows than one chunk holds.
    leaves = [torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in ((300, 4), (11, 4), (11,))]
    targets = torch.randint(0, 11, (300,))
    x, embedding, bias = leaves
    ours = catalogue_cross_entropy(x, embedding, bias, targets)
    plain = torch.nn.functional.cross_entropy(x @ embedding.T + bias, targets)
    assert torch.allclose(ours, plain)
    for one, other in zip(torch.autograd.grad(ours * 3, leaves), torch.autograd.grad(plain * 3, leaves), strict=True):
        assert torch.allclose(one, other)
