"""TextRec: LRURec with item vectors computed from the items' titles instead of learnt item embeddings.

A language model reads each title once. A small map turns the resulting features into the item's vector and bias:

    (e_v, b_v) = W2 GELU(W1 f_v)        f_v = whitened features of the title of item v

These vectors replace LRURec's item embeddings, both as inputs of the recurrence and where its hidden state is compared
with items; the biases replace its item biases. So items with similar titles are similar from the first step on, and a
new item has a vector like any other. The table of all vectors is saved, so recommending needs no language model.

As controls, the same model reads TF-IDF features or random ones: they measure what the language model contributes.

Shapes: V items + padding, D width, F features, R raw width of a source, N further texts, B users.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from llamarec_cli.data.splits import Sequences
from llamarec_cli.retrieval.batches import TrainingBatch, pack_histories
from llamarec_cli.retrieval.dropout import Dropout
from llamarec_cli.retrieval.features import Features, Source
from llamarec_cli.retrieval.item_texts import RawVectors, fit_sparse_whitening, fit_whitening
from llamarec_cli.retrieval.lrurec import LRURec, LRURecConfig


@dataclass(frozen=True)
class TextRecConfig(LRURecConfig):
    """Architecture of TextRec.

    Attributes:
        dropout: As for LRURec.
        features: What item vectors are computed from; a value of `Features`.
        depths: Layers of the language model whose hidden states are read, as shares of its depth.
        title_tokens: Maximum number of tokens of a title.
        dimensions: F of each source.
        hidden: Width of the map's hidden layer.
        feature_dropout: Dropout rate on the hidden layer.
        raw_widths: R of each source; set by the model from its raw vectors.
    """

    dropout: float = 0.3
    features: str = "language-model"
    depths: tuple[float, ...] = (0.33, 0.67)
    title_tokens: int = 24
    dimensions: int = 512
    hidden: int = 256
    feature_dropout: float = 0.2
    raw_widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features not in list(Features):
            raise ValueError(f"features must be one of {', '.join(Features)}")
        if min(self.title_tokens, self.dimensions, self.hidden) < 1:
            raise ValueError("title_tokens, dimensions and hidden must be at least 1")
        if not self.depths or not all(0 < depth <= 1 for depth in self.depths):
            raise ValueError("depths must be above 0 and at most 1")
        if not 0 <= self.feature_dropout < 1:
            raise ValueError("feature_dropout must be at least 0 and below 1")


class TextRec(LRURec):
    """The whole model.

    Args:
        item_count: Number of items, without the padding.
        config: Architecture.
        raw: Raw vectors of the catalogue by source, without the padding's, N x R each: a tensor, or a scipy sparse
            matrix. Required for training; a loaded model has the table of item vectors and the whitenings instead.
    """

    config: TextRecConfig

    def __init__(self, item_count: int, config: TextRecConfig, raw: RawVectors | None = None) -> None:
        if raw is not None:
            widths = tuple(raw[source].shape[1] for source in Features(config.features).sources)
            config = replace(config, raw_widths=widths)
        super().__init__(item_count, config)
        self.embedding: TextEmbedding = TextEmbedding(item_count, config, raw)  # type: ignore[assignment]
        del self.item_bias
        self.register_buffer("item_bias", torch.zeros(item_count + 1))

    @property
    def reads_language_model(self) -> bool:
        """Whether one of the sources is a language model."""
        return Source.LANGUAGE_MODEL in self.embedding.sources

    def training_loss(self, batch: TrainingBatch) -> Tensor:
        """Return the mean negative log-likelihood of the next item at every real position."""
        self.refresh()
        return super().training_loss(batch)

    def refresh(self) -> None:
        """Recompute the table of item vectors and biases; a loaded model has no features and keeps its table."""
        if self.embedding.features_VF is not None:
            self.embedding.weight, self.item_bias = self.embedding.map_features(self.embedding.features_VF)

    def score_texts(self, histories: Sequences, users_B: npt.NDArray[np.int64], raw: RawVectors) -> Tensor:
        """Score items by their titles, which need not be in the catalogue.

        Args:
            histories: Histories of items of the catalogue; none may be empty.
            users_B: Which of them.
            raw: Raw vectors of N titles, by source.

        Returns:
            B x N, on the scale of `score`.
        """
        packed = pack_histories(histories, users_B, self.config.max_length, self.item_bias.device)
        vectors_ND, bias_N = self.embedding.encode(raw)
        return torch.addmm(bias_N, self.user_vectors(packed), vectors_ND.T)


class TextEmbedding(nn.Module):
    """Item vectors as a function of titles, a replacement for `nn.Embedding`.

    Attributes:
        weight: The table of item vectors, V x D, as last computed; row 0 is the padding's.
        features_VF: Features of the catalogue; None in a loaded model.
    """

    weight: Tensor
    features_VF: Tensor | None

    def __init__(self, item_count: int, config: TextRecConfig, raw: RawVectors | None) -> None:
        super().__init__()
        self.sources = Features(config.features).sources
        for source, width in zip(self.sources, config.raw_widths, strict=True):
            self.register_buffer(f"projection_{source.name}", torch.zeros(width, config.dimensions))
            self.register_buffer(f"offset_{source.name}", torch.zeros(config.dimensions))
        self.map = nn.Sequential(
            nn.Linear(config.dimensions * len(self.sources), config.hidden),
            nn.GELU(),
            Dropout(config.feature_dropout),
            nn.Linear(config.hidden, config.width + 1),
        )
        self.register_buffer("weight", torch.zeros(item_count + 1, config.width))
        # Not saved: scoring needs only the table.
        self.register_buffer("features_VF", None if raw is None else self._whitened(raw, config), persistent=False)

    def forward(self, items: Tensor) -> Tensor:
        """Look up the vectors of some items, one row per id."""
        return nn.functional.embedding(items, self.weight)

    def map_features(self, features_NF: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors, N x D, and the biases of N items with these features."""
        out: Tensor = self.map(features_NF)
        return out[:, :-1].contiguous(), out[:, -1].contiguous()

    @torch.no_grad()
    def encode(self, raw: RawVectors) -> tuple[Tensor, Tensor]:
        """Return the vectors, N x D, and the biases of N titles.

        Args:
            raw: Raw vectors by source, N x R each.
        """
        return self.map_features(torch.cat([self._features(source, raw[source]) for source in self.sources], dim=1))

    def _whitened(self, raw: RawVectors, config: TextRecConfig) -> Tensor:
        """Fit one whitening per source and return the catalogue's features, F of each source; zeros for the padding."""
        for source in self.sources:
            match source:
                case Source.LANGUAGE_MODEL:
                    whitening = fit_whitening(raw[source], config.dimensions, parts=len(config.depths))
                case Source.TFIDF:
                    whitening = fit_sparse_whitening(raw[source], config.dimensions)
                case Source.RANDOM:
                    whitening = fit_whitening(raw[source], config.dimensions)
                case _:
                    assert_never(source)
            self.get_buffer(f"projection_{source.name}").copy_(whitening.projection_RF)
            self.get_buffer(f"offset_{source.name}").copy_(whitening.offset_F)
        features_NF = torch.cat([self._features(source, raw[source]) for source in self.sources], dim=1)
        return torch.cat([features_NF.new_zeros(1, features_NF.shape[1]), features_NF])

    def _features(self, source: Source, raw_NR: Any) -> Tensor:
        projection_RF = self.get_buffer(f"projection_{source.name}")
        if isinstance(raw_NR, Tensor):
            features_NF = raw_NR.to(projection_RF.device) @ projection_RF
        else:
            features_NF = torch.from_numpy(raw_NR @ projection_RF.cpu().numpy()).to(projection_RF)
        return features_NF - self.get_buffer(f"offset_{source.name}")
