import torch

from llamarec_cli.retrieval.diagonal_scan import diagonal_scan


def test_the_scan_is_the_recurrence_written_out() -> None:
    torch.manual_seed(0)
    u = torch.randn(9, 3, dtype=torch.cdouble)
    decay = torch.rand(3, dtype=torch.cdouble) * 0.7
    # Sequences of 4, 2, 2 and 1 steps, time-major.
    h = diagonal_scan(u, decay, [4, 3, 1, 1])
    first = [u[0]]
    for row in (4, 7, 8):
        first.append(decay * first[-1] + u[row])
    assert torch.allclose(h[[0, 4, 7, 8]], torch.stack(first))
    assert torch.allclose(h[5], decay * u[1] + u[5])
    assert torch.allclose(h[6], decay * u[2] + u[6])
    assert torch.equal(h[3], u[3])


def test_the_scan_has_the_right_gradients() -> None:
    torch.manual_seed(0)
    u = torch.randn(9, 3, dtype=torch.cdouble, requires_grad=True)
    decay = (torch.rand(3, dtype=torch.cdouble) * 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, decay: diagonal_scan(u, decay, [4, 3, 1, 1]), (u, decay))
