"""The ways to read a language model as a ranker, by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from llamarec_cli.errors import UnknownNameError
from llamarec_cli.language_model.forward import check_vocabulary, position_limit
from llamarec_cli.language_model.prefixes import DEFAULT_BYTES
from llamarec_cli.names import Strategy
from llamarec_cli.ranking.scorer import CandidateScorer
from llamarec_cli.strategies.generation import GenerateLetters, GenerateTitles
from llamarec_cli.strategies.likelihood import LikelihoodEngine
from llamarec_cli.strategies.pointwise import Pointwise
from llamarec_cli.strategies.prompt_encoder import MAX_TITLE_TOKENS, PromptEncoder
from llamarec_cli.strategies.verbalizer.engine import RankingEngine


def make_scorer(
    strategy: Strategy,
    model: Any,
    tokenizer: Any,
    titles: Sequence[str],
    *,
    priors: npt.NDArray[np.float64] | None = None,
    max_title_tokens: int = MAX_TITLE_TOKENS,
    to_the_end: bool = False,
    prefix_bytes: int = DEFAULT_BYTES,
) -> CandidateScorer:
    """Return what reads a language model in one of five ways.

    Args:
        strategy: Which.
        model: A transformers causal language model in evaluation mode, with any adapter merged.
        tokenizer: Its tokenizer.
        titles: Title of each item id.
        priors: For `likelihood`: log p(title) of each item, where known.
        max_title_tokens: Where longer titles are cut.
        to_the_end: For generation: whether it goes on to its limit.
        prefix_bytes: What the keys and values of histories may take; 0 keeps none.
    """
    if strategy is Strategy.LIKELIHOOD:
        return LikelihoodEngine(
            model, tokenizer, titles, priors, max_title_tokens=max_title_tokens, prefix_bytes=prefix_bytes
        )
    check_vocabulary(model, tokenizer)
    encoder = PromptEncoder(tokenizer, titles, max_title_tokens, position_limit(model))
    match strategy:
        case Strategy.VERBALIZER:
            return RankingEngine(model, encoder, prefix_bytes=prefix_bytes)
        case Strategy.GENERATE_TITLES:
            return GenerateTitles(model, encoder, to_the_end=to_the_end)
        case Strategy.GENERATE_LETTERS:
            return GenerateLetters(model, encoder, to_the_end=to_the_end)
        case Strategy.POINTWISE:
            return Pointwise(model, encoder)
        case _:
            assert_never(strategy)


def parse_strategy(name: str, known: Collection[Strategy] = tuple(Strategy)) -> Strategy:
    """Return the strategy of that name.

    Raises:
        UnknownNameError: It is not known, or not among those known here.
    """
    if name not in known:
        raise UnknownNameError(name, "strategy", known)
    return Strategy(name)
