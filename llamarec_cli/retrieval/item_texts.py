"""Features of item titles, from which TextRec computes its item vectors.

A source turns a title into a raw vector. The language model's is in `language_model.title_encoder`; the two here are
its controls: TF-IDF, which represents words only, and random vectors, which carry no information. Raw vectors of any
source are whitened: they are projected to few dimensions that are uncorrelated over the catalogue and have variance 1,
so that sources differ in information and not in scale or size.

Shapes: V items + padding, R width of raw vectors, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llamarec_cli.retrieval.features import Source

# Directions with less variance than this share of the largest are rounding errors, which whitening would amplify.
_NEGLIGIBLE = 1e-6
_RANDOM_WIDTH = 256


# Raw vectors of N texts by source, N x R each: a tensor, or a scipy sparse matrix.
RawVectors = Mapping[Source, Any]


@dataclass(frozen=True)
class Whitening:
    """An affine map from raw vectors to features.

    Attributes:
        projection_RF: Linear part.
        offset_F: Subtracted after it.
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
        features: F. If the catalogue has fewer directions, the remaining features are 0.
        parts: Number of parts of equal width, such as layers of a language model, that are first scaled to the same
            variance.
    """
    # In float64, since a covariance squares the range of its data.
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
    """Fit a whitening on the strongest singular directions of sparse raw vectors, whose R may be a vocabulary's size.

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
    """Make the largest entry of each direction positive; otherwise the sign depends on the library."""
    largest = directions_RF.abs().argmax(dim=0, keepdim=True)
    return directions_RF * directions_RF.gather(0, largest).sign()


class TfidfVectors:
    """Source of TF-IDF vectors of words, with sublinear term frequency and unit length.

    Args:
        titles: Titles of the catalogue, without the padding's.
    """

    def __init__(self, titles: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        # Numbers and single letters are kept: they distinguish the parts of a series.
        self._vectorizer: Any = TfidfVectorizer(token_pattern=r"(?u)\w+", sublinear_tf=True)
        try:
            self._vectorizer.fit(titles)
        except ValueError:  # no title has a word
            self._vectorizer.fit(["none"])

    def __call__(self, titles: Sequence[str]) -> Any:
        """Return the vectors of some titles, a scipy sparse matrix; a title without a known word has zeros."""
        return self._vectorizer.transform(titles)


def random_vectors(titles: Sequence[str]) -> Tensor:
    """Return a random vector for each title, N x R; equal titles have equal vectors."""
    seeds = [int.from_bytes(hashlib.sha256(title.encode()).digest()[:8], "big") for title in titles]
    rows = [np.random.default_rng(seed).standard_normal(_RANDOM_WIDTH) for seed in seeds]
    return torch.from_numpy(np.stack(rows).astype(np.float32))
