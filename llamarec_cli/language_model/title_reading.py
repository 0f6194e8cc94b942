"""A language model reads titles: one vector each, from hidden states of some of its layers.

For TextRec (`retrieval.textrec`). Each title is read by itself. Of each layer's hidden states the mean over the title's
tokens is taken, without the first token where there are others: what a model keeps there does not depend on the text
(an attention sink), and is larger than all else.

Shapes: N titles, L layers that are read, D hidden size.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.forward import transformer_of
from llamarec_cli.language_model.text import Text
from llamarec_cli.progress import Progress, Reporter, silent

# Titles read in one forward pass.
_TITLES_A_PASS = 64
# Passes between two savings: on a CPU half a minute and more.
_SAVE_EVERY = 16


class TitleReader:
    """Turns titles into vectors.

    Args:
        model: A transformers causal language model in evaluation mode; what lies behind the deepest layer that is read
            is cut off.
        tokenizer: Its tokenizer.
        depths: Which layers are read, as shares of the model's depth: 0.5 is the layer half-way.
        title_tokens: Tokens of a title that are read.

    Raises:
        LlamaRecError: The layers of this architecture are not found.
    """

    def __init__(self, model: Any, tokenizer: Any, depths: Sequence[float], title_tokens: int) -> None:
        self._transformer = transformer_of(model)
        self._text, self._title_tokens = Text(tokenizer), title_tokens
        self._device = model.device
        name, layers = _layers_of(self._transformer, model.config.num_hidden_layers)
        numbers = [max(1, round(depth * len(layers))) for depth in depths]
        setattr(self._transformer, name, layers[: max(numbers)])
        self._read: dict[int, Tensor] = {}
        for place, number in enumerate(numbers):
            layers[number - 1].register_forward_hook(self._keep(place))
        self.width = len(numbers) * model.config.hidden_size

    def __call__(self, titles: Sequence[str]) -> Tensor:
        """Return the vectors of some titles, N x (L D)."""
        return self.read(titles, torch.zeros(len(titles), self.width))

    def read(
        self,
        titles: Sequence[str],
        vectors: Tensor,
        done: int = 0,
        save: Callable[[Tensor, int], None] = lambda _vectors, _done: None,
        report: Reporter = silent,
    ) -> Tensor:
        """Fill in the vectors of some titles, short titles first.

        Args:
            titles: N titles.
            vectors: N x (L D); filled in place.
            done: How many titles, in the order they are read, an interrupted run had filled in.
            save: Called now and then with the vectors and how many are filled in.
            report: Progress in titles.

        Returns:
            `vectors`.
        """
        ids = [self._encode(title) for title in titles]
        # Titles of one length need no padding; the order is stable, so that an interrupted run finds it again.
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        for number, begin in enumerate(range(done, len(order), _TITLES_A_PASS), start=1):
            some = order[begin : begin + _TITLES_A_PASS]
            vectors[some] = self._pass([ids[index] for index in some])
            report(Progress("read titles", begin + len(some), len(order)))
            if number % _SAVE_EVERY == 0:
                save(vectors, begin + len(some))
        return vectors

    @torch.inference_mode()
    def _pass(self, ids: list[list[int]]) -> Tensor:
        longest = max(map(len, ids))
        # Causal attention never looks to the right, so what the padding holds does not matter.
        padded = torch.tensor([[*one, *[0] * (longest - len(one))] for one in ids], device=self._device)
        self._transformer(input_ids=padded, use_cache=False)
        lengths = torch.tensor([len(one) for one in ids], device=self._device).unsqueeze(1)
        places = torch.arange(longest, device=self._device)
        counted = (places < lengths) & ((places > 0) | (lengths == 1))
        weights = (counted / counted.sum(dim=1, keepdim=True)).unsqueeze(2)
        pooled = [(self._read[place].float() * weights).sum(dim=1) for place in sorted(self._read)]
        return torch.cat(pooled, dim=1).cpu()

    def _encode(self, title: str) -> list[int]:
        """Return a title's first tokens; at least one."""
        # Logs of web shops hold titles as they stood in a page: "Q&amp;A".
        ids = self._text.plain(html.unescape(title))
        return ids[: self._title_tokens] or [0]

    def _keep(self, place: int) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_module: nn.Module, _inputs: Any, outputs: Any) -> None:
            self._read[place] = outputs[0] if isinstance(outputs, tuple) else outputs

        return keep


def _layers_of(transformer: nn.Module, count: int) -> tuple[str, nn.ModuleList]:
    """Find the list of a transformer's layers, under whatever name its architecture gives it."""
    for name, module in transformer.named_children():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    raise LlamaRecError(
        f"The layers of {type(transformer).__name__} are not found, so it cannot read titles.",
        "Choose another base model with --base.",
    )
