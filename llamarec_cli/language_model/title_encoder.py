"""Title vectors: hidden states of some layers of a language model, averaged over each title's tokens.

Input of TextRec (`retrieval.textrec`). Each title is encoded by itself. The mean leaves out the first token if there
are others: its hidden state is an attention sink, independent of the text and of much larger norm than the rest.

Shapes: N titles, L layers, D hidden size.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.catalogue import OTHER_BASE_HINT
from llamarec_cli.language_model.forward import transformer_of
from llamarec_cli.language_model.text import TextTokenizer
from llamarec_cli.progress import Progress, Reporter, silent

# Titles per forward pass.
_BATCH_SIZE = 64
# Batches between two checkpoints: half a minute or more on a CPU.
_SAVE_EVERY = 16


class TitleEncoder:
    """Encodes titles as vectors.

    Args:
        model: A transformers causal language model in evaluation mode; layers above the deepest one used are removed.
        tokenizer: Its tokenizer.
        depths: Layers to use, as fractions of the model's depth: 0.5 is the middle layer.
        title_tokens: Number of tokens after which a title is cut.

    Attributes:
        width: Size of a vector, L D.

    Raises:
        LlamaRecError: The architecture's list of layers is not found.
    """

    def __init__(self, model: Any, tokenizer: Any, depths: Sequence[float], title_tokens: int) -> None:
        self._transformer = transformer_of(model)
        self._text, self._title_tokens = TextTokenizer(tokenizer), title_tokens
        self._device = model.device
        name, layers = _layers_of(self._transformer, model.config.num_hidden_layers)
        numbers = [max(1, round(depth * len(layers))) for depth in depths]
        setattr(self._transformer, name, layers[: max(numbers)])
        self._outputs: dict[int, Tensor] = {}
        for place, number in enumerate(numbers):
            layers[number - 1].register_forward_hook(self._record_output(place))
        self.width = len(numbers) * model.config.hidden_size

    def __call__(self, titles: Sequence[str]) -> Tensor:
        """Return the vectors of some titles, N x (L D)."""
        return self.encode(titles, torch.zeros(len(titles), self.width))

    def encode(
        self,
        titles: Sequence[str],
        vectors: Tensor,
        done: int = 0,
        save: Callable[[Tensor, int], None] = lambda _vectors, _done: None,
        report: Reporter = silent,
    ) -> Tensor:
        """Fill in the vectors of some titles, the shortest titles first.

        Args:
            titles: N titles.
            vectors: N x (L D); filled in place.
            done: Number of titles, in this order, that an interrupted run filled in.
            save: Called at intervals with the vectors and the number of titles filled in.
            report: Progress in titles.

        Returns:
            `vectors`.
        """
        ids = [self._token_ids(title) for title in titles]
        # Similar lengths need little padding. The sort is stable, so that a resumed run has the same order.
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        for number, begin in enumerate(range(done, len(order), _BATCH_SIZE), start=1):
            batch = order[begin : begin + _BATCH_SIZE]
            vectors[batch] = self._pooled([ids[index] for index in batch])
            report(Progress("encode titles", begin + len(batch), len(order)))
            if number % _SAVE_EVERY == 0:
                save(vectors, begin + len(batch))
        return vectors

    @torch.inference_mode()
    def _pooled(self, ids: list[list[int]]) -> Tensor:
        """Return the vectors of a batch of tokenised titles."""
        longest = max(map(len, ids))
        # Attention is causal, so tokens of padding at the right do not affect the title.
        padded = torch.tensor([[*one, *[0] * (longest - len(one))] for one in ids], device=self._device)
        self._transformer(input_ids=padded, use_cache=False)
        lengths = torch.tensor([len(one) for one in ids], device=self._device).unsqueeze(1)
        positions = torch.arange(longest, device=self._device)
        pooled_over = (positions < lengths) & ((positions > 0) | (lengths == 1))
        weights = (pooled_over / pooled_over.sum(dim=1, keepdim=True)).unsqueeze(2)
        pooled = [(self._outputs[place].float() * weights).sum(dim=1) for place in sorted(self._outputs)]
        return torch.cat(pooled, dim=1).cpu()

    def _token_ids(self, title: str) -> list[int]:
        """Return the first tokens of a title; at least one."""
        # Logs of web shops contain HTML entities: "Q&amp;A".
        ids = self._text.plain(html.unescape(title))
        return ids[: self._title_tokens] or [0]

    def _record_output(self, place: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, outputs: Any) -> None:
            self._outputs[place] = outputs[0] if isinstance(outputs, tuple) else outputs

        return hook


def _layers_of(transformer: nn.Module, count: int) -> tuple[str, nn.ModuleList]:
    """Return a transformer's list of layers and the name of its attribute, which depends on the architecture."""
    for name, module in transformer.named_children():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    raise LlamaRecError(
        f"The layers of {type(transformer).__name__} are not found, so that it cannot encode titles.", OTHER_BASE_HINT
    )
