import numpy as np
import pytest
import torch
from sequences import sequences_of

from llamarec_cli.retrieval.attention import Ragged, SelfAttention
from llamarec_cli.retrieval.batches import pack_histories

CPU = torch.device("cpu")


@pytest.mark.parametrize("causal", [True, False])
def test_causal_attention_ignores_later_positions_and_none_attends_to_padding(causal: bool) -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8, heads=2, dropout=0.0, causal=causal).eval()
    ragged = Ragged.of(pack_histories(sequences_of([1, 2, 3], [4]), np.arange(2), 6, CPU))
    rows = torch.randn(4, 8)
    before = attention(rows, ragged)
    changed = rows.clone()
    changed[2] += 1
    after = attention(changed, ragged)
    assert torch.allclose(before[:2], after[:2]) == causal
    assert not torch.allclose(before[2], after[2])
    assert torch.allclose(before[3], after[3])


def test_positions_count_from_the_end_of_each_sequence() -> None:
    ragged = Ragged.of(pack_histories(sequences_of([4], [1, 2, 3]), np.arange(2), 6, CPU))
    assert ragged.ids_BL.tolist() == [[4, 0, 0], [1, 2, 3]]
    assert ragged.last_rows().tolist() == [0, 3]
    assert ragged.positions_from_end(6).tolist() == [5, 3, 4, 5]
