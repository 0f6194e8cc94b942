"""Features of items that come from their texts: what TextRec reads in place of item ids.

A *source* turns a text into a raw vector. The language model's is `language_model.title_encoder`; the two here are its
controls: TF-IDF, which knows the words of a title and nothing else, and random vectors, which know nothing. Raw vectors
of any source are whitened: projected to few dimensions that are uncorrelated over the catalogue and of variance 1, so
that sources differ in what they know and not in scale or size.

Shapes: V items + padding, R width of raw vectors, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Directions of less variance than this share of the largest are rounding errors, which whitening would blow up.
_NEGLIGIBLE = 1e-6
_RANDOM_WIDTH = 256


class Source(StrEnum):
    """Where the features of an item come from."""

    LANGUAGE_MODEL = "language-model"
    TFIDF = "tfidf"
    RANDOM = "random"


# Raw vectors of N texts by source, N x R each: a tensor, or a scipy sparse matrix.
RawVectors = Mapping[Source, Any]


@dataclass(frozen=True)
class Whitening:
    """An affine map from raw vectors to features.

    Attributes:
        projection_RF: Linear part.
        offset_F: What is taken off after it.
    """

    projection_RF: Tensor
    offset_F: Tensor

    def __call__(self, raw_NR: Tensor) -> Tensor:
        """Return the features of N raw vectors, N x F."""
        return raw_NR @ self.projection_RF - self.offset_F


def fit_whitening(raw_NR: Tensor, features: int, parts: int = 1) -> Whitening:
    """Fit a whitening on the raw vectors of a catalogue.

    Args:
        raw_NR: Raw vectors, without the padding's.
        features: F. Where the catalogue has fewer directions, the remaining features are 0.
        parts: Parts of equal width, such as layers of a language model, that are scaled to the same variance first.
    """
    # In float64: a covariance squares the range of its data.
    raw = raw_NR.double()
    mean_R = raw.mean(dim=0)
    spread_R = (raw - mean_R).view(len(raw), parts, -1).square().mean(dim=(0, 2)).sqrt()
    scale_R = (1 / torch.where(spread_R > 0, spread_R, 1.0)).repeat_interleave(raw.shape[1] // parts)
    centred = (raw - mean_R) * scale_R
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(raw))
    strongest = torch.argsort(variances, descending=True)[:features]
    kept = strongest[variances[strongest] > _NEGLIGIBLE * max(float(variances.max()), 1e-12)]
    projection = raw.new_zeros(raw.shape[1], features)
    projection[:, : len(kept)] = scale_R.unsqueeze(1) * _with_fixed_signs(directions[:, kept]) / variances[kept].sqrt()
    return Whitening(projection.float(), (mean_R @ projection).float())


def fit_sparse_whitening(raw_NR: Any, features: int) -> Whitening:
    """Fit a whitening on sparse raw vectors: on their strongest singular directions, since R may be a vocabulary.

    Args:
        raw_NR: A scipy sparse matrix, without the padding's row.
        features: As for `fit_whitening`.
    """
    from sklearn.decomposition import TruncatedSVD

    if min(raw_NR.shape) <= features:
        return fit_whitening(torch.from_numpy(raw_NR.toarray()).float(), features)
    reduction = TruncatedSVD(features, random_state=0).fit(raw_NR)
    reduced = fit_whitening(torch.from_numpy(reduction.transform(raw_NR)).float(), features)
    directions_RF = torch.from_numpy(reduction.components_.T.copy()).float()
    return Whitening(directions_RF @ reduced.projection_RF, reduced.offset_F)


def _with_fixed_signs(directions_RF: Tensor) -> Tensor:
    """Make the largest entry of each direction positive; its sign is otherwise the library's choice."""
    largest = directions_RF.abs().argmax(dim=0, keepdim=True)
    return directions_RF * directions_RF.gather(0, largest).sign()


class TfidfVectors:
    """Source of TF-IDF vectors of words: sublinear term frequency, each vector of length 1.

    Args:
        titles: Texts of the catalogue, without the padding's.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        # Numbers and single letters count too: they tell the parts of a series apart.
        self._vectorizer: Any = TfidfVectorizer(token_pattern=r"(?u)\w+", sublinear_tf=True)
        try:
            self._vectorizer.fit(titles)
        except ValueError:  # no title has a word
            self._vectorizer.fit(["none"])

    def __call__(self, titles: Sequence[str]) -> Any:
        """Return the vectors of some texts, a scipy sparse matrix; all zero for a text without a known word."""
        return self._vectorizer.transform(titles)


def random_vectors(titles: Sequence[str]) -> Tensor:
    """Return a random vector for each text, N x R; equal texts have equal vectors."""
    seeds = [int.from_bytes(hashlib.sha256(title.encode()).digest()[:8], "big") for title in titles]
    rows = [np.random.default_rng(seed).standard_normal(_RANDOM_WIDTH) for seed in seeds]
    return torch.from_numpy(np.stack(rows).astype(np.float32))
